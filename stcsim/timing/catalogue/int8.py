"""cuBLAS's dense kernels for int8 with 32-bit sums as results: a menu of its own, much shorter than that of other types.

Sources: kernel names in public profiles. Two of CUTLASS's are all that was found before Hopper:
``cutlass_80_tensorop_i16832gemm_s8_128x64_128x3_tn_align16`` (A100, GB300) and ``..._256x128_64x3_...`` (RTX 4090), on Hopper
``sm90_xmma_gemm_i8i32_i8i32_i32_tn_n_tilesize256x128x128_warpgroupsize2x1x1_execute_segment_k_off_kernel__5x_cublas`` (H100).
None has split-K. Published times agree: dense int8 on an A100 PCIe takes 0.60 of its peak from n = 2,048 on, as the 128 x 64 tile
must at the L2's rate, whatever m and k, and at n = 64 the cycles of one such CTA; an H100 PCIe has the same tile up to n = 256
and one of 256 x 128 beyond. That an A100 lacks the large one is inferred (it would be a third faster there); Hopper's clusters
are assumed: the names have none.
"""

from __future__ import annotations

from functools import cache

from stcsim.isa import DType
from stcsim.timing.catalogue.kernel import Kernel

SMALL = Kernel("sm80", False, 128, 64, 128, 3, 2, 2, max_splits=1)
LARGE = Kernel("sm80", False, 256, 128, 64, 3, 4, 2, max_splits=1)
_CLUSTERS = ((1, 1), (2, 1), (1, 2))
_SUM_BYTES = 4


def has_own_menu(family: str, sparse: bool, dtype: DType, out_bytes: int) -> bool:
    """Whether the dense GEMM is one of int8 that returns its sums, on a GPU where the kernels for those are known."""
    return not sparse and dtype.name == "int8" and out_bytes == _SUM_BYTES and family in ("sm80", "sm86", "sm89", "sm90")


@cache
def int8_sums(family: str) -> tuple[Kernel, ...]:
    """Return the kernels for int8 with 32-bit results."""
    if family == "sm90":
        return (SMALL, *(_hopper(*cluster) for cluster in _CLUSTERS))
    return (SMALL,) if family == "sm80" else (LARGE, SMALL)


def _hopper(cluster_m: int, cluster_n: int) -> Kernel:
    return Kernel(
        "sm90", False, 256, 128, 128, 0, 2, 1, wgmma=True, cluster_m=cluster_m, cluster_n=cluster_n, max_splits=1
    )  # fmt: skip
