"""A kernel on its board: what a launch of it asks for, and the clock it holds when it is launched again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from stcsim.timing.board.power import Energy, Load, burst_limit_w, clock_under, ends_within, energy, joules, least_energy
from stcsim.timing.board.setup import Setup, engine, launch_us, starts_early
from stcsim.timing.board.steady import simulate_long, simulate_long_until
from stcsim.timing.lowering.lower import lower
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.plan import DRAM, PROLOGUE, TAIL, TICKS_PER_CYCLE, GemmTiming, TilePlan

_ROUNDS = 6  # most simulations at a clock that is held down: waits for DRAM do not follow the clock exactly
_SAME_CLOCK = 2e-4  # relative difference of clocks that are taken for one


def simulated(setup: Setup, candidate: Candidate, clock_mhz: float) -> Candidate:
    """Return ``candidate`` with its plan and timing at ``clock_mhz``."""
    plan = lower(candidate.cut, clock_mhz)
    timing = simulate_long(plan, candidate.cut, engine(setup.engine))
    return _started(setup, candidate, plan, timing, clock_mhz)


def simulated_until(setup: Setup, candidate: Candidate, clock_mhz: float, give_up_us: float) -> Candidate | None:
    """Return :func:`simulated` by the fast engine, or ``None`` where it is certain to take longer than ``give_up_us``."""
    plan = lower(candidate.cut, clock_mhz)
    hidden = plan.prologue_ticks if starts_early(setup.arch, setup.launch, candidate.kernel) else 0
    left_us = give_up_us - start_us(setup, candidate)
    give_up = math.inf if left_us == math.inf else left_us * clock_mhz * TICKS_PER_CYCLE + hidden
    timing = simulate_long_until(plan, candidate.cut, give_up)
    return None if timing is None else _started(setup, candidate, plan, timing, clock_mhz)


def start_us(setup: Setup, candidate: Candidate) -> float:
    """Return what the launch of ``candidate`` adds to its own time."""
    return launch_us(setup.arch, setup.launch, starts_early(setup.arch, setup.launch, candidate.kernel))


def _started(setup: Setup, candidate: Candidate, plan: TilePlan, timing: GemmTiming, clock_mhz: float) -> Candidate:
    """Return ``candidate`` with its timing, without prologues that lie behind the kernel ahead: all else is so much earlier."""
    if starts_early(setup.arch, setup.launch, candidate.kernel):
        hidden, parts = plan.prologue_ticks, list(timing.part_ticks)
        working = min(plan.slots, plan.tiles)
        parts[PROLOGUE] -= hidden * working
        parts[TAIL] -= hidden * (plan.slots - working)
        timing = replace(timing, total_ticks=timing.total_ticks - hidden, part_ticks=tuple(parts))
    return replace(candidate, plan=plan, timing=timing, clock_mhz=clock_mhz)


def load_of(setup: Setup, candidate: Candidate) -> Load:
    """Return what a launch of a simulated candidate asks of the board; waits for DRAM are taken to follow no clock."""
    plan, timing = candidate.plan, candidate.timing
    assert timing is not None and plan is not None
    waits = timing.part_ticks[DRAM] / plan.slots / TICKS_PER_CYCLE
    cycles = timing.total_ticks / TICKS_PER_CYCLE - waits
    fixed_us = start_us(setup, candidate) + waits / candidate.clock_mhz
    return Load(energy(candidate, setup.data), cycles, fixed_us)


def least_load(setup: Setup, candidate: Candidate) -> Load:
    """Return what a launch asks at least, before it is simulated."""
    return _load_before(setup, candidate, candidate.estimate.least_cycles, candidate.estimate.reduction_us)


def rough_load(setup: Setup, candidate: Candidate) -> Load:
    """Return about what a launch asks, before it is simulated."""
    known = candidate.estimate
    waits_us = known.waits_us + known.reduction_us
    return _load_before(setup, candidate, known.cycles - waits_us * setup.arch.clock.sustained_mhz, waits_us)


def _load_before(setup: Setup, candidate: Candidate, cycles: float, waits_us: float) -> Load:
    arch, early = setup.arch, starts_early(setup.arch, setup.launch, candidate.kernel)
    counts = setup.price_us_per_j > 0 or not setup.clock_mhz  # else the clock is given and energy has no price
    spent = least_energy(candidate, setup.data) if counts else Energy()
    hidden = arch.kernel.prologue_cycles if early else 0
    return Load(spent, cycles - hidden, launch_us(arch, setup.launch, early) + waits_us)


def clock_mhz_of(setup: Setup, load: Load) -> float:
    """Return the clock at which ``load`` runs: the one that is given, or what it holds itself."""
    if setup.clock_mhz:
        return setup.clock_mhz
    return clock_under(setup.arch, load, setup.duration)


def cost_us(setup: Setup, load: Load) -> float:
    """Return what a kernel is chosen by: its time at its clock, and the price of its energy where it is one of a network."""
    clock_mhz = clock_mhz_of(setup, load)
    price = setup.price_us_per_j * joules(setup.arch, load.spent, clock_mhz) if setup.clock_mhz else 0.0
    return load.time_us(clock_mhz) + price


def may_cost_less(setup: Setup, least: Load, best_us: float) -> bool:
    """Whether a kernel that asks for ``least`` or more may cost less than ``best_us``."""
    if best_us == math.inf:
        return True
    if setup.clock_mhz:
        return cost_us(setup, least) < best_us
    arch = setup.arch  # a burst is never slower than the board's limit allows
    return ends_within(arch, least, best_us, arch.power.board_limit_w if setup.duration.sustained else burst_limit_w(arch))


def settled(setup: Setup, candidate: Candidate) -> Candidate:
    """Return a simulated candidate simulated again at the clock that it holds, until that is the clock it was simulated at.

    The next clock is where the last two, each with the clock that was held there, meet (secant).
    """
    known: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        clock_mhz, held_mhz = candidate.clock_mhz, clock_mhz_of(setup, load_of(setup, candidate))
        if abs(held_mhz / clock_mhz - 1) < _SAME_CLOCK:
            break
        known.append((clock_mhz, held_mhz - clock_mhz))
        candidate = simulated(setup, candidate, _next_mhz(known, setup.arch.clock.sustained_mhz))
    return candidate


def _next_mhz(known: Sequence[tuple[float, float]], highest_mhz: float) -> float:
    """Return the clock to try after pairs of a clock and by how much the clock that it holds is higher."""
    clock_mhz, off_mhz = known[-1]
    next_mhz = clock_mhz + off_mhz
    if len(known) > 1 and known[-2][1] != off_mhz:
        before_mhz, before_off_mhz = known[-2]
        next_mhz = clock_mhz - off_mhz * (clock_mhz - before_mhz) / (off_mhz - before_off_mhz)
    return min(max(next_mhz, clock_mhz / 2), highest_mhz)
