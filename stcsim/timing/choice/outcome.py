"""From a selected kernel's ticks to the times, rates and shares a person reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stcsim.result import Gains, KernelResult, account
from stcsim.timing.board.board import settled, simulated, start_us
from stcsim.timing.board.power import energy, energy_parts_uj
from stcsim.timing.board.setup import Setup, starts_early
from stcsim.timing.choice.bounds import lower_bound_ticks, roofline_us
from stcsim.timing.choice.gains import gains_of
from stcsim.timing.choice.select import select
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.plan import PARTS, TICKS_PER_CYCLE
from stcsim.timing.problem import Problem


def time_gemm(setup: Setup, problem: Problem, sparse: bool) -> KernelResult:
    """Select a kernel for ``problem`` and time it at the clock it can hold. Raises UnsupportedError when none fits."""
    return outcome(setup, select(setup, problem, sparse))


def outcome(setup: Setup, ranked: Sequence[Candidate]) -> KernelResult:
    """Turn the first of what ``select`` returns into a result, at the clock that it holds or ``setup`` gives."""
    candidate = settled(setup, ranked[0])
    if setup.engine != "fast":  # the fast one chose, and agrees; the other one times the choice
        candidate = simulated(setup, candidate, candidate.clock_mhz)
    return result_of(setup, candidate, gains_of(setup, ranked))


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
        cycles=timing.total_ticks / TICKS_PER_CYCLE,
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
        **account(time_us, breakdown, parts_uj),
    )
