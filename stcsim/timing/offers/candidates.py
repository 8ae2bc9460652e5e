"""Which kernels a library offers for a GEMM on a GPU, each cut in the ways it would try, with a closed-form estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.timing.catalogue.kernel import SPLITS, Kernel
from stcsim.timing.catalogue.libraries import DEFAULT, ruled
from stcsim.timing.catalogue.menu import find, menu
from stcsim.timing.lowering.cut import Cut, Tiling
from stcsim.timing.lowering.stream_k import cut_tiles
from stcsim.timing.lowering.tiling import balanced, on_units, tile_up
from stcsim.timing.offers.closed_form import worth_splitting
from stcsim.timing.offers.estimate import Estimate, estimates
from stcsim.timing.offers.shortlist import shortlist
from stcsim.timing.plan import GemmTiming, TilePlan
from stcsim.timing.problem import Problem, ceil_div

LARGE_MENU = 200
"""Kernels from which on a menu is put through the first sieve (``shortlist``)."""
MOST_ITERATIONS = 500_000_000
"""Tile-iterations of the largest kernel that is simulated; a larger GEMM is refused."""
ITERATIONS_OF_A_TILE = 10
"""A tile counts for so many at least: tiles are held in memory."""
_BETWEEN = (0.2, 0.4, 0.6, 0.8)
_FAR_APART = 0.1  # as a share of all SMs: between grids that are closer none is tried
STREAM_K_WAVES = 8
"""Waves from which on stream-K is not tried: an empty last wave costs an eighth at most."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kernel cut for a problem, with its closed forms and, if it was worth it, its simulation at one clock.

    Attributes:
        cut: the problem on the GPU, and how the kernel cuts it.
        estimate: the closed forms of that.
        plan: what was simulated.
        timing: what came of it.
        clock_mhz: the SM clock at which it was simulated.
    """

    cut: Cut
    estimate: Estimate
    plan: TilePlan | None = None
    timing: GemmTiming | None = None
    clock_mhz: float = 0.0

    @property
    def kernel(self) -> Kernel:
        """The kernel."""
        return self.cut.kernel

    @property
    def tiling(self) -> Tiling:
        """How it cuts the problem."""
        return self.cut.tiling


def candidates(arch: Arch, problem: Problem, sparse: bool, forced: str | None = None, library: str = DEFAULT) -> list[Candidate]:
    """Return every kernel and split that fits, best estimate first (ties: catalogue order, fewer slices first).

    Of a ``library`` that takes 2:4 kernels by a rule that is one, on all SMs.

    Raises:
        UnsupportedError: when no kernel fits or the forced one does not.
    """
    too_large = False
    rule = ruled(library, arch.kernel.family, problem.dtype, problem.m, problem.n) if sparse and forced is None else None
    every = _pairs(arch, problem, sparse, forced, library) if rule is None else [[(rule, 1)]]
    for pairs in every:
        found, too_large = _cut_all(arch, problem, pairs, forced is not None, rule is not None)
        if found:
            return sorted(found, key=lambda candidate: candidate.estimate.cycles)
        if too_large:
            break
    if too_large:
        counted = f"{MOST_ITERATIONS:,} tile-iterations, {ITERATIONS_OF_A_TILE} for each tile at least"
        expected = f"a GEMM of at most {counted} (65,536 on a side is well inside)"
        raise UnsupportedError(f"{problem.m}x{problem.n}x{problem.k}", expected, "a larger one")
    mode = "2:4" if sparse else "dense"
    raise UnsupportedError(
        f"{arch.name}",
        f"a {mode} {problem.dtype.name} kernel that fits {problem.m}x{problem.n}x{problem.k}",
        forced or "none",
    )


def offered(cuts: Sequence[Cut]) -> list[Candidate]:
    """Return cuts of one problem on one GPU as candidates, with their closed forms."""
    return [Candidate(cut, estimate) for cut, estimate in zip(cuts, estimates(cuts), strict=True)]


def _pairs(arch: Arch, problem: Problem, sparse: bool, forced: str | None, library: str) -> Iterator[list[tuple[Kernel, int]]]:
    """Yield kernels with their k-slices: the best of a large menu, and all of it should none of those fit."""
    if forced is not None:
        yield [find(arch.kernel.family, sparse, problem.dtype, problem.conv, forced, problem.out_bytes, library)]
        return
    offered = menu(arch.kernel.family, sparse, problem.dtype, problem.conv, problem.out_bytes, library)
    if len(offered) > LARGE_MENU:
        yield shortlist(arch, problem, offered)
    yield [(kernel, splits) for kernel in offered for splits in SPLITS if splits <= kernel.max_splits]


def _cut_all(
    arch: Arch, problem: Problem, pairs: list[tuple[Kernel, int]], forced: bool, ruled: bool = False
) -> tuple[list[Candidate], bool]:
    """Return what fits the GPU, each with its closed forms, and whether something is left out because it is too large.

    What a rule names runs on all SMs.
    """
    found: list[Cut] = []
    too_large = False
    for kernel, splits in pairs:
        cut = _worthwhile(arch, problem, kernel, splits, forced)
        if cut is not None and max(cut.tile_iterations, ITERATIONS_OF_A_TILE * cut.tiles) > MOST_ITERATIONS:
            too_large = True
        elif cut is not None:
            found += [cut] if ruled else _grids(cut)
    return offered(found), too_large


def _worthwhile(arch: Arch, problem: Problem, kernel: Kernel, splits: int, forced: bool) -> Cut | None:
    """Return how a library cuts ``problem`` with a kernel and so many slices; ``None`` where it would not, or cannot."""
    if kernel.gemv and problem.n > 1 or not forced and not kernel.takes(problem.dtype):
        return None
    if splits > 1 and not forced:
        if not worth_splitting(arch, problem, kernel.cta_m, kernel.cta_n, kernel.cta_k(problem.dtype), splits):
            return None
    cut = tile_up(arch, problem, kernel, splits)
    if cut is None or kernel.stream_k and not forced and not _worth_cutting(cut):
        return None
    return cut


def _grids(cut: Cut) -> Iterator[Cut]:
    """Yield a kernel on all SMs; and on fewer, where no SM gets more tiles by that (convolutions: libraries have no such option).

    A GEMM of one column of tiles streams its weights, and its library spreads it over all SMs (inferred: cuSPARSELt's times of
    m = 16,384 at n <= 128 on an H100 PCIe are those of a whole wave and a rest; a grid of half the SMs would be 15 % faster).
    """
    yield cut
    fewer = balanced(cut)
    if fewer.tiling.leaves_idle and _may_leave_idle(cut):
        yield fewer


def other_grids(chosen: Candidate) -> Iterator[Cut]:
    """Yield ``chosen`` on other numbers of SMs: a tile more for each, and between as few as get no more and all."""
    whole = tile_up(chosen.cut.arch, chosen.cut.problem, chosen.kernel, chosen.tiling.splits)
    if whole is None or not _may_leave_idle(whole):
        return
    most, least = whole.tiling.units, balanced(whole).tiling.units
    far = most - least > _FAR_APART * most
    steps = {round(least + share * (most - least)) for share in _BETWEEN} if far else set()
    fewer = ceil_div(whole.tiles, ceil_div(whole.tiles, most) + 1)
    for units in sorted({fewer, *steps} - {least, most}):
        yield on_units(whole, units)


def _may_leave_idle(cut: Cut) -> bool:
    return cut.problem.conv is None and cut.tiling.n_tiles > 1 and not cut.kernel.stream_k


def _worth_cutting(cut: Cut) -> bool:
    """Whether a library offers stream-K: a last wave less than half full (CUTLASS's rule) that is a good part of the time.

    With less than one wave more than two slots share a tile and wait for each other, which the plan does not know: split-K is
    for those. What a fused kernel keeps on the SM cannot be shared out.
    """
    tiles, slots = cut.tiles, cut.slots
    if cut.problem.a_on_chip or cut.problem.d_on_chip or not slots < tiles < STREAM_K_WAVES * slots:
        return False
    return cut_tiles(tiles, slots, cut.tiling.k_iters) > 0 and 2 * (tiles % slots) < slots
