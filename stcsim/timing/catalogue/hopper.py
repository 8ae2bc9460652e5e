"""Hopper's kernels: cuBLAS's with their fine grid of tiles and clusters of up to eight, CUTLASS's stream-K, cuSPARSELt's 2:4.

Sources. cuBLAS: kernel names in public profiles of H100 and H200, ``nvjet_sm90_tst_<m>x<n>_<k>x<stages>_<cluster>_...``.
Tiles have 64, 128, 192, 256, 320 or 384 rows and any multiple of 8 columns (64x8, 64x16, ... 64x240; 128x48, 128x56, ...
128x208; 192x192, 192x208, 256x104, 320x128, 384x80), or 64 or 128 columns and any multiple of 8 rows (8x64, 16x64, 80x64,
96x64, 144x64, 96x128, 176x128, 288x128; ``TNN`` at the end of their names, taken to mean that rows of the MMA lie along n),
128 bytes of k and as many stages as shared memory holds beside 16.5 KB (for D on its way, and barriers), sixteen at most:
that meets the stages in all of 88 names (``test_hopper_catalogue.py``). Up to 256x88 and 176x128 a name lacks ``coop``: one
warpgroup has the tile to itself, as many sums a thread as registers hold, and another one works on the next tile meanwhile
(taken to be CUTLASS's ping-pong; all have 384 threads). From 128x184 on two share it. Clusters of 2x1 and 1x2 have names in
all sizes; 4x1, 1x4, 2x2, 4x2 and 2x4 from 64x8 to 96x64 and for 128x64, 128x136, 320x128 and 384x80: here clusters of four
are for all, of eight for the small ones. CUTLASS: ``sm90_shapes`` of its generator (NVIDIA/cutlass @7107b05), clusters of up
to two. Stream-K is CUTLASS's (``StreamKScheduler``); older cuBLAS kernels are called ``..._segment_k_on_kernel__5x_cublas``
(public profiles), which is taken to be the same. cuSPARSELt: tiles of n >= 64, no ping-pong and no split-K, and for elements
wider than 8 bits only tiles of m = 128 and n >= 128, these in clusters of 2x2 too (inferred: in bf16 its times are the same
from n = 64 to 256, one more wave shows as soon as tiles of 128 x 128 outnumber the SMs, and m = 16,384 at n = 64 takes two;
in fp8 smaller tiles are needed to meet them; without 2x2 nothing is gained at 8192 cubed on H100 SXM, where 1.20 to 1.22 are
published, with it fp8 speedups on H100 PCIe are missed by more).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stcsim.timing.catalogue.kernel import SPLITS, Kernel

_K_BYTES = 128
_PAIRS = ((1, 1), (2, 1), (1, 2))
_FOURS = ((4, 1), (1, 4), (2, 2))
_EIGHTS = ((4, 2), (2, 4))
_LONG = (64, 128, 192, 256, 320, 384)  # along the rows of the MMA
_LONG_TRANSPOSED = (64, 128)
_WIDE = range(8, 257, 8)  # along its columns
_WIDE_SHARED = range(272, 321, 16)  # along the columns of two
_ALONE = 176 * 128  # most sums of a tile that one warpgroup computes: 176 a thread
_SHARED = 160 * 256  # of one that two share
_STAGING_BYTES = 16 * 1024 + 512
_SMALL = 64 * 96  # largest tile in clusters of eight

# cta_m, cta_n, consumer warpgroups along m
_CUTLASS = (
    (64, 64, 1),
    (64, 128, 1),
    (64, 256, 1),
    (128, 64, 2),
    (128, 128, 2),
    (128, 192, 2),
    (128, 256, 2),
    (256, 64, 2),
    (256, 128, 2),
)
_LEAST_CUT = 64 * 128  # smallest tile that is cut along k


def hopper(sparse: bool) -> Iterator[Kernel]:
    """Yield the kernels of compute capability 9.0, dense or 2:4."""
    if sparse:
        yield from _cusparselt()
        return
    yield from _cublas()
    for m, n, warps_m in _CUTLASS:
        for cluster in _PAIRS if m * n >= _LEAST_CUT else ():
            yield _kernel(m, n, cluster, (warps_m, 1), False, 1, stream_k=True, early_launch=True)


def _cublas() -> Iterator[Kernel]:
    """Yield cuBLAS's dense kernels."""
    for m, n in ((m, n) for m in _LONG for n in _WIDE if m * n <= _SHARED):
        coop = m * n > _ALONE
        if not coop or m % 128 == 0 or n % 16 == 0:  # what two share they halve
            yield from _in_clusters(m, n, coop, m % 128 == 0, False)
    for m, n in ((m, n) for n in _LONG_TRANSPOSED for m in (*_WIDE, *_WIDE_SHARED) if m % _LONG[0] and m * n <= _SHARED):
        yield from _in_clusters(m, n, m * n > _ALONE or m > _WIDE[-1], m % 16 == 0, True)


def _in_clusters(m: int, n: int, coop: bool, halves_m: bool, transposed: bool) -> Iterator[Kernel]:
    """Yield a tile in its clusters; if two warpgroups share it, they halve its rows or its columns."""
    warps = (1, 1) if not coop else (2, 1) if halves_m else (1, 2)
    for cluster in _PAIRS + _FOURS + (_EIGHTS if m * n <= _SMALL else ()):
        yield _kernel(
            m, n, cluster, warps, False, SPLITS[-1], pingpong=not coop, early_launch=True, transposed=transposed,
            staging_bytes=_STAGING_BYTES,
        )  # fmt: skip


def _cusparselt() -> Iterator[Kernel]:
    """Yield cuSPARSELt's 2:4 kernels."""
    for m, n, warps_m in _CUTLASS:
        wide = m == 128 and n >= 128
        for cluster in _PAIRS:
            yield _kernel(m, n, cluster, (warps_m, 1), True, 1, widest_bits=32 if wide else 8)
        if wide:
            yield _kernel(m, n, (2, 2), (warps_m, 1), True, 1, narrowest_bits=16)


def _kernel(
    m: int, n: int, cluster: tuple[int, int], warps: tuple[int, int], sparse: bool, max_splits: int, **more: Any
) -> Kernel:
    more |= {"cluster_m": cluster[0], "cluster_n": cluster[1], "max_splits": max_splits}
    return Kernel("sm90", sparse, m, n, _K_BYTES, 0, *warps, wgmma=True, **more)
