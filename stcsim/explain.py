"""Why a GEMM takes as long as it does: the plan, the bounds beside the simulation, and the kernels that lost."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.isa import dtype as find_dtype
from stcsim.isa import type_bytes
from stcsim.replay import modes_of, why_not_sparse
from stcsim.result import KernelResult
from stcsim.timing.kernel import Kernel
from stcsim.timing.outcome import Launch, choose, engine, launch_us, outcome, starts_early
from stcsim.timing.plan import FINISHER, WHOLE, TilePlan
from stcsim.timing.problem import Problem
from stcsim.timing.select import HEURISTIC, SIMULATED, Candidate, select
from stcsim.timing.tiling import stage_bytes

_MARGIN = 2.0  # simulate more losers than a selection would, to show why they lose
_ALIKE = 0.005


@dataclass(frozen=True, slots=True)
class Contender:
    """One kernel that was considered.

    Attributes:
        estimate_us: closed form. time_us: simulated, ``None`` if the closed form already ruled it out (launch included in both).
        verdict: ``"chosen"``, or why it lost.
    """

    kernel: str
    estimate_us: float
    time_us: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Side:
    """One sparsity of an explained GEMM.

    Attributes:
        result: the chosen kernel. bounds_us: closed-form lower bounds by resource, plus ``roofline``; launch included.
        plan: what the chosen kernel does on this GPU, as (name, value) rows. contenders: best first.
    """

    mode: str
    result: KernelResult
    bounds_us: dict[str, float]
    plan: tuple[tuple[str, str], ...]
    contenders: tuple[Contender, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A GEMM explained, dense and 2:4. ``note`` says why a side is missing, if one is."""

    arch: str
    problem: Problem
    sides: tuple[Side, ...]
    note: str | None


def gemm_problem(
    m: int, n: int, k: int, dtype: str = "fp16", batch: int = 1, out_dtype: str | None = None, weights_in_l2: bool = False
) -> Problem:
    """Return the GEMM D[m x n] = A[m x k] . B[k x n] as a problem. Raises UnsupportedError for an unknown type."""
    element = find_dtype(dtype)
    return Problem(m, n, k, batch, element, type_bytes(out_dtype or element.out), weights_in_l2)


def explain(
    arch: Arch, problem: Problem, *, sparsity: str | None = None, kernel: str | None = None, launch: str = "graph"
) -> Explanation:
    """Explain ``problem`` on ``arch``; arguments as :func:`stcsim.replay.gemm`.

    Raises:
        UnsupportedError: when the GPU lacks the type or sparsity, or no kernel fits.
    """
    setup = Launch(arch, "fast", launch, kernel)
    modes = modes_of(arch, problem.dtype, sparsity)
    reason = why_not_sparse(problem, False)
    sides = tuple(_side(setup, problem, mode == "2:4") for mode in modes if mode == "dense" or reason is None)
    return Explanation(arch.name, problem, sides, f"no 2:4: {reason}" if reason and "2:4" in modes else None)


def _side(setup: Launch, problem: Problem, sparse: bool) -> Side:
    ranked = _ranked(setup, problem, sparse)
    winner = ranked[0]
    result = outcome(setup, problem, winner)
    bounds = result.bounds_us | {"roofline": result.roofline_us}
    losers = sorted((_contender(setup, problem, each, result) for each in ranked[1:]), key=_by_time)
    contenders = (Contender(result.kernel, _estimate_us(setup, winner), result.time_us, "chosen"), *losers)
    return Side("2:4" if sparse else "dense", result, bounds, _plan_rows(setup.arch, problem, winner), contenders)


def _ranked(setup: Launch, problem: Problem, sparse: bool) -> list[Candidate]:
    """Return the winner and the rest; behind what heuristics take, what a search would have timed."""

    def found(kernel: str | None) -> list[Candidate]:
        return select(setup.arch, problem, sparse, engine(setup.engine), kernel, SIMULATED, _MARGIN)

    if setup.kernel != HEURISTIC:
        return choose(setup, problem, found(setup.kernel))
    taken = found(HEURISTIC)[0]
    return [taken, *(each for each in found(None) if (each.kernel, each.tiling) != (taken.kernel, taken.tiling))]


def _by_time(contender: Contender) -> tuple[bool, float]:
    return contender.time_us is None, contender.time_us or contender.estimate_us


def _estimate_us(setup: Launch, candidate: Candidate) -> float:
    early = starts_early(setup.arch, setup.launch, candidate.kernel)
    cycles = candidate.estimate_cycles - (setup.arch.kernel.prologue_cycles if early else 0)
    return launch_us(setup.arch, setup.launch, early) + cycles / setup.arch.clock.sustained_mhz


def _contender(setup: Launch, problem: Problem, candidate: Candidate, best: KernelResult) -> Contender:
    name = candidate.kernel.name(problem.dtype, candidate.tiling.splits)
    estimate = _estimate_us(setup, candidate)
    if candidate.timing is None:
        return Contender(name, estimate, None, "closed form: too slow to be worth simulating")
    result = outcome(setup, problem, candidate)
    worse = {part: result.breakdown[part] - best.breakdown[part] for part in best.breakdown}
    part = max(worse, key=lambda key: worse[key])
    slower = result.time_us / best.time_us - 1
    why = f"{100 * slower:+.0f} %, most of it {part}" if abs(slower) >= _ALIKE else "as fast, to half a percent"
    return Contender(name, estimate, result.time_us, why)


def _tile_text(kernel: Kernel, cta_k: int) -> str:
    if kernel.patch is None:
        return f"{kernel.cta_m} x {kernel.cta_n} x {cta_k} (m x n x k)"
    rows, columns = kernel.patch
    return f"{kernel.cta_m} x {rows} by {columns} pixels x {cta_k} (m x n x k), {kernel.taps} taps a load"


def _cut_text(plan: TilePlan) -> str:
    pieces, finishers = int((plan.kind != WHOLE).sum()), int((plan.kind == FINISHER).sum())
    return f"{finishers} tiles cut along k into {pieces} pieces, {plan.tiles - pieces} whole"


def _plan_rows(arch: Arch, problem: Problem, chosen: Candidate) -> tuple[tuple[str, str], ...]:
    """Return the chosen kernel's plan in words."""
    kernel, tiling, plan = chosen.kernel, chosen.tiling, chosen.plan
    assert plan is not None
    cta_k = kernel.cta_k(problem.dtype)
    ctas = tiling.tiles * problem.batch * tiling.unit_ctas
    smem = tiling.stages * stage_bytes(kernel, problem)
    rows = [
        ("CTA tile", _tile_text(kernel, cta_k)),
        (
            "grid",
            f"{tiling.m_tiles} x {tiling.n_tiles} tiles of {tiling.tile_m} x {tiling.tile_n}"
            f", {tiling.splits} k-slices, batch {problem.batch}",
        ),
        ("main loop", f"{tiling.k_iters} iterations of k, {tiling.stages} stages"),
        ("shared memory", f"{smem / 1024:.0f} KiB per CTA, {tiling.ctas_per_sm} CTAs per SM"),
        ("CTAs", f"{ctas} on {arch.sm.count} SMs: {tiling.tiles * problem.batch / plan.slots:.2f} waves"),
        ("raster", f"groups of {kernel.swizzle} n-tiles, along m"),
        (
            "cycles per iteration",
            f"tensor {plan.tensor_ticks / 256:.0f} ({max(plan.tensor_ticks, plan.warp_ticks) / 256:.0f} for one CTA alone), "
            f"shared-memory reads {plan.smem_read_ticks / 256:.0f}, "
            f"fills {(plan.a_fill_ticks[0, 0] + plan.b_fill_ticks[0, 0]) / 256:.0f}, sync {plan.iteration_ticks / 256:.0f}",
        ),
    ]
    if tiling.unit_ctas > 1:
        rows.insert(2, ("cluster", f"{kernel.cluster_m} x {kernel.cluster_n} CTAs share operands by multicast"))
    if kernel.stream_k:
        rows.append(("stream-K", _cut_text(plan)))
    return tuple(rows)
