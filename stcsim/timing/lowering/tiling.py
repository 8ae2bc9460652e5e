"""Tiling: how a kernel cuts a problem on a GPU, how many CTAs fit an SM, and in which order tiles are handed out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.hardware import MOST_REGISTERS_PER_THREAD, THREADS_PER_WARP
from stcsim.timing.lowering.cut import Cut, Tiling
from stcsim.timing.plan import IntArray
from stcsim.timing.problem import Problem, ceil_div
from stcsim.timing.rates import expansion, tile_bytes

MOST_STAGES = 16
"""Stages of a Hopper kernel whose tiles are small (cuBLAS, names such as ``nvjet_sm90_tst_64x8_64x16_...``)."""
MOST_STAGING_BYTES = 32 * 1024
"""Shared memory that a Hopper kernel keeps for D on its way, where it is not known how much (assumed)."""
ADDRESS_REGISTERS = 40
"""Registers of a thread beside accumulators and fragments; typical of CUTLASS kernels (234 of 255 at 128x128)."""
_REMEMBERED_TILES = 20_000


def stage_bytes(kernel: Kernel, problem: Problem) -> int:
    """Shared-memory bytes of one main-loop stage: the A tile (compressed with metadata when sparse) and the B tile."""
    a_bytes, b_bytes = tile_bytes(problem, kernel)
    return a_bytes + math.ceil(b_bytes * load_share(kernel))


def load_share(kernel: Kernel) -> float:
    """Bytes of B that a load brings into shared memory, as a share of those that its MMAs read.

    A patch kernel loads each row of pixels once, with the columns that hang over, for all taps of a filter row.
    """
    if kernel.patch is None:
        return 1.0
    columns = kernel.patch[1]
    return (columns + kernel.taps - 1) / (kernel.taps * columns)


def registers_per_cta(kernel: Kernel, problem: Problem) -> int:
    """Estimate the registers of one CTA of ``mma.sync``: accumulators, double-buffered fragments, addresses."""
    threads = kernel.warps_m * kernel.warps_n * THREADS_PER_WARP
    accumulators = kernel.cta_m * kernel.cta_n // threads
    fragments = (kernel.cta_m // kernel.warps_m + kernel.cta_n // kernel.warps_n * expansion(problem, kernel)) // 4 * 2
    return min(accumulators + fragments + ADDRESS_REGISTERS, MOST_REGISTERS_PER_THREAD) * threads


def _residency(arch: Arch, kernel: Kernel, problem: Problem) -> tuple[int, int]:
    """Return (resident CTAs per SM, stages of each); (0, 0) when the kernel does not fit the SM."""
    smem = arch.shared_memory
    stage = stage_bytes(kernel, problem)
    largest = int(smem.max_per_cta_kib * 1024)
    if kernel.wgmma:
        ctas = 2 if kernel.pingpong else 1
        buffers = min(MOST_STAGES, (largest - _staging_bytes(kernel, problem)) // stage)
        stages = max(buffers // ctas, 2 if buffers > 2 else 0)  # the main loops of ping-pong alternate: three serve both
        return (ctas, stages) if stages >= 2 else (0, 0)
    needed = stage * kernel.stages
    if needed > largest:
        return 0, 0
    warps = kernel.warps_m * kernel.warps_n
    by_smem = int((smem.capacity_kib * 1024) // (needed + smem.reserved_per_cta_kib * 1024))
    by_registers = arch.sm.registers // registers_per_cta(kernel, problem)
    return min(by_smem, by_registers, arch.sm.max_warps // warps, arch.sm.max_ctas), kernel.stages


def _staging_bytes(kernel: Kernel, problem: Problem) -> int:
    """Return the bytes of a Hopper kernel that no stage gets; unless known, the tile of D that warpgroups share (assumed)."""
    if kernel.staging_bytes is not None:
        return kernel.staging_bytes
    shared = kernel.warps_m * kernel.warps_n > 1 or kernel.pingpong
    return min(kernel.cta_m * kernel.cta_n * problem.out_bytes, MOST_STAGING_BYTES) if shared else 0


def tile_up(arch: Arch, problem: Problem, kernel: Kernel, splits: int) -> Cut | None:
    """Cut ``problem`` by ``kernel``; ``None`` if it does not fit the GPU or k has no such slices (stream-K takes none)."""
    ctas_per_sm, stages = _residency(arch, kernel, problem)
    unit_ctas = kernel.cluster_m * kernel.cluster_n
    k_iters = ceil_div(problem.k, kernel.cta_k(problem.dtype))
    if ctas_per_sm < 1 or splits > (1 if kernel.stream_k else k_iters) or unit_ctas > arch.kernel.max_cluster_ctas:
        return None
    tile_m, tile_n = kernel.cta_m * kernel.cluster_m, kernel.cta_n * kernel.cluster_n
    units, m_tiles = cluster_units(arch, unit_ctas), ceil_div(problem.m, tile_m)
    if not units:  # no GPC has SMs for a whole cluster
        return None
    n_tiles, filled = _n_tiles(problem, kernel, tile_n)
    if kernel.pingpong and m_tiles * n_tiles * splits * problem.batch <= units:
        stages *= 2  # the second warpgroup has no tile and leaves its share of the buffers
    tiling = Tiling(
        unit_ctas=unit_ctas,
        units=units,
        ctas_per_sm=ctas_per_sm,
        stages=stages,
        m_tiles=m_tiles,
        n_tiles=n_tiles,
        tile_m=tile_m,
        tile_n=tile_n,
        k_iters=k_iters,
        splits=splits,
        filled=filled,
    )
    return Cut(arch, problem, kernel, tiling)


def balanced(cut: Cut) -> Cut:
    """Return ``cut`` on as few units as get no more tiles each: a grid that leaves SMs idle rather than a last wave.

    Libraries can be asked for such a grid (cuBLASLt, ``CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET``; CUTLASS 3.x, ``sm_count`` of
    ``KernelHardwareInfo``). Where the L2 is what all SMs wait for, fewer that ask for it are as fast, and the last wave is full.
    """
    each = ceil_div(cut.tiles, cut.tiling.units)
    units = ceil_div(cut.tiles, each)
    return on_units(cut, units) if each > 1 and units < cut.tiling.units else cut


def on_units(cut: Cut, units: int) -> Cut:
    """Return ``cut`` on fewer units than the GPU has."""
    return cut._replace(tiling=replace(cut.tiling, units=units, leaves_idle=True))


def cluster_units(arch: Arch, unit_ctas: int) -> int:
    """Return how many clusters of ``unit_ctas`` the GPU holds."""
    return _units(tuple(arch.sm.sms_per_gpc), unit_ctas)


@cache
def _units(sms_per_gpc: tuple[int, ...], unit_ctas: int) -> int:
    """Clusters of ``unit_ctas`` that the GPU holds: none straddles two GPCs."""
    return sum(sms // unit_ctas for sms in sms_per_gpc)


def _n_tiles(problem: Problem, kernel: Kernel, tile_n: int) -> tuple[int, float]:
    """Return the tiles along n and the share of their pixels that is needed; patches may hang over the edges of an image."""
    conv = problem.conv
    if kernel.patch is None or conv is None:
        return ceil_div(problem.n, tile_n), 1.0
    tiles = conv.batch * ceil_div(conv.p, kernel.patch[0]) * ceil_div(conv.q, kernel.patch[1])
    return tiles, problem.n / (tiles * tile_n)


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of one kernel, in the order in which they are handed out: what ``tile_order`` depends on, and nothing else."""

    m_tiles: int
    n_tiles: int
    swizzle: int
    batch: int
    splits: int
    k_iters: int
    has_m_edge: bool
    has_n_edge: bool


Order = tuple[IntArray, IntArray, IntArray, IntArray, int, int]


def tile_order(cut: Cut) -> Order:
    """Return (m_index, n_index, k_start, k_count, m_edge, n_edge); the slices of a tile follow each other."""
    _, problem, kernel, tiling = cut
    grid = Grid(
        tiling.m_tiles,
        tiling.n_tiles,
        min(kernel.swizzle, tiling.n_tiles),
        problem.batch,
        tiling.splits,
        tiling.k_iters,
        problem.m % tiling.tile_m != 0,
        kernel.patch is None and problem.n % tiling.tile_n != 0,
    )
    return _order(grid) if cut.tiles <= _REMEMBERED_TILES else _ordered(grid)


@lru_cache(256)
def _order(grid: Grid) -> Order:
    """Return :func:`_ordered`, once for each grid: a search cuts many kernels alike."""
    found = _ordered(grid)
    for index in found[:4]:
        index.setflags(write=False)
    return found


def _ordered(grid: Grid) -> Order:
    m_order, n_order = _raster(grid)
    m_index, m_edge = _panels(m_order, grid.m_tiles, grid.batch, grid.has_m_edge)
    n_index, n_edge = _panels(n_order, grid.n_tiles, grid.batch, grid.has_n_edge)
    cuts = np.arange(grid.splits + 1, dtype=np.int64) * grid.k_iters // grid.splits
    tiles = m_index.shape[0]
    m_index, n_index = np.tile(m_index, grid.splits), np.tile(n_index, grid.splits)
    k_start, k_count = np.repeat(cuts[:-1], tiles), np.repeat(np.diff(cuts), tiles)
    return m_index, n_index, k_start, k_count, m_edge, n_edge


def _raster(grid: Grid) -> tuple[IntArray, IntArray]:
    """Order of (m, n) tiles: groups of ``swizzle`` n-tiles; within a group along m, and within an m-tile along the group."""
    groups = np.arange(ceil_div(grid.n_tiles, grid.swizzle), dtype=np.int64) * grid.swizzle
    m = np.arange(grid.m_tiles, dtype=np.int64)
    inner = np.arange(grid.swizzle, dtype=np.int64)
    n_order = np.broadcast_to(groups[:, None, None] + inner, (len(groups), grid.m_tiles, grid.swizzle)).reshape(-1)
    m_order = np.broadcast_to(m[None, :, None], (len(groups), grid.m_tiles, grid.swizzle)).reshape(-1)
    keep = n_order < grid.n_tiles
    return m_order[keep], n_order[keep]


def _panels(order: IntArray, tiles: int, batch: int, has_edge: bool) -> tuple[IntArray, int]:
    """Return the panels' numbers over all batch members, partial (edge) panels last, and the number of the first of those."""
    member = np.repeat(np.arange(batch, dtype=np.int64), order.shape[0])
    full = tiles - 1 if has_edge else tiles
    index = np.tile(order, batch)
    return np.where(index < full, member * full + index, batch * full + member), batch * full
