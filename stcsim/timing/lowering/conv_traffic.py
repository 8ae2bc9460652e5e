"""How often a convolution's implicit GEMM moves bytes of its input, B: taps of a filter read overlapping pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.tiling import load_share, stage_bytes
from stcsim.timing.problem import ceil_div


@dataclass(frozen=True, slots=True)
class Reuse:
    """How often bytes of B move. Shares of a tile's bytes: ``from_l2`` of every load, ``from_dram`` of a load that misses.

    ``period`` loads are distinct, later ones touch the same bytes again.
    """

    from_l2: float
    from_dram: float
    period: int


def conv_reuse(cut: Cut) -> Reuse:
    """Return what a convolution's implicit GEMM reads of its input; a plain GEMM reads each of its bytes once.

    When the pixels a CTA tile touches for one slice of channels fit the L1 that the shared memory of the resident CTAs leaves,
    each is fetched from L2 once (CTA tile plus halo, taps innermost); else every tap goes to L2 (a patch kernel's load of a
    filter row once), where the same chunks are touched again. TMA (wgmma kernels) goes around L1. From DRAM comes the tile
    without its halo, which the neighbouring tile brings. A patch that hangs over the image's edge loads nothing there.
    """
    arch, problem, kernel, tiling = cut
    conv = problem.conv
    if conv is None or conv.r * conv.s == 1:
        return Reuse(1.0, 1.0, tiling.k_iters)
    taps, step = conv.r * conv.s, conv.stride[0] * conv.stride[1]
    rows, columns = kernel.patch or (ceil_div(tiling.tile_n, conv.q), min(tiling.tile_n, conv.q))
    unique = ((rows - 1) * conv.stride[0] + conv.r) * ((columns - 1) * conv.stride[1] + conv.s)
    own = min(1.0, step / taps) * tiling.filled
    resident = cut.resident
    smem_bytes = resident * tiling.stages * stage_bytes(kernel, problem)
    l1_bytes = arch.shared_memory.unified_kib * 1024 - smem_bytes
    slice_bytes = kernel.k_bytes // kernel.taps
    if not kernel.wgmma and resident * unique * slice_bytes <= l1_bytes:
        fetched = min(1.0, unique / (tiling.tile_n * taps)) * tiling.filled
        return Reuse(fetched, min(own, fetched), tiling.k_iters)
    once = load_share(kernel) * tiling.filled
    period = max(1, math.ceil(tiling.k_iters * own / once))
    return Reuse(once, min(once, tiling.k_iters * own / period), period)
