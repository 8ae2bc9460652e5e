"""Hopper's kernels: cuBLAS's with their fine grid of tiles and clusters of up to eight, CUTLASS's stream-K, cuSPARSELt's 2:4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stcsim.timing.catalogue.row import Menu, Row

_K_BYTES = 128
_AS_MANY_AS_FIT = 0  # stages
_PAIRS = ((1, 1), (2, 1), (1, 2))
_WARPGROUP_M = 64  # rows of one MMA


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """A menu too fine to be listed: tiles of every size between limits, each in many clusters; its rows are made when asked for.

    Attributes:
        long_sides: sides of tiles along the rows of the MMA, where those lie along m.
        long_sides_transposed: the same where they lie along n.
        wide_sides: sides along the MMA's columns.
        wide_sides_shared: more of them where they lie along m, for tiles that two warpgroups share.
        most_alone: most sums of a tile that one warpgroup computes; two share a larger one.
        most_shared: most sums of one that two share.
        clusters: CTAs along m and n of the clusters that all tiles have.
        clusters_of_small: those that small tiles have besides.
        small: most sums of a small tile.
    """

    long_sides: tuple[int, ...]
    long_sides_transposed: tuple[int, ...]
    wide_sides: range
    wide_sides_shared: range
    most_alone: int
    most_shared: int
    clusters: tuple[tuple[int, int], ...]
    clusters_of_small: tuple[tuple[int, int], ...]
    small: int

    def __iter__(self) -> Iterator[Row]:
        """Yield a row for every tile in every cluster: along m first, then the transposed ones."""
        for m in self.long_sides:
            for n in self.wide_sides:
                shared = m * n > self.most_alone
                if m * n <= self.most_shared and (not shared or m % (2 * _WARPGROUP_M) == 0 or n % 16 == 0):
                    yield from self._in_clusters(m, n, shared, m % (2 * _WARPGROUP_M) == 0, False)  # what two share they halve
        for n in self.long_sides_transposed:
            for m in (*self.wide_sides, *self.wide_sides_shared):
                shared = m * n > self.most_alone or m not in self.wide_sides
                if m * n <= self.most_shared and m % _WARPGROUP_M:
                    yield from self._in_clusters(m, n, shared, m % 16 == 0, True)

    def _in_clusters(self, m: int, n: int, shared: bool, halves_m: bool, transposed: bool) -> Iterator[Row]:
        """Yield a tile in its clusters; if two warpgroups share it, they halve its rows or its columns."""
        warps_m, warps_n = (1, 1) if not shared else (2, 1) if halves_m else (1, 2)
        for cluster_m, cluster_n in self.clusters + (self.clusters_of_small if m * n <= self.small else ()):
            yield Row(
                cta_m=m,
                cta_n=n,
                k_bytes=_K_BYTES,
                stages=_AS_MANY_AS_FIT,
                warps_m=warps_m,
                warps_n=warps_n,
                cluster_m=cluster_m,
                cluster_n=cluster_n,
                pingpong=not shared,
                transposed=transposed,
            )


CUBLAS = Menu(
    source="Kernel names in public profiles of H100 and H200, nvjet_sm90_tst_<m>x<n>_<k>x<stages>_<cluster>_... Tiles have"
    " 64, 128, 192, 256, 320 or 384 rows and any multiple of 8 columns (64x8, 64x16, ... 64x240; 128x48, 128x56, ..."
    " 128x208; 192x192, 192x208, 256x104, 320x128, 384x80), or 64 or 128 columns and any multiple of 8 rows (8x64,"
    " 16x64, 80x64, 96x64, 144x64, 96x128, 176x128, 288x128; TNN at the end of their names, taken to mean that rows"
    " of the MMA lie along n), 128 bytes of k and as many stages as shared memory holds beside 16.5 KB (for D on its"
    " way, and barriers), sixteen at most: that meets the stages in all of 88 names (test_hopper_catalogue.py). Up"
    " to 256x88 and 176x128 a name lacks coop: one warpgroup has the tile to itself, as many sums a thread as"
    " registers hold, and another one works on the next tile meanwhile (taken to be CUTLASS's ping-pong; all have"
    " 384 threads). From 128x184 on two share it. Clusters of 2x1 and 1x2 have names in all sizes; 4x1, 1x4, 2x2,"
    " 4x2 and 2x4 from 64x8 to 96x64 and for 128x64, 128x136, 320x128 and 384x80: here clusters of four are for all,"
    " of eight for the small ones.",
    family="sm90",
    wgmma=True,
    early_launch=True,
    staging_bytes=16 * 1024 + 512,
    rows=TileGrid(
        long_sides=(64, 128, 192, 256, 320, 384),
        long_sides_transposed=(64, 128),
        wide_sides=range(8, 257, 8),
        wide_sides_shared=range(272, 321, 16),
        most_alone=176 * 128,  # 176 a thread
        most_shared=160 * 256,
        clusters=(*_PAIRS, (4, 1), (1, 4), (2, 2)),
        clusters_of_small=((4, 2), (2, 4)),
        small=64 * 96,
    ),
)

_LEAST_CUT = 64 * 128  # smallest tile that is cut along k
_CUTLASS = (
    Row(cta_m=64, cta_n=64, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=1, warps_n=1),
    Row(cta_m=64, cta_n=128, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=1, warps_n=1),
    Row(cta_m=64, cta_n=256, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=1, warps_n=1),
    Row(cta_m=128, cta_n=64, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
    Row(cta_m=128, cta_n=128, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
    Row(cta_m=128, cta_n=192, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
    Row(cta_m=128, cta_n=256, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
    Row(cta_m=256, cta_n=64, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
    Row(cta_m=256, cta_n=128, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=2, warps_n=1),
)

STREAM_K = Menu(
    source="sm90_shapes of CUTLASS's generator (NVIDIA/cutlass @7107b05), clusters of up to two, with CUTLASS's stream-K"
    " (StreamKScheduler); older cuBLAS kernels are called ..._segment_k_on_kernel__5x_cublas (public profiles),"
    " which is taken to be the same.",
    family="sm90",
    wgmma=True,
    max_splits=1,
    stream_k=True,
    early_launch=True,
    rows=tuple(
        replace(row, cluster_m=cluster_m, cluster_n=cluster_n)
        for row in _CUTLASS
        for cluster_m, cluster_n in (_PAIRS if row.cta_m * row.cta_n >= _LEAST_CUT else ())
    ),
)


_WIDE = tuple(row for row in _CUTLASS if row.cta_m == 128 and row.cta_n >= 128)
_NAME = "sm90_xmma_sparse_gemm_f16f16_..._tilesize128x128x64_cgasize4x1x1_warpgroupsize1x1x1_execute_segment_k_on_..."
CUSPARSELT = Menu(
    source=f"The wide tiles of the same list, each alone, in pairs, in clusters of 2x2 and, as names on an H200 have them"
    f" ({_NAME} and 17 others, tests/validation/h200/products.json), of 4x1. bf16 and tf32 have no smaller ones"
    " (inferred: the three bf16 names have 256 columns each; its times are the same from n = 64 to 256, one more wave shows as"
    " soon as tiles of 128 x 128 outnumber the SMs, and m = 16,384 at n = 64 takes two; without 2x2 nothing is gained at 8192"
    " cubed on H100 SXM, where 1.20 to 1.22 are published). segment-k, which fp16 and fp8 names have, is not modelled: cut"
    " as split-K is here it makes small n too fast.",
    family="sm90",
    sparse=True,
    wgmma=True,
    single_tile=True,
    max_splits=1,
    rows=tuple(
        replace(row, cluster_m=cluster_m, cluster_n=cluster_n, narrowest_bits=16)
        for row in _WIDE
        for cluster_m, cluster_n in (*_PAIRS, (2, 2), (4, 1))
    ),
)
CUSPARSELT_FP16 = Menu(
    source="sm90_xmma_sparse_gemm_f16f16_..._tilesize64x128x64_cgasize1x1x1_warpgroupsize1x1x1_... (the same names). The"
    " 64x64x128 in clusters of 4x1 that is there too is left out with all that take 256 bytes of k at once (see below).",
    family="sm90",
    sparse=True,
    wgmma=True,
    single_tile=True,
    max_splits=1,
    only="fp16",
    rows=(Row(cta_m=64, cta_n=128, k_bytes=_K_BYTES, stages=_AS_MANY_AS_FIT, warps_m=1, warps_n=1),),
)
_EIGHT_BITS = ((64, 64), (64, 128), (64, 256), (128, 64), (128, 128), (128, 192), (128, 256))
CUSPARSELT_8_BITS = Menu(
    source="Names of fp8 kernels on an H200 (products.json as above): 64x64x128 in clusters of 1x1 and 8x1, 64x64x256 of 4x1"
    " and 8x1, 128x64x256 of 1x1 and 2x1, 128x192x128 of 2x1, 128x256x128 of 1x1; one warpgroup has up to 128 x 192 to"
    " itself (warpgroupsize1x1x1), two share 128 x 256. The search went through five of some 25 kernels for each type of"
    " results, so the tiles of fp16 names are here too, all in clusters of one, two, four and eight along m, and int8 is taken to"
    " have what fp8 has (assumed). Tiles with 256 bytes of k are left out: the model counts barrier and issue once for"
    " an iteration of any length, and so would make them too fast at n <= 64 (with that cost for each 128 bytes they are as"
    " fast as those that are here).",
    family="sm90",
    sparse=True,
    wgmma=True,
    single_tile=True,
    max_splits=1,
    rows=tuple(
        Row(
            cta_m=m,
            cta_n=n,
            k_bytes=_K_BYTES,
            stages=_AS_MANY_AS_FIT,
            warps_m=2 if m * n > 128 * 192 else 1,
            warps_n=1,
            cluster_m=cluster_m,
            widest_bits=8,
        )
        for m, n in _EIGHT_BITS
        for cluster_m in (1, 2, 4, 8)
    ),
)
