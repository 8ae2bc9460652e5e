"""Times between clock steps.

A board sets its clock in steps, and holds a limit that lies between two of them by going back and forth. So what a network's
kernels take is simulated at steps only, and at a clock in between it is their mean, weighted by time spent at each. Whatever
network asks for a kernel near that clock gets the same two simulations, so that networks can be compared to the last microsecond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

from stcsim.arch import Arch
from stcsim.result import KernelResult, MemoryResult, account
from stcsim.timing.board.power import Energy, Load, energy_parts_uj

STEP_MHZ = 15
"""One step (``nvidia-smi -q -d SUPPORTED_CLOCKS`` lists multiples of 15 MHz on all boards here)."""

Result = TypeVar("Result", KernelResult, MemoryResult)


@dataclass(frozen=True, slots=True)
class Steps:
    """Two neighbouring clocks; the same one twice where nothing holds the clock down."""

    low_mhz: float
    high_mhz: float

    @classmethod
    def around(cls, clock_mhz: float, highest_mhz: float) -> Steps:
        """Return the steps around a clock; the highest clock of a GPU stands for itself."""
        if clock_mhz >= highest_mhz:
            return cls(highest_mhz, highest_mhz)
        below = max(math.floor(clock_mhz / STEP_MHZ), 1) * STEP_MHZ
        return cls(below, min(below + STEP_MHZ, highest_mhz))

    def high_share(self, clock_mhz: float) -> float:
        """Return the share of the work that is done at the higher step where the mean clock is ``clock_mhz``."""
        if self.low_mhz == self.high_mhz:
            return 1.0
        return (1 / self.low_mhz - 1 / clock_mhz) / (1 / self.low_mhz - 1 / self.high_mhz)

    def load(self, spent: Energy, low_us: float, high_us: float) -> Load:
        """Return the load of what takes ``low_us`` at the lower and ``high_us`` at the higher step."""
        cycles = (low_us - high_us) / (1 / self.low_mhz - 1 / self.high_mhz)
        return Load(spent, cycles, low_us - cycles / self.low_mhz)

    def between(self, arch: Arch, spent: Energy, low: Result, high: Result, clock_mhz: float) -> Result:
        """Return a kernel's result at ``clock_mhz`` from those at both steps; ``spent`` is its energy at boost."""
        share = self.high_share(clock_mhz)
        breakdown = {
            part: (1 - share) * low.breakdown.get(part, 0.0) + share * high.breakdown.get(part, 0.0)
            for part in dict.fromkeys((*low.breakdown, *high.breakdown))
        }
        time_us = (1 - share) * low.time_us + share * high.time_us
        parts_uj = energy_parts_uj(arch, spent, clock_mhz, time_us)
        mean: Result = replace(high, clock_mhz=clock_mhz, **account(time_us, breakdown, parts_uj))
        if isinstance(mean, KernelResult) and isinstance(high, KernelResult):
            slower = high.time_us / time_us
            mean = replace(
                mean,
                tops=high.tops * slower,
                share_of_peak=high.share_of_peak * slower,
                cycles=(time_us - breakdown["launch"]) * clock_mhz,
                bounds_us={name: bound_us * high.clock_mhz / clock_mhz for name, bound_us in high.bounds_us.items()},
            )
        return mean
