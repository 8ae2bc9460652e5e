"""Why a GEMM takes as long as it does: the plan, the bounds beside the simulation, and the kernels that lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stcsim import words
from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.replay import bars, modes_of, sparsity_of, why_not_sparse, why_not_taken
from stcsim.replay.door import element_of, kernel_of, library_for, out_type_of, warmth_of
from stcsim.result import Interval, KernelResult, Trust
from stcsim.timing.board.board import load_of, simulated
from stcsim.timing.board.duration import BURST, parse_duration
from stcsim.timing.board.power import clock_under
from stcsim.timing.board.setup import Setup, launch_us, starts_early
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.menu import menu
from stcsim.timing.choice.outcome import Choice, busy_shares, choose
from stcsim.timing.choice.select import HEURISTIC, key_of
from stcsim.timing.lowering.cut import Tiling
from stcsim.timing.lowering.tiling import stage_bytes
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.plan import FINISHER, HELD_WHOLE, WHOLE, TilePlan, in_cycles
from stcsim.timing.problem import Problem
from stcsim.timing.problem import gemm_problem as gemm_problem
from stcsim.version import __version__
from stcsim.words import Sparsity, word

_SIMULATED = 8
"""Kernels that are simulated to the end to show why they lose; a selection ends them as soon as they have lost."""
_ALIKE = 0.005


@dataclass(frozen=True, slots=True)
class Contender:
    """One kernel that was considered.

    Attributes:
        estimate_us: closed form.
        time_us: simulated, ``None`` if the closed form already ruled it out (launch included in both).
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
        result: the chosen kernel, with its lower bounds.
        busy: share of its time, launch left out, that each server is busy: tensor, smem, ingress, l2, dram.
        plan: what the chosen kernel does on this GPU, as (name, value) rows.
        contenders: best first.
        offered: how many kernels the library is known to have for this type;
        smallest_tile: of those, rows by columns.
        burst_clock_mhz: about the clock that the chosen kernel holds in a short burst.
    """

    mode: str
    result: KernelResult
    busy: dict[str, float]
    plan: tuple[tuple[str, str], ...]
    contenders: tuple[Contender, ...]
    offered: int
    smallest_tile: tuple[int, int]
    burst_clock_mhz: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A GEMM explained, dense and 2:4.

    Attributes:
        peak_mhz: clock of the data sheet's peak.
        highest_mhz: the clock that is held while the board's limit does not bind.
        board_limit_w: what the board may draw.
        burst_ratio: what it lets pass in a short burst, over that.
        note: says why a side is missing, if one is.
        speedup: where a measured one is to be expected.
        trust: how far to trust it all.
        inputs: the GPU with every leaf, and the words of the call.
    """

    arch: str
    peak_mhz: float
    highest_mhz: float
    board_limit_w: float
    burst_ratio: float
    problem: Problem
    sides: tuple[Side, ...]
    note: str | None
    speedup: Interval | None
    trust: Trust
    inputs: dict[str, Any] = field(default_factory=dict)


def explain(
    m: int,
    n: int,
    k: int,
    arch: ArchOrName,
    *,
    dtype: str = "fp16",
    batch: int = 1,
    out_dtype: str | None = None,
    sparsity: str | None = None,
    kernel: str | None = None,
    launch: str = "graph",
    duration: str = "sustained",
    weights_in_l2: bool = False,
    weight_copies: int | None = None,
    library: str = "cusparselt",
) -> Explanation:
    """Explain one GEMM; arguments and errors as :func:`stcsim.gemm`."""
    element, (warm, copies) = element_of(dtype), warmth_of(weights_in_l2, weight_copies)
    out = out_type_of(out_dtype, element)
    problem = gemm_problem(m, n, k, element.name, batch, out, warm, weight_copies=copies)
    return explain_problem(arch, problem, sparsity=sparsity, kernel=kernel, launch=launch, duration=duration, library=library)


def explain_problem(
    arch: ArchOrName,
    problem: Problem,
    *,
    sparsity: str | None = None,
    kernel: str | None = None,
    launch: str = "graph",
    duration: str = "sustained",
    library: str = "cusparselt",
) -> Explanation:
    """Explain ``problem``, which may be a convolution, on ``arch``; arguments as :func:`stcsim.gemm`.

    Raises:
        UnsupportedError: when a word is unknown, the GPU lacks the type or sparsity, or no kernel fits.
    """
    arch = load_arch(arch)
    problem = replace(problem, dtype=arch.element(problem.dtype.name))
    launch, kernel = word(words.Launch, launch, "launch").value, kernel_of(arch, kernel)
    modes = modes_of(arch, problem.dtype, sparsity)
    library, lasting = library_for(arch, problem.dtype, modes, library), parse_duration(duration)
    setup = Setup(arch, "fast", launch, kernel, lasting, library=library)
    reason = why_not_sparse(problem, False) or why_not_taken(problem, arch, library)
    shown = modes if reason is None else (Sparsity.DENSE.value,)
    sides = tuple(_side(setup, problem, mode != Sparsity.DENSE) for mode in shown)
    speedup = None
    if len(sides) == 2:
        ratio = sides[0].result.time_us / sides[1].result.time_us
        speedup = bars(arch).speedup_of(problem.dtype, 2 * problem.macs, ratio)
    note = f"no {arch.pattern_name}: {reason}" if reason and arch.pattern_name in modes else None
    trust = bars(arch).trust_of(problem.dtype, 2 * problem.macs, speedup)
    inputs = {
        "arch": arch.to_dict(),
        "sparsity": sparsity_of(modes),
        "kernel": kernel,
        "launch": launch,
        "duration": str(lasting),
        "library": library,
        "version": __version__,
    }
    limits = arch.clock.peak_mhz, arch.clock.sustained_mhz, arch.power.board_limit_w, arch.power.burst_ratio
    return Explanation(arch.name, *limits, problem, sides, note, speedup, trust, inputs)


def _side(setup: Setup, problem: Problem, sparse: bool) -> Side:
    choice = choose(setup, problem, sparse)
    timed = choice.settled()
    result = bars(setup.arch).kernel(choice.result(timed), problem.dtype, 2 * problem.macs, sparse)
    shown = _shown(setup, _losers(choice, problem, sparse))
    losers = sorted((_contender(setup, problem, each, result) for each in shown), key=_by_time)
    contenders = (Contender(result.kernel, _estimate_us(setup, timed), result.time_us, "chosen"), *losers)
    offered = [
        each
        for each in menu(setup.arch.kernel.family, sparse, problem.dtype, problem.conv, problem.out_bytes, setup.library)
        if each.takes(problem.dtype) and (problem.n == 1 or not each.gemv)
    ]
    smallest = min(((each.cta_m, each.cta_n) for each in offered), key=lambda tile: tile[0] * tile[1])
    mode, plan = setup.arch.pattern_name if sparse else "dense", _plan_rows(setup.arch, problem, timed)
    burst_mhz = clock_under(setup.arch, load_of(setup, timed), BURST)
    return Side(mode, result, busy_shares(timed), plan, contenders, len(offered), smallest, burst_mhz)


def _losers(choice: Choice, problem: Problem, sparse: bool) -> Sequence[Candidate]:
    """Return those that were not chosen; behind what heuristics take, what a search would have timed."""
    if choice.setup.kernel != HEURISTIC:
        return choice.ranked[1:]
    searched = choose(replace(choice.setup, kernel=None), problem, sparse).ranked
    return [each for each in searched if key_of(each) != key_of(choice.chosen)]


def _shown(setup: Setup, losers: Sequence[Candidate]) -> list[Candidate]:
    """Return the losers, one for each kernel and slicing, the first few simulated to the end."""
    named = {(each.kernel, each.tiling.splits): each for each in reversed(losers)}
    order = sorted(named.values(), key=lambda each: each.estimate.cycles)
    clock_mhz = setup.arch.clock.sustained_mhz
    first = [each if each.timing else simulated(setup, each, clock_mhz) for each in order[:_SIMULATED]]
    return first + order[_SIMULATED:]


def _by_time(contender: Contender) -> tuple[bool, float]:
    return contender.time_us is None, contender.time_us or contender.estimate_us


def _estimate_us(setup: Setup, candidate: Candidate) -> float:
    early = starts_early(setup.arch, setup.launch, candidate.kernel)
    cycles = candidate.estimate.cycles - (setup.arch.kernel.prologue_cycles if early else 0)
    return launch_us(setup.arch, setup.launch, early) + cycles / setup.arch.clock.sustained_mhz


def _contender(setup: Setup, problem: Problem, candidate: Candidate, best: KernelResult) -> Contender:
    name, estimate = candidate.kernel.name(problem.dtype, candidate.tiling.splits), _estimate_us(setup, candidate)
    if candidate.tiling.leaves_idle:
        name += f" on {candidate.tiling.units * candidate.tiling.unit_ctas} SMs"
    if candidate.timing is None:
        return Contender(name, estimate, None, "closed form: too slow to be worth simulating")
    result = Choice(setup, [candidate]).result()
    worse = {part: result.breakdown[part] - best.breakdown[part] for part in best.breakdown}
    part = max(worse, key=lambda key: worse[key])
    slower = result.time_us / best.time_us - 1
    why = f"{100 * slower:+.0f} %, most of it {part}" if abs(slower) >= _ALIKE else "as fast, to half a percent"
    return Contender(name, estimate, result.time_us, why)


def _sms(arch: Arch, tiling: Tiling) -> str:
    used = tiling.units * tiling.unit_ctas
    return f"{used} of {arch.sm.count} SMs" if tiling.leaves_idle else f"{arch.sm.count} SMs"


def _tile_text(kernel: Kernel, cta_k: int) -> str:
    if kernel.patch is None:
        return f"{kernel.cta_m} x {kernel.cta_n} x {cta_k} (m x n x k)"
    rows, columns = kernel.patch
    return f"{kernel.cta_m} x {rows} by {columns} pixels x {cta_k} (m x n x k), {kernel.taps} taps a load"


def _cut_text(plan: TilePlan) -> str:
    pieces, finishers = int((plan.kind != WHOLE).sum()), int((plan.kind == FINISHER).sum())
    return f"{finishers} tiles cut along k into {pieces} pieces, {plan.tiles - pieces} whole"


def _iteration_text(plan: TilePlan) -> str:
    tensor, alone = plan.tensor_ticks, max(plan.tensor_ticks, plan.warp_ticks)
    fills = int(plan.a_fill_ticks[0, 0] + plan.b_fill_ticks[0, 0])
    return (
        f"tensor {in_cycles(tensor):.0f} ({in_cycles(alone):.0f} for one CTA alone), "
        f"shared-memory reads {in_cycles(plan.smem_read_ticks):.0f}, "
        f"fills {in_cycles(fills):.0f}, sync {in_cycles(plan.iteration_ticks):.0f}"
    )


def _held_text(problem: Problem, plan: TilePlan) -> str:
    """Return what of the operands earlier launches left in L2."""
    weights, activations = (f"{100 * held / HELD_WHOLE:.0f} %" for held in (plan.a_held, plan.b_held))
    sets = f", {problem.weight_copies} sets of weights in turn" if problem.weight_copies > 1 else ""
    return f"{weights} of A, {activations} of B{sets}"


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
        ("CTAs", f"{ctas} on {_sms(arch, tiling)}: {tiling.tiles * problem.batch / plan.slots:.2f} waves"),
        ("raster", f"groups of {kernel.swizzle} n-tiles, along m"),
        ("cycles per iteration", _iteration_text(plan)),
    ]
    if tiling.unit_ctas > 1:
        rows.insert(2, ("cluster", f"{kernel.cluster_m} x {kernel.cluster_n} CTAs share operands by multicast"))
    if problem.weights_in_l2:
        rows.append(("in L2 at the start", _held_text(problem, plan)))
    if kernel.stream_k:
        rows.append(("stream-K", _cut_text(plan)))
    return tuple(rows)
