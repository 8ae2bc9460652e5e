"""Kernel selection as a tuned library does it: discard by closed form, time the few that remain, keep the fastest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.timing.conv_catalogue import find, menu
from stcsim.timing.estimate import estimate_cycles
from stcsim.timing.heuristic import has_heuristics, pick
from stcsim.timing.kernel import SPLITS, Kernel
from stcsim.timing.lower import lower
from stcsim.timing.plan import TICKS_PER_CYCLE, GemmTiming, TilePlan
from stcsim.timing.problem import Problem
from stcsim.timing.shortlist import shortlist
from stcsim.timing.steady import simulate_long
from stcsim.timing.stream_k import cut_tiles
from stcsim.timing.tiling import Tiling, tile_up

SIMULATED = 8
"""Most kernels that are simulated for one GEMM."""
VERY_LARGE_ITERATIONS = 20_000_000
ALIKE = 1.03
"""Estimates of a very large GEMM that differ by less say nothing of which kernel is faster."""
LARGE_MENU = 200
"""Kernels from which on a menu is put through the first sieve (``shortlist``)."""
MARGIN = 1.2
"""A kernel is not simulated if its estimate is so many times the best simulation so far."""
MOST_ITERATIONS = 500_000_000
"""Largest kernel that is simulated; a larger GEMM is refused."""
BUDGET_ITERATIONS = 300_000
"""After so many simulated tile-iterations no further kernel is tried: the larger the GEMM, the better the estimates."""

HEURISTIC = "heuristic"
"""Instead of a kernel's name: the dense kernel that cuBLAS takes without measuring any (``timing.heuristic``); 2:4 as ever."""

STREAM_K_WAVES = 8
"""Waves from which on stream-K is not tried: an empty last wave costs an eighth at most."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kernel cut for a problem, with its closed-form estimate and, if it was worth it, its simulation."""

    kernel: Kernel
    tiling: Tiling
    estimate_cycles: float
    plan: TilePlan | None = None
    timing: GemmTiming | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key: simulated ones by ticks first, the rest by estimate."""
        return (0, float(self.timing.total_ticks)) if self.timing else (1, self.estimate_cycles)


def candidates(arch: Arch, problem: Problem, sparse: bool, forced: str | None = None) -> list[Candidate]:
    """Return every kernel and split that fits, best estimate first (ties: catalogue order, fewer slices first).

    Raises:
        UnsupportedError: when no kernel fits or the forced one does not.
    """
    too_large = False
    for pairs in _pairs(arch, problem, sparse, forced):
        found, too_large = _cut(arch, problem, pairs, forced is not None)
        if found:
            return sorted(found, key=lambda candidate: candidate.estimate_cycles)
        if too_large:
            break
    if too_large:
        expected = f"a GEMM of at most {MOST_ITERATIONS:,} tile-iterations (65,536 on a side is well inside)"
        raise UnsupportedError(f"{problem.m}x{problem.n}x{problem.k}", expected, "a larger one")
    mode = "2:4" if sparse else "dense"
    raise UnsupportedError(
        f"{arch.name}",
        f"a {mode} {problem.dtype.name} kernel that fits {problem.m}x{problem.n}x{problem.k}",
        forced or "none",
    )


def _pairs(arch: Arch, problem: Problem, sparse: bool, forced: str | None) -> Iterator[list[tuple[Kernel, int]]]:
    """Yield kernels with their k-slices: the best of a large menu, and all of it should none of those fit."""
    if forced is not None:
        yield [find(arch.kernel.family, sparse, problem.dtype, problem.conv, forced, problem.out_bytes)]
        return
    offered = menu(arch.kernel.family, sparse, problem.dtype, problem.conv, problem.out_bytes)
    if len(offered) > LARGE_MENU:
        yield shortlist(arch, problem, offered)
    yield [(kernel, splits) for kernel in offered for splits in SPLITS if splits <= kernel.max_splits]


def _cut(arch: Arch, problem: Problem, pairs: list[tuple[Kernel, int]], forced: bool) -> tuple[list[Candidate], bool]:
    """Return what fits the GPU, each with its closed form, and whether something is left out because it is too large."""
    found, too_large = [], False
    for kernel, splits in pairs:
        if kernel.gemv and problem.n > 1 or not forced and not kernel.takes(problem.dtype):
            continue
        if splits > 1 and not forced and not _worth_splitting(arch, problem, kernel, splits):
            continue
        tiling = tile_up(arch, problem, kernel, splits)
        if tiling is None or kernel.stream_k and not forced and not _worth_cutting(problem, tiling):
            continue
        if _tile_iterations(problem, tiling) > MOST_ITERATIONS:
            too_large = True
        else:
            found.append(Candidate(kernel, tiling, estimate_cycles(arch, problem, kernel, tiling)))
    return found, too_large


def _tile_iterations(problem: Problem, tiling: Tiling) -> int:
    """Return what a plan will have, before there is one."""
    return tiling.tiles * problem.batch * tiling.k_iters // tiling.splits


def _worth_splitting(arch: Arch, problem: Problem, kernel: Kernel, splits: int) -> bool:
    """Slices pay only while the tiles alone leave SMs empty."""
    tiles = -(-problem.m // kernel.cta_m) * -(-problem.n // kernel.cta_n) * problem.batch
    return tiles * (splits - 1) < 4 * arch.sm.count and problem.k >= splits * kernel.cta_k(problem.dtype) * 2


def _worth_cutting(problem: Problem, tiling: Tiling) -> bool:
    """Whether a library offers stream-K: a last wave less than half full (CUTLASS's rule) that is a good part of the time.

    With less than one wave more than two slots share a tile and wait for each other, which the plan does not know: split-K is
    for those. What a fused kernel keeps on the SM cannot be shared out.
    """
    tiles, slots = tiling.tiles * problem.batch, tiling.units * tiling.ctas_per_sm
    if problem.a_on_chip or problem.d_on_chip or not slots < tiles < STREAM_K_WAVES * slots:
        return False
    return cut_tiles(tiles, slots, tiling.k_iters) > 0 and 2 * (tiles % slots) < slots


def select(
    arch: Arch,
    problem: Problem,
    sparse: bool,
    simulate: Callable[[TilePlan], GemmTiming],
    forced: str | None = None,
    limit: int = SIMULATED,
    margin: float = MARGIN,
) -> list[Candidate]:
    """Simulate the most promising kernels; return all candidates, the winner first (ties: the better estimate).

    ``forced`` is a kernel's name, or ``HEURISTIC``.

    Raises:
        UnsupportedError: as :func:`candidates`.
    """
    if forced == HEURISTIC:
        if not sparse and problem.n > 1 and has_heuristics(arch):
            return _by_heuristic(arch, problem, candidates(arch, problem, sparse), simulate)
        forced = None
    ranked = _coarse_first(problem, candidates(arch, problem, sparse, forced))
    timed: list[Candidate] = []
    best_cycles, iterations = math.inf, 0
    for candidate in ranked[:limit]:
        if candidate.estimate_cycles > margin * best_cycles or iterations > BUDGET_ITERATIONS:
            break
        timed.append(simulated(arch, problem, candidate, simulate))
        best_cycles = min(best_cycles, timed[-1].rank[1] / TICKS_PER_CYCLE)
        iterations += _tile_iterations(problem, candidate.tiling)
    return sorted(timed, key=lambda candidate: candidate.rank) + ranked[len(timed) :]


def _coarse_first(problem: Problem, ranked: list[Candidate]) -> list[Candidate]:
    """Of a very large GEMM's kernels with about the same estimate put the one first that takes least to simulate."""
    if _tile_iterations(problem, ranked[0].tiling) <= VERY_LARGE_ITERATIONS:
        return ranked
    near = [candidate for candidate in ranked if candidate.estimate_cycles <= ALIKE * ranked[0].estimate_cycles]
    return sorted(near, key=lambda candidate: _tile_iterations(problem, candidate.tiling)) + ranked[len(near) :]


def simulated(
    arch: Arch,
    problem: Problem,
    candidate: Candidate,
    simulate: Callable[[TilePlan], GemmTiming],
    clock_mhz: float | None = None,
) -> Candidate:
    """Return ``candidate`` with its plan and timing at ``clock_mhz``, by default the clock that GEMMs hold below the limit."""
    plan = lower(arch, problem, candidate.kernel, candidate.tiling, clock_mhz)
    return replace(candidate, plan=plan, timing=simulate_long(plan, candidate.tiling, candidate.kernel, simulate))


def _by_heuristic(
    arch: Arch, problem: Problem, ranked: list[Candidate], simulate: Callable[[TilePlan], GemmTiming]
) -> list[Candidate]:
    """Return all candidates, first the one that heuristics take, the only one that is simulated (ties: the better estimate)."""
    taken = ranked[pick(arch, problem, [(each.kernel, each.tiling) for each in ranked])]
    return [simulated(arch, problem, taken, simulate), *(each for each in ranked if each is not taken)]
