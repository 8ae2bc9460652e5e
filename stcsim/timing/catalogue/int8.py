"""Kernels for dense int8 with 32-bit sums as results, in data: a menu of its own, much shorter than that of other types."""

from __future__ import annotations

from dataclasses import replace

from stcsim.isa import DType
from stcsim.timing.catalogue.row import Menu, Row

_SUM_BYTES = 4

SMALL = Menu(
    source="Kernel names in public profiles: cutlass_80_tensorop_i16832gemm_s8_128x64_128x3_tn_align16 (A100, GB300). None"
    " has split-K. Published times agree: dense int8 on an A100 PCIe takes 0.60 of its peak from n = 2,048 on, as"
    " the 128 x 64 tile must at the L2's rate, whatever m and k, and at n = 64 the cycles of one such CTA; an H100"
    " PCIe has the same tile up to n = 256 and one of 256 x 128 beyond.",
    family="sm80",
    max_splits=1,
    rows=(Row(cta_m=128, cta_n=64, k_bytes=128, stages=3, warps_m=2, warps_n=2),),
)
LARGE = Menu(
    source="Kernel names in public profiles: cutlass_80_tensorop_i16832gemm_s8_256x128_64x3_... (RTX 4090); no split-K."
    " That an A100 lacks it is inferred (it would be a third faster there).",
    family="sm80",
    max_splits=1,
    rows=(Row(cta_m=256, cta_n=128, k_bytes=64, stages=3, warps_m=4, warps_n=2),),
)
_HOPPER = Row(cta_m=256, cta_n=128, k_bytes=128, stages=0, warps_m=2, warps_n=1)
HOPPER = Menu(
    source="Kernel names in public profiles:"
    " sm90_xmma_gemm_i8i32_i8i32_i32_tn_n_tilesize256x128x128_warpgroupsize2x1x1_execute_segment_k_off_kernel__5x_cublas"
    " (H100); no split-K. The clusters are assumed: the names have none.",
    family="sm90",
    wgmma=True,
    max_splits=1,
    rows=(_HOPPER, replace(_HOPPER, cluster_m=2), replace(_HOPPER, cluster_n=2)),
)


def returns_sums(dtype: DType, out_bytes: int) -> bool:
    """Whether a GEMM is one of int8 that returns its 32-bit sums."""
    return dtype.name == "int8" and out_bytes == _SUM_BYTES
