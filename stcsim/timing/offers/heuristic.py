"""Which kernel a dense library takes unmeasured: a model of cuBLAS's heuristics before Hopper, by a cost coarser than the truth.

Inferred from 588 published times of torch's linear layers on an A100 (``docs/misses.md``): for one k they depend
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

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.catalogue.families import family_of
from stcsim.timing.catalogue.int8 import LARGE, SMALL
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.offers.closed_form import waves
from stcsim.timing.offers.columns import Columns, columns_of
from stcsim.timing.problem import Problem
from stcsim.timing.rates import (
    Iteration,
    Numbers,
    l2_latency_cycles,
    largest,
    reduction_bytes,
    step_cycles,
    tensor_rate,
    tile_bytes,
)

LONE_SHARE = 0.7
"""Share of the tensor cores that fewer than ``FEW_WARPS`` on an SM are taken to reach."""
FEW_WARPS = 8
"""Warps of an SM from which on its tensor cores are taken to be full."""
LATENCIES = 2
"""Latencies of an L2 hit that a load is taken to have."""
REDUCTION_BYTES_PER_CLK = 500.0
"""Bytes a cycle at which the reduction after split-K is taken to run."""
WRITE_BYTES_PER_CLK = 25.0
"""Bytes a cycle at which one SM is taken to write D; hardly matters."""
LARGE_TILES_PER_SM = 2
"""Tiles of the large int8 kernel for each SM from which on it is taken."""
_LARGE, _SMALL = LARGE.kernels()[0], SMALL.kernels()[0]


def has_heuristics(arch: Arch) -> bool:
    """Whether the rule here is known to hold: before Hopper, whose published times a search meets better (5.5 against 6.0 %)."""
    return family_of(arch.kernel.family).has_heuristics


def pick(cuts: Sequence[Cut]) -> int:
    """Return the index of the kernel that heuristics take (ties: the first)."""
    if {cut.kernel for cut in cuts} == {_SMALL, _LARGE}:
        large = next(index for index, cut in enumerate(cuts) if cut.kernel == _LARGE)
        return large if cuts[large].tiles >= LARGE_TILES_PER_SM * cuts[large].arch.sm.count else 1 - large
    return int(np.argmin(heuristic_cycles(columns_of(cuts))))


def heuristic_cycles(many: Columns) -> Numbers:
    """Return the cost by which a library's heuristics rank each kernel, in cycles."""
    arch, problem, resident = many.arch, many.problem, many.resident
    step = step_cycles(
        arch,
        _iteration(many),
        resident=resident,
        active=0,  # of the L2 each SM has its share, whoever is at work
        stages=many.stages,
        latency=LATENCIES * l2_latency_cycles(arch),
    )
    written = resident * many.tile_m * many.tile_n * problem.out_bytes / WRITE_BYTES_PER_CLK
    whole = waves(many.tiles, many.slots, least_last=1.0)
    return whole * (many.slice_iterations * step + written) + many.of_splits(lambda splits: _reduction(arch, problem, splits))


def _reduction(arch: Arch, problem: Problem, splits: int) -> float:
    """Cycles that cutting k is taken to cost."""
    if splits == 1:
        return 0.0
    return arch.launch.graph_us * arch.clock.sustained_mhz + reduction_bytes(problem, splits) / REDUCTION_BYTES_PER_CLK


def _iteration(many: Columns) -> Iteration:
    """One iteration of a CTA as heuristics see it: MACs and loads; shared memory and barriers cost nothing."""
    arch, problem = many.arch, many.problem
    lone = many.of_kernels(lambda kernel: kernel.warps_m * kernel.warps_n) * many.ctas_per_sm < FEW_WARPS
    macs = many.of_kernels(lambda kernel: kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype))
    tensor = macs / many.of_kernels(lambda kernel: tensor_rate(arch, problem, kernel)) / np.where(lone, LONE_SHARE, 1.0)
    loaded = many.of_kernels(lambda kernel: sum(tile_bytes(problem, kernel)))
    loads = loaded * arch.sm.count / arch.l2.bandwidth_bytes_per_clk
    return Iteration(tensor=tensor, port=0.0, ingress=loads, alone=largest(tensor, loads), sync=0.0, l2_bytes=0.0)
