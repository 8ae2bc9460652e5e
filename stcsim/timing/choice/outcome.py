"""The one way to choose a kernel for a GEMM and to time it, and from its ticks to the times, rates and shares a person reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stcsim.result import Gains, KernelResult, account
from stcsim.timing.board.board import settled, simulated, start_us
from stcsim.timing.board.power import Load, energy, energy_parts_uj
from stcsim.timing.board.setup import Setup, starts_early
from stcsim.timing.choice.bounds import roofline_us
from stcsim.timing.choice.gains import gains_of
from stcsim.timing.choice.select import Key, select
from stcsim.timing.lowering.bounds import lower_bound_ticks
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.plan import PARTS, TICKS_PER_CYCLE, in_cycles
from stcsim.timing.problem import Problem


def time_gemm(setup: Setup, problem: Problem, sparse: bool) -> KernelResult:
    """Choose a kernel for ``problem`` and time it at the clock it can hold, or that ``setup`` gives.

    This is the one way to a GEMM's time: a row of validation, an explanation and a layer of a network all go through
    :func:`choose` and :meth:`Choice.result`.

    Raises:
        UnsupportedError: when no kernel fits.
    """
    return choose(setup, problem, sparse).result()


def choose(setup: Setup, problem: Problem, sparse: bool, known: dict[Key, Load] | None = None) -> Choice:
    """Choose a kernel for ``problem``, by the fast engine; ``known`` as in :func:`stcsim.timing.choice.select.select`.

    Raises:
        UnsupportedError: when no kernel fits.
    """
    return Choice(setup, select(replace(setup, engine="fast"), problem, sparse, known))


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernel that is chosen for a GEMM, to be timed.

    Attributes:
        setup: how it is timed.
        ranked: that kernel, then those that may take its place, best first.
    """

    setup: Setup
    ranked: Sequence[Candidate]

    @property
    def chosen(self) -> Candidate:
        """The kernel that is chosen, as the search left it."""
        return self.ranked[0]

    def settled(self) -> Candidate:
        """Return it simulated at the clock that it holds, or that is given."""
        return settled(replace(self.setup, engine="fast"), self.chosen)

    def at(self, clock_mhz: float) -> Candidate:
        """Return it simulated at a clock."""
        if self.chosen.timing is not None and self.chosen.clock_mhz == clock_mhz:
            return self.chosen
        return simulated(replace(self.setup, engine="fast"), self.chosen, clock_mhz)

    def by_engine(self, timed: Candidate) -> Candidate:
        """Return what was simulated by the fast engine as the one that was asked for times it: they agree, it is slow."""
        return timed if self.setup.engine == "fast" else simulated(self.setup, timed, timed.clock_mhz)

    def gains(self, clock_mhz: float | None = None) -> Gains:
        """Return what would help it, at a clock that something else gives or at the one it holds."""
        setup = self.setup if clock_mhz is None else replace(self.setup, clock_mhz=clock_mhz)
        return gains_of(setup, self.ranked)

    def result(self, timed: Candidate | None = None) -> KernelResult:
        """Return its times, rates and shares: as it was simulated in ``timed``, else as it settles."""
        return result_of(self.setup, timed or self.by_engine(self.settled()), self.gains())


def busy_shares(timed: Candidate) -> dict[str, float]:
    """Return the share of a kernel's time that each server is busy: ``tensor``, ``smem``, ``ingress``, ``l2``, ``dram``.

    Of the servers that every SM has, it is the mean over the SMs of the grid, with a tile or without. Where the time goes says
    what CTAs waited for; this says which servers could have served more.
    """
    timing, plan = timed.timing, timed.plan
    assert timing is not None and plan is not None
    of_units = plan.units * timing.total_ticks
    return {
        "tensor": timing.tensor_busy_ticks / of_units,
        "smem": timing.smem_busy_ticks / of_units,
        "ingress": timing.ingress_busy_ticks / of_units,
        "l2": timing.l2_busy_ticks / timing.total_ticks,
        "dram": timing.dram_busy_ticks / timing.total_ticks,
    }


def result_of(setup: Setup, chosen: Candidate, gains: Gains) -> KernelResult:
    """Convert ticks to microseconds; the parts of the breakdown sum to the time."""
    cut, timing, plan, clock_mhz = chosen.cut, chosen.timing, chosen.plan, chosen.clock_mhz
    arch, problem, kernel, tiling = cut
    assert timing is not None and plan is not None
    tick_us = 1 / TICKS_PER_CYCLE / clock_mhz
    launched_us = start_us(setup, chosen)
    hidden = plan.prologue_ticks if starts_early(arch, setup.launch, kernel) else 0
    slot_us = tick_us / plan.slots
    breakdown = {"launch": launched_us} | {part: ticks * slot_us for part, ticks in zip(PARTS, timing.part_ticks, strict=True)}
    time_us = launched_us + timing.total_ticks * tick_us
    tops = 2e-6 * problem.macs / time_us
    parts_uj = energy_parts_uj(arch, energy(chosen, setup.data), clock_mhz, time_us)
    return KernelResult(
        kernel=kernel.name(problem.dtype, tiling.splits),
        tops=tops,
        share_of_peak=tops / (arch.peak_tops(problem.dtype.name, kernel.sparse) or math.nan),
        cycles=in_cycles(timing.total_ticks),
        clock_mhz=clock_mhz,
        bytes={
            "l2_read": timing.l2_read_bytes,
            "write": timing.write_bytes,
            "dram_read": timing.dram_read_bytes,
            "dram_write": plan.dram_write_bytes,
        },
        ctas=cut.tiles * tiling.unit_ctas,
        ctas_per_sm=tiling.ctas_per_sm,
        waves=cut.tiles / plan.slots,
        roofline_us=roofline_us(arch, problem, kernel.sparse),
        bounds_us={name: launched_us + (ticks - hidden) * tick_us for name, ticks in lower_bound_ticks(plan).items() if ticks},
        gains=gains,
        library=setup.library if kernel.sparse else None,
        **account(time_us, breakdown, parts_uj),
    )
