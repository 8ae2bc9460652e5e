"""From a selected kernel's ticks to the times, rates and shares a person reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.result import KernelResult
from stcsim.timing.bounds import lower_bound_ticks, roofline_us
from stcsim.timing.kernel import Kernel
from stcsim.timing.plan import DRAM, PARTS, PROLOGUE, TAIL, TICKS_PER_CYCLE, GemmTiming, TilePlan
from stcsim.timing.power import Energy, energy, held_clock_mhz, mean_clock_mhz, watts
from stcsim.timing.problem import Problem
from stcsim.timing.select import Candidate, select, simulated

_ROUNDS = 3  # most simulations at a clock that is held down: waits for DRAM do not follow the clock exactly
_FEW_WAITS = 0.02  # share of a long kernel's time; it need not be simulated again at another clock
_LONG_ITERATIONS = 1_000_000
_SAME_CLOCK = 0.99  # a clock that is this share of the one before is not simulated again


@dataclass(frozen=True, slots=True)
class Launch:
    """How GEMMs are timed: on which GPU, by which engine, launched how, with which kernel.

    ``kernel`` is ``None`` for the fastest, as a search finds it, a name, or ``"heuristic"`` for what cuBLAS takes without one.
    ``launch`` is ``"graph"``, ``"stream"`` or ``"kernel"`` (no launch overhead: a profiler's kernel time). ``launches`` is how
    often in a row: a board needs time to enforce its power limit (``None``: so often that it has). ``clock_mhz`` is the SM clock
    where something else than this GEMM decides it. ``data`` is what is multiplied: ``"randn"``, or ``"low-power"`` (zeros,
    constants), which toggles little and so draws less.
    """

    arch: Arch
    engine: str = "fast"
    launch: str = "graph"
    kernel: str | None = None
    launches: int | None = None
    clock_mhz: float | None = None
    data: str = "randn"


def engine(name: str) -> Callable[[TilePlan], GemmTiming]:
    """Return the engine called ``name``, imported only now (numba and simpy are heavy).

    Raises:
        UnsupportedError: for any name but ``fast`` and ``reference``.
    """
    if name == "fast":
        from stcsim.timing import fast

        return fast.simulate
    if name == "reference":
        from stcsim.timing import reference

        return reference.simulate
    raise UnsupportedError("--engine", "fast or reference", f"'{name}'")


def launch_us(arch: Arch, launch: str, early: bool = False) -> float:
    """Microseconds a launch adds to the kernel; ``early`` if the kernel starts before the one ahead has ended.

    Raises:
        UnsupportedError: for any launch but graph, stream and kernel.
    """
    known = {"graph": arch.launch.graph_us, "stream": arch.launch.stream_us, "kernel": 0.0}
    if launch not in known:
        raise UnsupportedError("timing", "one of graph, stream, kernel", f"'{launch}'")
    return min(known[launch], arch.launch.early_us or 0.0) if early else known[launch]


def starts_early(arch: Arch, launch: str, kernel: Kernel) -> bool:
    """Whether a kernel starts while the one ahead is still at work (programmatic dependent launch).

    Only in a stream: the nodes of a graph wait for each other's end unless its edges say otherwise (CUDA programming guide).
    """
    return launch == "stream" and kernel.early_launch and arch.launch.early_us is not None


def _hide_prologue(plan: TilePlan, timing: GemmTiming) -> GemmTiming:
    """Return the timing of a kernel whose first prologues lie behind the kernel ahead: all else happens so much earlier."""
    hidden, parts = plan.prologue_ticks, list(timing.part_ticks)
    working = min(plan.slots, plan.tiles)
    parts[PROLOGUE] -= hidden * working
    parts[TAIL] -= hidden * (plan.slots - working)
    return replace(timing, total_ticks=timing.total_ticks - hidden, part_ticks=tuple(parts))


@dataclass(frozen=True, slots=True)
class _Held:
    """What a candidate spends, and the clock it holds.

    ``fixed_us`` of its time, launch and waits for DRAM, do not change with the clock; ``cycles`` do.
    """

    spent: Energy
    fixed_us: float
    cycles: float
    clock_mhz: float

    @property
    def time_us(self) -> float:
        return self.fixed_us + self.cycles / self.clock_mhz


def _started(setup: Launch, candidate: Candidate) -> Candidate:
    """Return a simulated candidate without the prologue that lies behind the kernel ahead."""
    if not starts_early(setup.arch, setup.launch, candidate.kernel):
        return candidate
    assert candidate.plan is not None and candidate.timing is not None
    return replace(candidate, timing=_hide_prologue(candidate.plan, candidate.timing))


def _hold(setup: Launch, problem: Problem, candidate: Candidate, at_mhz: float) -> _Held:
    """Return what ``candidate`` holds, ``_started`` and simulated at the clock ``at_mhz``."""
    plan, timing, arch = candidate.plan, candidate.timing, setup.arch
    assert timing is not None and plan is not None
    spent = energy(arch, problem, candidate, setup.data)
    waits = timing.part_ticks[DRAM] / plan.slots / TICKS_PER_CYCLE
    cycles = timing.total_ticks / TICKS_PER_CYCLE - waits
    fixed_us = launch_us(arch, setup.launch, starts_early(arch, setup.launch, candidate.kernel)) + waits / at_mhz
    if setup.clock_mhz:
        return _Held(spent, fixed_us, cycles, setup.clock_mhz)
    steady_mhz = held_clock_mhz(arch, spent, cycles, fixed_us)
    at_first_us = fixed_us + cycles / arch.clock.sustained_mhz
    return _Held(spent, fixed_us, cycles, mean_clock_mhz(arch, steady_mhz, at_first_us, setup.launches))


def choose(setup: Launch, problem: Problem, ranked: list[Candidate]) -> list[Candidate]:
    """Put the simulated candidate first that is fastest at the clock it holds: a search measures on a board with a limit.

    ``ranked`` is what ``select`` returns. Its first stays first if it holds the highest clock, and in a tie.
    """
    highest = setup.arch.clock.sustained_mhz

    def held(candidate: Candidate) -> _Held:
        return _hold(setup, problem, _started(setup, candidate), highest)

    if held(ranked[0]).clock_mhz >= highest:
        return ranked
    timed = [candidate for candidate in ranked if candidate.timing is not None]
    return sorted(timed, key=lambda candidate: held(candidate).time_us) + ranked[len(timed) :]


def time_gemm(setup: Launch, problem: Problem, sparse: bool) -> KernelResult:
    """Select a kernel for ``problem`` and time it at the clock it can hold. Raises UnsupportedError when none fits."""
    ranked = select(setup.arch, problem, sparse, engine("fast"), setup.kernel)
    return outcome(setup, problem, choose(setup, problem, ranked)[0])


def outcome(setup: Launch, problem: Problem, candidate: Candidate) -> KernelResult:
    """Turn a simulated candidate into a result, simulated again where the board limit holds its clock down."""
    clock_mhz = setup.arch.clock.sustained_mhz
    candidate = _started(setup, candidate)
    held = _hold(setup, problem, candidate, clock_mhz)
    if held.clock_mhz >= clock_mhz and setup.engine != "fast":  # the fast one chose, and agrees; the other one times the choice
        candidate = _simulated(setup, problem, candidate, clock_mhz)
    share = 1.0
    for _ in range(_ROUNDS):
        if held.clock_mhz >= share * clock_mhz:
            break
        if _is_long(candidate) and held.fixed_us < _FEW_WAITS * held.time_us:  # nearly all of it follows the clock
            candidate = candidate if setup.engine == "fast" else _simulated(setup, problem, candidate, clock_mhz)
            clock_mhz = held.clock_mhz
            break
        clock_mhz, share = held.clock_mhz, _SAME_CLOCK
        candidate = _simulated(setup, problem, candidate, clock_mhz)
        held = _hold(setup, problem, candidate, clock_mhz)
    return _result(setup, problem, candidate, held.spent, clock_mhz)


def _is_long(candidate: Candidate) -> bool:
    assert candidate.plan is not None
    return candidate.plan.tile_iterations > _LONG_ITERATIONS


def _simulated(setup: Launch, problem: Problem, candidate: Candidate, clock_mhz: float) -> Candidate:
    """Return ``candidate`` simulated at ``clock_mhz``, and ``_started``."""
    return _started(setup, simulated(setup.arch, problem, candidate, engine(setup.engine), clock_mhz))


def _result(setup: Launch, problem: Problem, chosen: Candidate, spent: Energy, clock_mhz: float) -> KernelResult:
    """Convert ticks to microseconds; the parts of the breakdown sum to the time."""
    arch, timing, plan, tiling = setup.arch, chosen.timing, chosen.plan, chosen.tiling
    assert timing is not None and plan is not None
    tick_us = 1 / TICKS_PER_CYCLE / clock_mhz
    early = starts_early(arch, setup.launch, chosen.kernel)
    start_us, hidden = launch_us(arch, setup.launch, early), plan.prologue_ticks if early else 0
    slot_us = tick_us / plan.slots
    breakdown = {"launch": start_us} | {part: ticks * slot_us for part, ticks in zip(PARTS, timing.part_ticks, strict=True)}
    time_us = start_us + timing.total_ticks * tick_us
    tops = 2e-6 * problem.macs / time_us
    board_w = watts(arch, spent, clock_mhz, time_us)
    return KernelResult(
        kernel=chosen.kernel.name(problem.dtype, tiling.splits),
        time_us=time_us,
        tops=tops,
        share_of_peak=tops / (arch.peak_tops(problem.dtype.name, chosen.kernel.sparse) or math.nan),
        cycles=timing.total_ticks / TICKS_PER_CYCLE,
        clock_mhz=clock_mhz,
        watts=board_w,
        energy_uj=board_w * time_us,
        bound=max(breakdown, key=lambda part: breakdown[part]),
        breakdown=breakdown,
        bytes={"l2_read": timing.l2_read_bytes, "dram_read": timing.dram_read_bytes, "write": timing.write_bytes},
        ctas=tiling.tiles * problem.batch * tiling.unit_ctas,
        ctas_per_sm=tiling.ctas_per_sm,
        waves=tiling.tiles * problem.batch / plan.slots,
        roofline_us=roofline_us(arch, problem, chosen.kernel.sparse),
        bounds_us={name: start_us + (ticks - hidden) * tick_us for name, ticks in lower_bound_ticks(plan).items() if ticks},
    )
