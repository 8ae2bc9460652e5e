"""One kernel of a GEMM library: its tile, how its warps share it, its cluster, and what it is shipped for."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.isa import DType

SPLITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
"""Numbers of k-slices a library tries."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of a library, type-independent: K is in bytes of a dense row.

    Attributes:
        family: ``"sm75"``, ``"sm80"`` or ``"sm90"``.
        sparse: whether it runs 2:4 (``mma.sp`` / ``wgmma.sp``); ``k_bytes`` then counts the expanded row.
        cta_m: rows of D one CTA computes.
        cta_n: columns of D one CTA computes.
        k_bytes: bytes of one dense row per main-loop iteration.
        stages: shared-memory buffers; 0 means as many as fit (Hopper's automatic carve-out).
        warps_m, warps_n: how the CTA's warps (Hopper: consumer warpgroups) tile D.
        wgmma: Hopper's asynchronous warpgroup MMA (operands read from shared memory), else ``mma.sync``.
        transposed: rows of the ``wgmma`` lie along n: it computes the tile of D transposed.
        cluster_m, cluster_n: CTAs of a cluster along m and n; they share operands by multicast.
        pingpong: two CTA tiles alternate on an SM, one computing while the other writes (Hopper).
        swizzle: n-tiles per raster group; 1 walks straight along m.
        max_splits: most k-slices the library offers for it.
        stream_k: cuts the tiles of its last waves along k so that all slots end together (``timing.lowering.stream_k``).
        gemv: a matrix-vector kernel: n = 1 only, no staging through shared memory to set up and to drain.
        early_launch: starts before the kernel ahead has ended, where the GPU can (programmatic dependent launch).
        single_tile: a ``wgmma`` kernel whose CTAs end with their tile; without it they go on to the next one (persistent).
        staging_bytes: shared memory that is kept free of stages, where that is known (Hopper): for D on its way, and barriers.
        widest_bits: bits of the widest elements it is shipped for.
        narrowest_bits: bits of the narrowest ones.
        only: the one input type it is shipped for; empty for all.
        but: the one it is not shipped for, if there is one.
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
    transposed: bool = False
    cluster_m: int = 1
    cluster_n: int = 1
    pingpong: bool = False
    swizzle: int = 8
    max_splits: int = 32
    stream_k: bool = False
    gemv: bool = False
    early_launch: bool = False
    single_tile: bool = False
    staging_bytes: int | None = None
    widest_bits: int = 32
    narrowest_bits: int = 1
    only: str = ""
    but: str = ""
    patch: tuple[int, int] | None = None
    taps: int = 1

    @property
    def persistent(self) -> bool:
        """Whether its CTAs stay and take tile after tile, and load the next one while they write."""
        return self.wgmma and not self.single_tile

    def takes(self, dtype: DType) -> bool:
        """Whether the library ships it for ``dtype``."""
        return self.narrowest_bits <= dtype.bits <= self.widest_bits and self.only in ("", dtype.name) and self.but != dtype.name

    def cta_k(self, dtype: DType) -> int:
        """Logical reduction elements per main-loop iteration."""
        return self.k_bytes * 8 // dtype.bits

    def name(self, dtype: DType, splits: int = 1) -> str:
        """Return the name used in tables and by ``--kernel``, e.g. ``sm80_128x256x32_s3_2x4``.

        ``_k4`` at its end: four k-slices, ``_sk``: stream-K. Hopper's schedules: ``ws`` (one warpgroup computes), ``pingpong``
        (two, a tile each), ``coop`` (two share a tile).
        """
        mode = "sp_" if self.sparse else "gemv_" if self.gemv else ""
        pixels = f"{self.cta_n}" if self.patch is None else "({}x{})".format(*self.patch)
        shape = f"{self.cta_m}x{pixels}x{self.cta_k(dtype)}" + ("t" if self.transposed else "")
        schedule = "pingpong" if self.pingpong else "coop" if self.warps_m * self.warps_n > 1 else "ws"
        warps = f"s{self.stages}_{self.warps_m}x{self.warps_n}" if self.stages else schedule
        cluster = f"_c{self.cluster_m}x{self.cluster_n}" if self.cluster_m * self.cluster_n > 1 else ""
        cut = ("_sk" if self.stream_k else "") + (f"_k{splits}" if splits > 1 else "")
        return f"{self.family}_{mode}{shape}_{warps}{cluster}{cut}"
