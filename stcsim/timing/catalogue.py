"""The kernel catalogue, in data: which tiles the GEMM libraries ship for each generation, dense and 2:4.

Sources. ``sm80`` and ``sm75``: the tile lists of CUTLASS 2.x's generator (NVIDIA/cutlass @7107b05,
``python/cutlass_library/generator.py``), of which cuBLAS's and cuSPARSELt's Ampere kernels carry the same names
(``..._tilesize128x128x64_stage3_warpsize2x2x1_...``). ``sm90``: ``sm90_shapes`` of the same source (clusters of up to two,
K tile of 128 bytes, stages as shared memory allows), and cuBLAS's own: n = 192, 32 and 16, 256x152, 192x192 and 192x208 (kernel
names such as ``nvjet_sm90_..._192x208_64x4_2x1_v_bz_coopB_TNT`` in public profiles of H100). Stream-K is CUTLASS's
(``StreamKScheduler``); cuBLAS's Hopper kernels are called ``..._segment_k_on_kernel__5x_cublas`` or ``..._segment_k_off_...``
(public profiles), which is taken to be the same; neither its Ampere kernels nor cuSPARSELt's have such a name.
cuSPARSELt's Ampere kernels cut the reduction into two slices at most (inferred: with more, its times at small n and k of 8,192
are missed by up to 30 %, with none by up to 50 %). Hopper's 2:4 kernels have tiles of n >= 64, no ping-pong and no split-K, and
for elements wider than 8 bits only tiles of m = 128 and n >= 128 (inferred: in bf16 its times are the same from n = 64 to 256,
one more wave shows as soon as tiles of 128 x 128 outnumber the SMs, and m = 16,384 at n = 64 takes two; in fp8 smaller tiles are
needed to meet them).
In fp16 cuBLAS has tiles of 96, 160 and 192 rows on Ampere (``sm80_xmma_gemm_f16f16_f16f32_f32_..._tilesize160x128x32_stage4_...``
in many public profiles, none with split-K; no bf16 kernel of such a size was found, and measured bf16 GEMMs lack its gain).
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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from stcsim.errors import UnsupportedError
from stcsim.isa import DType

SPLITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
"""Numbers of k-slices a library tries."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of a library, type-independent: K is in bytes of a dense row.

    Attributes:
        family: ``"sm75"``, ``"sm80"`` or ``"sm90"``.
        sparse: whether it runs 2:4 (``mma.sp`` / ``wgmma.sp``); ``k_bytes`` then counts the expanded row.
        cta_m, cta_n: elements of D one CTA computes. k_bytes: bytes of one dense row per main-loop iteration.
        stages: shared-memory buffers; 0 means as many as fit (Hopper's automatic carve-out).
        warps_m, warps_n: how the CTA's warps (Hopper: consumer warpgroups) tile D.
        wgmma: Hopper's asynchronous warpgroup MMA (operands read from shared memory), else ``mma.sync``.
        cluster_m, cluster_n: CTAs of a cluster along m and n; they share operands by multicast.
        pingpong: two CTA tiles alternate on an SM, one computing while the other writes (Hopper).
        swizzle: n-tiles per raster group; 1 walks straight along m.
        max_splits: most k-slices the library offers for it.
        stream_k: cuts the tiles of its last waves along k so that all slots end together (``timing.stream_k``).
        gemv: a matrix-vector kernel: n = 1 only, no staging through shared memory to set up and to drain.
        early_launch: starts before the kernel ahead has ended, where the GPU can (programmatic dependent launch).
        widest_bits: the widest element it is shipped for. only: the one input type it is shipped for; empty for all.
        patch: rows and columns of pixels, where a convolution kernel's tile is a block of an image; else ``cta_n`` in a row.
        taps: neighbouring taps of a filter row that one load of pixels serves; ``k_bytes`` then spans their channels.
    """

    family: str
    sparse: bool
    cta_m: int
    cta_n: int
    k_bytes: int
    stages: int
    warps_m: int
    warps_n: int
    wgmma: bool = False
    cluster_m: int = 1
    cluster_n: int = 1
    pingpong: bool = False
    swizzle: int = 8
    max_splits: int = 32
    stream_k: bool = False
    gemv: bool = False
    early_launch: bool = False
    widest_bits: int = 32
    only: str = ""
    patch: tuple[int, int] | None = None
    taps: int = 1

    def takes(self, dtype: DType) -> bool:
        """Whether the library ships it for ``dtype``."""
        return dtype.bits <= self.widest_bits and self.only in ("", dtype.name)

    def cta_k(self, dtype: DType) -> int:
        """Logical reduction elements per main-loop iteration."""
        return self.k_bytes * 8 // dtype.bits

    def name(self, dtype: DType, splits: int = 1) -> str:
        """Return the name used in tables and by ``--kernel``, e.g. ``sm80_128x256x32_s3_2x4``.

        ``_k4`` at its end: four k-slices, ``_sk``: stream-K.
        """
        mode = "sp_" if self.sparse else "gemv_" if self.gemv else ""
        pixels = f"{self.cta_n}" if self.patch is None else "({}x{})".format(*self.patch)
        shape = f"{self.cta_m}x{pixels}x{self.cta_k(dtype)}"
        warps = f"s{self.stages}_{self.warps_m}x{self.warps_n}" if self.stages else ("pingpong" if self.pingpong else "coop")
        cluster = f"_c{self.cluster_m}x{self.cluster_n}" if self.cluster_m * self.cluster_n > 1 else ""
        cut = ("_sk" if self.stream_k else "") + (f"_k{splits}" if splits > 1 else "")
        return f"{self.family}_{mode}{shape}_{warps}{cluster}{cut}"


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
    (192, 128, 64, 3, 4, 2),
    (160, 128, 64, 4, 2, 2),
    (96, 128, 64, 4, 2, 2),
    (96, 64, 64, 3, 2, 2),
    (96, 64, 128, 4, 2, 2),
    (64, 96, 128, 4, 2, 2),
    (64, 96, 64, 4, 2, 2),
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
# cta_m, cta_n, consumer warpgroups along m and n, pingpong
_SM90_TILES = (
    (64, 16, 1, 1, False),
    (64, 32, 1, 1, False),
    (64, 64, 1, 1, False),
    (64, 128, 1, 1, False),
    (64, 256, 1, 1, False),
    (128, 32, 2, 1, False),
    (128, 64, 2, 1, False),
    (128, 128, 2, 1, False),
    (128, 256, 2, 1, False),
    (256, 128, 2, 1, False),
    (256, 64, 2, 1, False),
    (128, 192, 2, 1, False),
    (64, 128, 1, 1, True),
    (64, 192, 1, 1, True),
    (64, 256, 1, 1, True),
)
_SM90_DENSE_ONLY = (
    (256, 152, 2, 1, False),
    (192, 192, 1, 2, False),
    (192, 208, 1, 2, False),
)
_SM90_CLUSTERS = ((1, 1), (2, 1), (1, 2))


@cache
def kernels(family: str, sparse: bool) -> tuple[Kernel, ...]:
    """Return the catalogue of one generation, dense or 2:4.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if family in ("sm80", "sm86", "sm89"):  # GA102 and Ada run the Ampere tiles; Ada's fp8 list is the int8 one
        if not sparse:
            half = tuple(Kernel("sm80", False, *row, max_splits=1, only="fp16") for row in _SM80_DENSE_FP16)
            fp8 = _SM89_DENSE_FP8 if family == "sm89" else ()
            narrow = tuple(Kernel("sm80", False, *row, only="fp8") for row in fp8)
            return tuple(Kernel("sm80", False, *row) for row in _SM80_DENSE) + half + narrow + _gemv("sm80")
        rows = _SM80_SPARSE if family == "sm80" else _SM80_SPARSE + _TWO_STAGES_SPARSE
        return tuple(Kernel("sm80", True, *row, swizzle=1, max_splits=2) for row in rows)
    if family == "sm75":
        return () if sparse else tuple(Kernel("sm75", False, *row) for row in _SM75_DENSE) + _gemv("sm75")
    if family == "sm90":
        return tuple(_sm90(sparse))
    raise UnsupportedError("kernel.family", "one of sm75, sm80, sm86, sm89, sm90", f"'{family}'")


def _sm90(sparse: bool) -> Iterator[Kernel]:
    """Yield Hopper's kernels: every tile alone and in clusters of two, dense ones without ping-pong with stream-K too."""
    most = 1 if sparse else SPLITS[-1]
    for m, n, warps_m, warps_n, pingpong in _SM90_TILES + (() if sparse else _SM90_DENSE_ONLY):
        if sparse and (n < 64 or pingpong):
            continue
        widest = 8 if sparse and (m != 128 or n < 128) else 32
        for cm, cn in _SM90_CLUSTERS:
            kernel = Kernel(
                "sm90", sparse, m, n, 128, 0, warps_m, warps_n, True, cm, cn, pingpong,
                max_splits=most, early_launch=not sparse, widest_bits=widest,
            )  # fmt: skip
            yield kernel
            if not sparse and not pingpong:
                yield replace(kernel, max_splits=1, stream_k=True)


def _gemv(family: str) -> tuple[Kernel, ...]:
    """Return the matrix-vector kernels that cuBLAS has before Hopper; each streams 512 bytes of 32 rows at a time (assumed)."""
    return (Kernel(family, False, 32, 8, 512, 4, 4, 1, max_splits=1, gemv=True),)
