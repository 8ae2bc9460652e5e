"""What one kernel takes: its time, energy and traffic, what would help it, and where measurements are to be expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict

from stcsim.errors import StcsimError


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a measurement is to be expected: 80 % of them lie between its ends (``stcsim.trust.accuracy``).

    Attributes:
        low: the lower end.
        high: the upper end.
    """

    low: float
    high: float


class Gains(Mapping[str, float]):
    """What would help a kernel: the share of its time that 10 % more of a resource saves, by resource; 0.05 is 5 %.

    The resources are tensor, smem, ingress, l2, dram, latency, launch and power (``timing.choice.resources``); the kernel is
    chosen again each time. It takes a few searches, so nothing is simulated before the first look.

    Args:
        simulate: returns, for so many times as much of each resource, the share of time saved by each.
    """

    _TENTH, _HALF = 1.1, 1.5

    def __init__(self, simulate: Callable[[float], dict[str, float]]) -> None:
        """Remember how to find out."""
        self._simulate = simulate
        self._found: dict[float, dict[str, float]] = {}

    @classmethod
    def saved(cls, tenth: Mapping[str, float] | None = None, half: Mapping[str, float] | None = None) -> Gains:
        """Return the gains that a file holds; looking at those that it lacks is refused (StcsimError)."""
        gains = cls(_refused)
        for factor, found in ((cls._TENTH, tenth), (cls._HALF, half)):
            if found is not None:
                gains._found[factor] = dict(found)
        return gains

    def _more(self, factor: float) -> dict[str, float]:
        if factor not in self._found:
            self._found[factor] = self._simulate(factor)
        return self._found[factor]

    def look(self) -> None:
        """Simulate them now, if they never were looked at."""
        self._more(self._TENTH)
        self._more(self._HALF)

    @property
    def known(self) -> bool:
        """Whether they have been looked at."""
        return len(self._found) == 2

    @property
    def half_more(self) -> dict[str, float]:
        """The same with half as much again of each: a tenth may end at the next thing to wait for."""
        return self._more(self._HALF)

    @property
    def bound(self) -> str | None:
        """The resource of which half as much again would save most; ``None`` where none saves anything."""
        best = max(self.half_more, key=lambda resource: self.half_more[resource])
        return best if self.half_more[best] > 0 else None

    def __getitem__(self, resource: str) -> float:
        """Return the share of the time that 10 % more of ``resource`` saves."""
        return self._more(self._TENTH)[resource]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the resources."""
        return iter(self._more(self._TENTH))

    def __len__(self) -> int:
        """Return how many resources there are."""
        return len(self._more(self._TENTH))

    def __eq__(self, other: object) -> bool:
        """Say that all are alike: they follow from what else a result holds."""
        return isinstance(other, Gains)

    __hash__ = Mapping.__hash__

    def __repr__(self) -> str:
        """Show what is known."""
        return f"Gains({self._found.get(self._TENTH, '…')})"


def _refused(factor: float) -> dict[str, float]:
    raise StcsimError("gains", "a result that was saved after they were looked at (Gains.look)", "one that was saved before")


class Account(TypedDict):
    """What time and energy come to, in the fields that all results of kernels have (units as there)."""

    time_us: float
    watts: float
    energy_uj: float
    energy_parts_uj: dict[str, float]
    most_time: str
    breakdown: dict[str, float]


def account(time_us: float, breakdown: dict[str, float], energy_parts_uj: dict[str, float]) -> Account:
    """Add up energy by part and see what most of the time goes to."""
    energy_uj = math.fsum(energy_parts_uj.values())
    return Account(
        time_us=time_us,
        watts=energy_uj / time_us,
        energy_uj=energy_uj,
        energy_parts_uj=energy_parts_uj,
        most_time=max(breakdown, key=lambda part: breakdown[part]),
        breakdown=breakdown,
    )


@dataclass(frozen=True, slots=True)
class KernelResult:
    """One GEMM as one kernel, dense or 2:4; times are for a single launch.

    Attributes:
        kernel: name of the catalogue kernel with its split, e.g. ``"sm80_128x256x32_s3_2x4"``.
        time_us: launch to end, microseconds.
        tops: effective tera-operations per second, ``2 * macs / time`` (2:4 counts the pruned products too).
        share_of_peak: ``tops`` over the vendor peak of this sparsity and type.
        cycles: SM clock cycles of the kernel, launch excluded.
        clock_mhz: SM clock it holds: below the sustained one where the board's power limit binds.
        watts: average board power when launched over and over.
        energy_uj: ``watts * time_us``, microjoules.
        energy_parts_uj: the same by part (mac, smem, l2, dram, idle); they sum to ``energy_uj``.
        most_time: what most of the time goes to: a key of ``breakdown``.
        breakdown: microseconds by what they go to (launch, tensor, smem, issue, ingress, l2, dram, latency, prologue, epilogue,
            reduction, tail); they sum to ``time_us``. A CTA that waits counts for what it happened to wait for, so a resource
            with a small part may still be the one that all depends on: that is what ``gains`` says.
        bytes: ``l2_read`` and ``write`` (D), which pass the L2; of these ``dram_read`` and ``dram_write`` pass DRAM too.
        ctas: CTAs launched.
        ctas_per_sm: CTAs resident on one SM at once.
        waves: ``ctas`` over what fits on the GPU at once.
        roofline_us: the plain roofline beside it: the larger of compute at peak and compulsory DRAM traffic at peak.
        bounds_us: closed-form lower bounds of this kernel by resource, launch included (no simulation).
        gains: what would help (:class:`Gains`); simulated when it is first looked at.
        time_us_interval: where measured times are to be expected.
        tops_interval: where measured rates are to be expected.
        energy_uj_interval: where measured energies are to be expected. No joules were ever measured beside times: it is that of
            the time.
        library: whose 2:4 kernel it is, e.g. ``"cusparselt"``; ``None`` for a dense one.
    """

    kernel: str
    time_us: float
    tops: float
    share_of_peak: float
    cycles: float
    clock_mhz: float
    watts: float
    energy_uj: float
    energy_parts_uj: dict[str, float]
    most_time: str
    breakdown: dict[str, float]
    bytes: dict[str, int]
    ctas: int
    ctas_per_sm: int
    waves: float
    roofline_us: float
    bounds_us: dict[str, float]
    gains: Gains
    time_us_interval: Interval | None = None
    tops_interval: Interval | None = None
    energy_uj_interval: Interval | None = None
    library: str | None = None

    @property
    def bound(self) -> str | None:
        """The resource of which half as much again would save most; ``None`` where none saves anything."""
        return self.gains.bound


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """One memory operation as one kernel; times are for a single launch.

    Attributes:
        time_us: launch to end, microseconds.
        clock_mhz: SM clock it holds.
        watts: average board power when launched over and over.
        energy_uj: ``watts * time_us``, microjoules.
        energy_parts_uj: the same by part (mac, smem, l2, dram, idle); they sum to ``energy_uj``.
        most_time: what most of the time goes to: a key of ``breakdown``.
        breakdown: microseconds by part (launch, latency, and l2 or dram, whichever is slower); they sum to ``time_us``.
        bytes: ``read`` and ``write``, all of which pass the L2; ``dram_read`` and ``dram_write`` of these pass DRAM too.
        time_us_interval: where measured times are to be expected.
    """

    time_us: float
    clock_mhz: float
    watts: float
    energy_uj: float
    energy_parts_uj: dict[str, float]
    most_time: str
    breakdown: dict[str, float]
    bytes: dict[str, int]
    time_us_interval: Interval | None = None
