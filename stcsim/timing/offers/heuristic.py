"""Which kernel a dense library takes unmeasured: a model of cuBLAS's heuristics before Hopper, by a cost coarser than the truth.

Inferred from 588 published times of torch's linear layers on an A100 (``tests/validation/README.md``): for one k they depend
on m x n alone, and each fits one kernel. Waves count whole (256 tiles of 128 x 128 on 216 slots cost as much as 432),
partial sums of split-K are dear (64 tiles stay whole at k = 4,096 though 108 SMs are there), what an SM loads comes at its
share of the L2, and fewer than eight warps on an SM are taken to reach 0.7 of the tensor cores. The numbers are what those
times are met best with.

int8 with 32-bit results has two kernels (``timing.catalogue.int8``). Where an SM has room for one CTA of the small one
(100 KB), the large one is taken from two of its tiles for each SM on (inferred from 62 published times of an A40 and an
RTX 4090, of which none contradicts).
"""

from __future__ import annotations

from collections.abc import Sequence

from stcsim.arch import Arch
from stcsim.timing.catalogue.int8 import LARGE, SMALL
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.problem import Problem, ceil_div
from stcsim.timing.rates import l2_latency_cycles, reduction_bytes, tensor_rate, tile_bytes

LONE_SHARE = 0.7
"""Share of the tensor cores that fewer than eight warps on an SM are taken to reach."""
_FAMILIES = ("sm75", "sm80", "sm86", "sm89")
_WARPS = 8
_REDUCTION_BYTES_PER_CLK = 500.0
_WRITE_BYTES_PER_CLK = 25.0  # of one SM; hardly matters
_LARGE_TILES_PER_SM = 2


def has_heuristics(arch: Arch) -> bool:
    """Whether the rule here is known to hold: before Hopper, whose published times a search meets better (5.5 against 6.0 %)."""
    return arch.kernel.family in _FAMILIES


def pick(offers: Sequence[Cut]) -> int:
    """Return the index of the kernel that heuristics take (ties: the first)."""
    if {cut.kernel for cut in offers} == {SMALL, LARGE}:
        large = next(index for index, cut in enumerate(offers) if cut.kernel == LARGE)
        return large if offers[large].tiles >= _LARGE_TILES_PER_SM * offers[large].arch.sm.count else 1 - large
    return min(range(len(offers)), key=lambda index: heuristic_cycles(offers[index]))


def heuristic_cycles(cut: Cut) -> float:
    """Return the cost by which a library's heuristics rank a kernel, in cycles."""
    written = cut.resident * cut.tiling.tile_m * cut.tiling.tile_n * cut.problem.out_bytes / _WRITE_BYTES_PER_CLK
    waves = ceil_div(cut.tiles, cut.slots) * (cut.slice_iterations * _iteration(cut) + written)
    return waves + _reduction(cut.arch, cut.problem, cut.tiling.splits)


def _reduction(arch: Arch, problem: Problem, splits: int) -> float:
    """Cycles that cutting k is taken to cost."""
    if splits == 1:
        return 0.0
    return arch.launch.graph_us * arch.clock.sustained_mhz + reduction_bytes(problem, splits) / _REDUCTION_BYTES_PER_CLK


def _iteration(cut: Cut) -> float:
    """Cycles of one iteration of all CTAs on an SM."""
    arch, problem, kernel, tiling = cut
    cta_k = kernel.cta_k(problem.dtype)
    lone = kernel.warps_m * kernel.warps_n * tiling.ctas_per_sm < _WARPS
    tensor = kernel.cta_m * kernel.cta_n * cta_k / tensor_rate(arch, problem, kernel) / (LONE_SHARE if lone else 1.0)
    loaded = sum(tile_bytes(problem, kernel))
    loads = loaded * arch.sm.count / arch.l2.bandwidth_bytes_per_clk
    latency = (2 * l2_latency_cycles(arch) + max(tensor, loads)) / max(1, tiling.stages - 1)
    return max(cut.resident * max(tensor, loads), latency)
