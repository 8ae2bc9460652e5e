"""The kernel catalogue, in data: which tiles the GEMM libraries ship for each generation, dense and 2:4.

Sources. ``sm80`` and ``sm75``: the tile lists of CUTLASS 2.x's generator (NVIDIA/cutlass @7107b05,
``python/cutlass_library/generator.py``), of which cuBLAS's and cuSPARSELt's Ampere kernels carry the same names
(``..._tilesize128x128x64_stage3_warpsize2x2x1_...``). ``sm90``: see ``timing.catalogue.hopper``.
cuSPARSELt's Ampere kernels cut the reduction into two slices at most (inferred: with more, its times at small n and k of 8,192
are missed by up to 30 %, with none by up to 50 %).
In fp16 cuBLAS has tiles of 96, 160 and 192 columns on Ampere (``sm80_xmma_gemm_f16f16_f16f32_f32_..._tilesize160x128x32_...``
in many public profiles, none with split-K; no bf16 kernel of such a size was found, and measured bf16 GEMMs lack its gain). These
names give columns of D first, as the same library's convolutions give pixels first (inferred: measured times of n = 256 and 1,024
on an A100 follow). Ada's cuBLAS takes none of them (profiles of an L20 show ``ampere_fp16_s1688gemm_...`` instead; with them an
RTX 4090 is missed by up to 24 %).
In fp8 on Ada it has 64 bytes of K with four and six stages (``sm89_xmma_gemm_e4m3..._tilesize64x128x64_stage4_...``).
Ampere's small-n rows follow the int8 list (n = 32) and the ``_32x32_`` and ``_16x16_`` kernel names cuBLAS shows for decode
shapes (assumed: the full menu of cuBLAS is not public). Tiles do not depend on the type when K is counted in bytes.

Where an SM has 100 KB of shared memory (8.6, 8.9), the largest 2:4 tiles exist with two stages (assumed: with three they would
not fit).

Raster order (how CTAs walk the grid) belongs to the library: CUTLASS and cuBLAS walk groups of up to 8 n-tiles (Identity<8>
swizzle, ``threadblock_swizzle.h``); cuSPARSELt's Ampere kernels walk along m without swizzle (inferred: this order explains the
fall of its large-m GEMMs by DRAM re-reads of A; ``timing.md``).
"""

from __future__ import annotations

from functools import cache

from stcsim.errors import UnsupportedError
from stcsim.timing.catalogue.hopper import hopper
from stcsim.timing.catalogue.kernel import Kernel

# cta_m, cta_n, k_bytes, stages, warps_m, warps_n
_SM80_DENSE = (
    (256, 128, 64, 3, 4, 2),
    (128, 256, 64, 3, 2, 4),
    (256, 64, 64, 4, 4, 1),
    (64, 256, 64, 4, 1, 4),
    (128, 128, 64, 3, 2, 2),
    (128, 128, 64, 5, 2, 2),
    (128, 64, 64, 6, 2, 2),
    (64, 128, 64, 6, 2, 2),
    (64, 64, 64, 10, 2, 2),
    (256, 128, 128, 3, 4, 2),
    (128, 256, 128, 3, 2, 4),
    (256, 64, 128, 3, 4, 1),
    (64, 256, 128, 3, 1, 4),
    (128, 128, 128, 3, 2, 2),
    (128, 128, 128, 4, 2, 2),
    (128, 64, 128, 3, 2, 2),
    (64, 128, 128, 3, 2, 2),
    (64, 64, 128, 5, 2, 2),
    (256, 32, 128, 4, 4, 1),
    (128, 32, 128, 4, 4, 1),
    (32, 128, 128, 4, 1, 4),
    (64, 32, 128, 6, 2, 1),
    (128, 16, 128, 5, 4, 1),
    (64, 16, 128, 8, 4, 1),
    (32, 32, 256, 4, 2, 1),
)
_SM80_DENSE_FP16 = (
    (128, 192, 64, 3, 2, 4),
    (128, 160, 64, 4, 2, 2),
    (128, 96, 64, 4, 2, 2),
    (64, 96, 64, 3, 2, 2),
    (64, 96, 128, 4, 2, 2),
    (96, 64, 128, 4, 2, 2),
    (96, 64, 64, 4, 2, 2),
    (32, 32, 128, 6, 2, 2),
)
_SM89_DENSE_FP8 = (
    (128, 64, 64, 4, 2, 2),
    (64, 128, 64, 4, 2, 2),
    (64, 64, 64, 4, 2, 2),
    (64, 64, 64, 6, 2, 2),
)
_SM80_SPARSE = (
    (64, 128, 128, 6, 2, 2),
    (256, 128, 128, 3, 4, 2),
    (128, 256, 128, 3, 2, 4),
    (128, 128, 128, 3, 2, 2),
    (256, 64, 128, 3, 4, 1),
    (64, 256, 128, 4, 1, 4),
    (128, 64, 128, 3, 2, 2),
    (64, 64, 128, 4, 2, 2),
    (128, 128, 256, 3, 2, 4),
    (256, 64, 256, 3, 4, 1),
    (128, 64, 256, 4, 2, 2),
    (64, 128, 256, 3, 2, 2),
    (64, 64, 256, 3, 2, 2),
    (128, 32, 128, 5, 4, 1),
)
_TWO_STAGES_SPARSE = (
    (256, 128, 128, 2, 4, 2),
    (128, 256, 128, 2, 2, 4),
    (64, 256, 128, 2, 1, 4),
)
_SM75_DENSE = (
    (256, 128, 64, 2, 4, 2),
    (128, 256, 64, 2, 2, 4),
    (128, 128, 64, 2, 2, 2),
    (64, 256, 64, 2, 1, 4),
    (256, 64, 64, 2, 4, 1),
    (64, 128, 64, 2, 2, 2),
    (128, 64, 64, 2, 2, 2),
    (64, 64, 64, 2, 2, 2),
    (64, 32, 64, 2, 2, 1),
)


@cache
def kernels(family: str, sparse: bool) -> tuple[Kernel, ...]:
    """Return the catalogue of one generation, dense or 2:4.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if family in ("sm80", "sm86", "sm89"):  # GA102 and Ada run the Ampere tiles; Ada's fp8 list is the int8 one
        if not sparse:
            if family == "sm89":
                special = tuple(Kernel("sm80", False, *row, only="fp8") for row in _SM89_DENSE_FP8)
            else:
                special = tuple(Kernel("sm80", False, *row, max_splits=1, only="fp16") for row in _SM80_DENSE_FP16)
            return tuple(Kernel("sm80", False, *row) for row in _SM80_DENSE) + special + _gemv("sm80")
        rows = _SM80_SPARSE if family == "sm80" else _SM80_SPARSE + _TWO_STAGES_SPARSE
        return tuple(Kernel("sm80", True, *row, swizzle=1, max_splits=2) for row in rows)
    if family == "sm75":
        return () if sparse else tuple(Kernel("sm75", False, *row) for row in _SM75_DENSE) + _gemv("sm75")
    if family == "sm90":
        return tuple(hopper(sparse))
    raise UnsupportedError("kernel.family", "one of sm75, sm80, sm86, sm89, sm90", f"'{family}'")


def _gemv(family: str) -> tuple[Kernel, ...]:
    """Return the matrix-vector kernels that cuBLAS has before Hopper; each streams 512 bytes of 32 rows at a time (assumed)."""
    return (Kernel(family, False, 32, 8, 512, 4, 4, 1, max_splits=1, gemv=True),)
