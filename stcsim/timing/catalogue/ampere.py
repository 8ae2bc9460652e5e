"""Kernels of Ampere's libraries, which Ada's libraries run too: cuBLAS's dense ones and cuSPARSELt's 2:4 ones, in data.

Tiles do not depend on the type when K is counted in bytes. Raster order (how CTAs walk the grid) belongs to the library: CUTLASS
and cuBLAS walk groups of up to 8 n-tiles (Identity<8> swizzle, ``threadblock_swizzle.h``).
"""

from __future__ import annotations

from stcsim.timing.catalogue.row import Menu, Row

_GENERATOR = "CUTLASS 2.x's generator (NVIDIA/cutlass @7107b05, python/cutlass_library/generator.py)"

CUTLASS = Menu(
    source=f"The tile list of {_GENERATOR}, of which cuBLAS's Ampere kernels carry the same names"
    " (..._tilesize128x128x64_stage3_warpsize2x2x1_...).",
    family="sm80",
    rows=(
        Row(cta_m=256, cta_n=128, k_bytes=64, stages=3, warps_m=4, warps_n=2),
        Row(cta_m=128, cta_n=256, k_bytes=64, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=256, cta_n=64, k_bytes=64, stages=4, warps_m=4, warps_n=1),
        Row(cta_m=64, cta_n=256, k_bytes=64, stages=4, warps_m=1, warps_n=4),
        Row(cta_m=128, cta_n=128, k_bytes=64, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=128, k_bytes=64, stages=5, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=64, k_bytes=64, stages=6, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=64, stages=6, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=64, stages=10, warps_m=2, warps_n=2),
        Row(cta_m=256, cta_n=128, k_bytes=128, stages=3, warps_m=4, warps_n=2),
        Row(cta_m=128, cta_n=256, k_bytes=128, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=256, cta_n=64, k_bytes=128, stages=3, warps_m=4, warps_n=1),
        Row(cta_m=64, cta_n=256, k_bytes=128, stages=3, warps_m=1, warps_n=4),
        Row(cta_m=128, cta_n=128, k_bytes=128, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=128, k_bytes=128, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=64, k_bytes=128, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=128, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=128, stages=5, warps_m=2, warps_n=2),
    ),
)
SMALL_N = Menu(
    source="The int8 list of the same generator (n = 32) and the _32x32_ and _16x16_ kernel names that cuBLAS shows for"
    " decode shapes (assumed: the full menu of cuBLAS is not public).",
    family="sm80",
    rows=(
        Row(cta_m=256, cta_n=32, k_bytes=128, stages=4, warps_m=4, warps_n=1),
        Row(cta_m=128, cta_n=32, k_bytes=128, stages=4, warps_m=4, warps_n=1),
        Row(cta_m=32, cta_n=128, k_bytes=128, stages=4, warps_m=1, warps_n=4),
        Row(cta_m=64, cta_n=32, k_bytes=128, stages=6, warps_m=2, warps_n=1),
        Row(cta_m=128, cta_n=16, k_bytes=128, stages=5, warps_m=4, warps_n=1),
        Row(cta_m=64, cta_n=16, k_bytes=128, stages=8, warps_m=4, warps_n=1),
        Row(cta_m=32, cta_n=32, k_bytes=256, stages=4, warps_m=2, warps_n=1),
    ),
)
FP16 = Menu(
    source="In fp16 cuBLAS has tiles of 96, 160 and 192 columns on Ampere"
    " (sm80_xmma_gemm_f16f16_f16f32_f32_..._tilesize160x128x32_... in many public profiles, none with split-K; no"
    " bf16 kernel of such a size was found, and measured bf16 GEMMs lack its gain). These names give columns of D"
    " first, as the same library's convolutions give pixels first (inferred: measured times of n = 256 and 1,024 on"
    " an A100 follow). Ada's cuBLAS takes none of them (profiles of an L20 show ampere_fp16_s1688gemm_... instead;"
    " with them an RTX 4090 is missed by up to 24 %).",
    family="sm80",
    max_splits=1,
    only="fp16",
    rows=(
        Row(cta_m=128, cta_n=192, k_bytes=64, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=128, cta_n=160, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=96, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=96, k_bytes=64, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=96, k_bytes=128, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=96, cta_n=64, k_bytes=128, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=96, cta_n=64, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=32, cta_n=32, k_bytes=128, stages=6, warps_m=2, warps_n=2),
    ),
)
ADA_FP8 = Menu(
    source="In fp8 cuBLAS has 64 bytes of K with four and six stages on Ada"
    " (sm89_xmma_gemm_e4m3..._tilesize64x128x64_stage4_...); the rest of its fp8 list is the int8 one.",
    family="sm80",
    only="fp8",
    rows=(
        Row(cta_m=128, cta_n=64, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=64, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=64, stages=6, warps_m=2, warps_n=2),
    ),
)
GEMV = Menu(
    source="The matrix-vector kernels that cuBLAS has before Hopper; each streams 512 bytes of 32 rows at a time (assumed).",
    family="sm80",
    max_splits=1,
    gemv=True,
    rows=(Row(cta_m=32, cta_n=8, k_bytes=512, stages=4, warps_m=4, warps_n=1),),
)
CUSPARSELT = Menu(
    source=f"The sparse tile list of {_GENERATOR}, whose names cuSPARSELt's kernels carry. They walk along m without"
    " swizzle (inferred: this order explains the fall of its large-m GEMMs by DRAM re-reads of A) and cut the"
    " reduction into two slices at most (inferred: with more, its times at small n and k of 8,192 are missed by up"
    " to 30 %, with none by up to 50 %).",
    family="sm80",
    sparse=True,
    swizzle=1,
    max_splits=2,
    rows=(
        Row(cta_m=64, cta_n=128, k_bytes=128, stages=6, warps_m=2, warps_n=2),
        Row(cta_m=256, cta_n=128, k_bytes=128, stages=3, warps_m=4, warps_n=2),
        Row(cta_m=128, cta_n=256, k_bytes=128, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=128, cta_n=128, k_bytes=128, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=256, cta_n=64, k_bytes=128, stages=3, warps_m=4, warps_n=1),
        Row(cta_m=64, cta_n=256, k_bytes=128, stages=4, warps_m=1, warps_n=4),
        Row(cta_m=128, cta_n=64, k_bytes=128, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=128, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=128, k_bytes=256, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=256, cta_n=64, k_bytes=256, stages=3, warps_m=4, warps_n=1),
        Row(cta_m=128, cta_n=64, k_bytes=256, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=256, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=256, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=32, k_bytes=128, stages=5, warps_m=4, warps_n=1),
    ),
)
CUSPARSELT_TWO_STAGES = Menu(
    source="Where an SM has 100 KB of shared memory (8.6, 8.9), the largest 2:4 tiles exist with two stages (assumed: with"
    " three they would not fit).",
    family="sm80",
    sparse=True,
    swizzle=1,
    max_splits=2,
    rows=(
        Row(cta_m=256, cta_n=128, k_bytes=128, stages=2, warps_m=4, warps_n=2),
        Row(cta_m=128, cta_n=256, k_bytes=128, stages=2, warps_m=2, warps_n=4),
        Row(cta_m=64, cta_n=256, k_bytes=128, stages=2, warps_m=1, warps_n=4),
    ),
)
CUSPARSELT_ADA_FP8 = Menu(
    source="The same tiles, but none smaller than 128 x 64 and no slices of k: on an RTX 4090 fp8 times of one m and k are the"
    " same from n = 64 on until tiles of 128 x 64 outnumber the SMs, and twice as long then (inferred; kernels of its own for"
    " fp8 on 8.9 came with cuSPARSELt 0.8.0).",
    family="sm80",
    sparse=True,
    swizzle=1,
    max_splits=1,
    only="fp8",
    rows=tuple(row for menu in (CUSPARSELT, CUSPARSELT_TWO_STAGES) for row in menu.rows if min(row.cta_m, 2 * row.cta_n) >= 128),
)
