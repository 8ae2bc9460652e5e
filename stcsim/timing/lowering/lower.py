"""Lowering: Arch x Problem x Kernel -> TilePlan. The only place where units of the real world become ticks and bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.lowering.conv_traffic import conv_reuse
from stcsim.timing.lowering.stream_k import hand_out
from stcsim.timing.lowering.tiling import Tiling, ceil_div, load_share
from stcsim.timing.microbenchmark import ROUND_CYCLES, SUB_CORES
from stcsim.timing.plan import FINISHER, TICKS_PER_CYCLE, IntArray, TilePlan
from stcsim.timing.problem import Problem, a_row_bytes

WARPGROUP_M = 64
"""Rows of D that one wgmma computes (PTX ISA)."""

_SINGLE_BUFFERED_TILE = 64  # least warp tile side with 32-bit accumulators (CUTLASS, kBBufferSize)
_MMA_SP_K_BYTES = 64  # of a dense row that one mma.sp step covers (m16n8k32 in 16 bits)
_MMA_M, _MMA_N, _MMA_BITS = 16, 8, 256  # one full-depth mma: rows, columns, bits of k (PTX ISA)
_PARTIAL_SUM_BYTES = 4  # fp32 or int32
Bytes = TypeVar("Bytes", IntArray, float)
_WRITES_D = np.array([1, 0, 1], np.int64).reshape(3, 1, 1)  # by kind; partial sums go from registers to L2 and stay there


def _ticks(amount: float, per_cycle: float) -> int:
    """Ticks a server of rate ``per_cycle`` takes for ``amount`` (bytes or MACs), rounded up."""
    return math.ceil(amount * TICKS_PER_CYCLE / per_cycle)


def _all_ticks(amounts: Sequence[IntArray], per_cycle: Sequence[float]) -> IntArray:
    """Return :func:`_ticks` of tables, each with a rate of its own: at once, because searches lower many kernels."""
    rates = np.array(per_cycle).reshape(-1, 1, 1)
    ticks: IntArray = np.ceil(np.array(amounts) * float(TICKS_PER_CYCLE) / rates).astype(np.int64)
    return ticks


def cycles_to_ticks(cycles: float) -> int:
    """Ticks in ``cycles`` SM clock cycles, at least 1."""
    return max(1, math.ceil(cycles * TICKS_PER_CYCLE))


def _edge_sizes(size: int, tile: int) -> IntArray:
    """Rows of a full panel and of the edge panel."""
    return np.array([tile, size % tile or tile], np.int64)


def _column_sizes(problem: Problem, kernel: Kernel, tiling: Tiling) -> IntArray:
    """Columns of B and D of a full panel and of the edge panel; every patch of a convolution is taken as full."""
    return _edge_sizes(problem.n if kernel.patch is None else tiling.tile_n, tiling.tile_n)


@dataclass(frozen=True, slots=True)
class _Loads:
    """Bytes of one iteration's loads, (2, 2) tables [edge][last]: off L2 and, if missed, DRAM (per unit), into each SM."""

    a_l2: IntArray
    b_l2: IntArray
    b_dram: IntArray
    a_sm: IntArray
    b_sm: IntArray
    b_period: int


def _loads(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> _Loads:
    """Bytes of each class of load. A cluster fetches each operand tile once from L2 and multicasts it to its SMs."""
    cta_k = kernel.cta_k(problem.dtype)
    last_k = problem.k - (tiling.k_iters - 1) * cta_k
    a_row = np.array([a_row_bytes(problem.dtype, k, kernel.sparse) for k in (cta_k, last_k)], np.int64)
    b_row = np.array([problem.dtype.bytes_of(k) for k in (cta_k, last_k)], np.int64)
    a_l2 = np.outer(_edge_sizes(problem.m, tiling.tile_m), a_row) * (0 if problem.a_on_chip else 1)
    b_full = np.outer(_column_sizes(problem, kernel, tiling), b_row)
    reuse = conv_reuse(arch, problem, kernel, tiling)
    b_l2, b_dram = (np.maximum(1, np.ceil(b_full * share)).astype(np.int64) for share in (reuse.from_l2, reuse.from_dram))
    b_sm = np.ceil(b_full * (load_share(kernel) / kernel.cluster_n)).astype(np.int64)
    return _Loads(a_l2, b_l2, b_dram, -(-a_l2 // kernel.cluster_m), b_sm, reuse.period)


def tensor_rate(arch: Arch, problem: Problem, kernel: Kernel) -> float:
    """Logical MACs per cycle and SM of the kernel's instruction: 2:4 doubles it, ``mma.sync`` on Hopper reaches two thirds."""
    core = arch.tensor_core
    rate = float(getattr(core.fma_per_clk_per_sm, problem.dtype.name)) * core.issue_efficiency
    if not kernel.wgmma:
        rate *= core.mma_sync_efficiency
    if kernel.sparse and core.sparse_group and core.sparse_kept:
        rate *= core.sparse_group / core.sparse_kept
    return rate


def warp_rate(arch: Arch, problem: Problem, kernel: Kernel) -> float:
    """Logical MACs per cycle that one CTA's warps reach with the SM to themselves.

    Fewer than four warps leave sub-cores unused. A warp that is alone on its sub-core loses a few cycles in every round of its
    independent ``mma`` (as many as its tile has), two warps fill each other's gaps (``timing.microbenchmark``). A warpgroup
    (``wgmma``) keeps all four sub-cores busy by itself.
    """
    rate = tensor_rate(arch, problem, kernel)
    if kernel.wgmma:
        return rate
    warps = kernel.warps_m * kernel.warps_n
    logical_k = _MMA_BITS // problem.dtype.bits * (2 if kernel.sparse else 1)
    interval = _MMA_M * _MMA_N * logical_k * SUB_CORES / rate
    independent = max(1, kernel.cta_m // kernel.warps_m // _MMA_M * (kernel.cta_n // kernel.warps_n // _MMA_N))
    filled = min(1.0, ceil_div(warps, SUB_CORES) * interval / (interval + ROUND_CYCLES / independent))
    return rate * filled * min(warps, SUB_CORES) / SUB_CORES


def smem_read_bytes(problem: Problem, kernel: Kernel) -> int:
    """Shared-memory bytes one CTA's MMAs read per iteration.

    ``mma.sync``: every warp column re-reads A, every warp row re-reads B (ldmatrix). ``wgmma``: B once per 64 rows of D,
    A once per column of warpgroups (transposed: the other way round) (SS form; the cycles measured in arXiv 2402.13499,
    tables 8-10, follow). 2:4 halves A (plus metadata), not B.
    """
    a_tile = kernel.cta_m * a_row_bytes(problem.dtype, kernel.cta_k(problem.dtype), kernel.sparse)
    b_tile = kernel.cta_n * kernel.k_bytes
    if kernel.transposed:
        return a_tile * ceil_div(kernel.cta_n, WARPGROUP_M) + b_tile * kernel.warps_m
    if kernel.wgmma:
        return a_tile * kernel.warps_n + b_tile * ceil_div(kernel.cta_m, WARPGROUP_M)
    return a_tile * kernel.warps_n + b_tile * kernel.warps_m


def lower(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling, clock_mhz: float | None = None) -> TilePlan:
    """Lower ``problem`` with ``kernel``, cut as ``tiling``, to the integers an engine needs.

    ``clock_mhz`` is the SM clock, by default the one GEMMs hold while the board limit does not bind: DRAM and launches keep
    their pace in microseconds, all else in cycles.
    """
    clock_mhz = clock_mhz or arch.clock.sustained_mhz
    tiles = hand_out(problem, kernel, tiling)
    loads = _loads(arch, problem, kernel, tiling)
    port, l2 = arch.shared_memory.bandwidth_bytes_per_clk, arch.l2.bandwidth_bytes_per_clk
    fill = port / arch.shared_memory.fill_contention if arch.shared_memory.fill_contention > 0 else math.inf
    dram = dram_bytes_per_us(arch) / clock_mhz
    into_sm = arch.l2.port_bytes_per_clk_per_sm
    b_in = -(-loads.b_l2 // kernel.cluster_n)
    a_fill, b_fill, a_ingress, b_ingress, a_l2, b_l2, a_dram, b_dram = _all_ticks(
        (loads.a_sm, loads.b_sm, loads.a_sm, b_in, loads.a_l2, loads.b_l2, loads.a_l2, loads.b_dram),
        (fill, fill, into_sm, into_sm, l2, l2, dram, dram),
    )
    fits = problem.a_bytes(kernel.sparse) + problem.b_bytes + problem.d_bytes <= l2_capacity_bytes(arch)
    a_period = 1 if problem.a_on_chip else tiling.k_iters  # what never leaves the SM is never missed
    start = start_share(arch, kernel)
    out = _out_bytes(problem, kernel, tiling)
    out_sm = -(-out // tiling.unit_ctas)
    latency = l2_latency_cycles(arch) + arch.kernel.load_latency_cycles
    written, moved = _by_kind(out, out * _PARTIAL_SUM_BYTES // problem.out_bytes)
    staged = 2 * staged_bytes(problem, kernel, tiling, out_sm)
    out_smem, out_dram, *passing = _all_ticks(
        (staged, out, *-(-moved // tiling.unit_ctas), *moved), (port, dram, *(3 * (into_sm,)), *(3 * (l2,)))
    )
    macs = kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype)
    # a slot that could never have a tile is no idle time
    resident = min(tiling.ctas_per_sm, ceil_div(tiling.tiles * problem.batch, tiling.units))
    return TilePlan(
        units=tiling.units,
        slots_per_unit=resident,
        stages=tiling.stages,
        m_index=tiles.m_index,
        n_index=tiles.n_index,
        k_start=tiles.k_start,
        k_count=tiles.k_count,
        kind=tiles.kind,
        k_iters=tiling.k_iters,
        m_edge=tiles.m_edge,
        n_edge=tiles.n_edge,
        a_chunks=problem.batch * tiling.m_tiles * a_period,
        b_chunks=problem.batch * tiling.n_tiles * loads.b_period,
        a_period=a_period,
        b_period=loads.b_period,
        a_warm=problem.a_on_chip or fits and problem.weights_in_l2,
        b_warm=fits and problem.activations_in_l2,
        l2_capacity_bytes=l2_capacity_bytes(arch),
        tensor_ticks=_ticks(macs, tensor_rate(arch, problem, kernel)),
        warp_ticks=_ticks(macs, warp_rate(arch, problem, kernel)),
        smem_read_ticks=_ticks(smem_read_bytes(problem, kernel), port),
        iteration_ticks=cycles_to_ticks(iteration_cycles(arch, kernel)),
        prefetch=kernel.wgmma,
        prologue_ticks=cycles_to_ticks(start * arch.kernel.prologue_cycles),
        next_prologue_ticks=1 if kernel.wgmma else cycles_to_ticks(start * arch.kernel.next_prologue_cycles),
        epilogue_ticks=np.array([1, 1, 1 + cycles_to_ticks(latency)]),  # a finisher reads before it writes
        tail_ticks=reduction_ticks(arch, problem, tiling, clock_mhz),
        l2_latency_ticks=cycles_to_ticks(latency),
        dram_latency_ticks=cycles_to_ticks(arch.dram.latency_cycles + arch.kernel.load_latency_cycles),
        a_fill_ticks=a_fill,
        b_fill_ticks=b_fill,
        a_ingress_ticks=a_ingress,
        b_ingress_ticks=b_ingress,
        a_l2_ticks=a_l2,
        b_l2_ticks=b_l2,
        a_dram_ticks=a_dram,
        b_dram_ticks=b_dram,
        a_l2_bytes=loads.a_l2,
        b_l2_bytes=loads.b_l2,
        a_dram_bytes=loads.a_l2,
        b_dram_bytes=loads.b_dram,
        out_smem_ticks=out_smem * _WRITES_D,
        out_ingress_ticks=np.array(passing[:3]),
        out_l2_ticks=np.array(passing[3:]),
        out_dram_ticks=out_dram * _WRITES_D * (0 if fits or tiling.splits > 1 else 1),
        out_bytes=written,
    )


def iteration_cycles(arch: Arch, kernel: Kernel) -> float:
    """Cycles of an iteration that no server explains: barrier and issue, and B fragments that are not loaded ahead.

    Ampere's 2:4 kernels with warp tiles of 64 x 64 or more have registers for one set of B fragments (CUTLASS,
    ``mma_sparse_multistage.h``): before a step of ``mma.sp`` a warp loads its B, as one warp of each other sub-core does, through
    the one port. A second warp of the sub-core multiplies meanwhile, but for the first step after each barrier.
    """
    cycles = arch.kernel.k_iteration_cycles
    warp_n = kernel.cta_n // kernel.warps_n
    if not kernel.sparse or kernel.wgmma or min(kernel.cta_m // kernel.warps_m, warp_n) < _SINGLE_BUFFERED_TILE:
        return cycles
    smem = arch.shared_memory
    load = SUB_CORES * warp_n * _MMA_SP_K_BYTES / smem.bandwidth_bytes_per_clk + smem.latency_cycles
    return cycles + load * (1 if kernel.warps_m * kernel.warps_n > SUB_CORES else kernel.k_bytes // _MMA_SP_K_BYTES)


def l2_latency_cycles(arch: Arch) -> float:
    """Cycles of an L2 hit: near and far partitions are hit equally often."""
    return (arch.l2.near_latency_cycles + arch.l2.far_latency_cycles) / 2


def start_share(arch: Arch, kernel: Kernel) -> float:
    """Share of the prologue that a kernel has."""
    return arch.kernel.gemv_start_fraction if kernel.gemv else 1.0


def l2_capacity_bytes(arch: Arch) -> int:
    """L2 bytes that data read by all SMs can use: half where each partition keeps its own copy (facts 1.3 a)."""
    return int(arch.l2.capacity_mib * 1024 * 1024 * arch.l2.shared_fraction)


def _out_bytes(problem: Problem, kernel: Kernel, tiling: Tiling) -> IntArray:
    """Bytes a tile writes, [m edge][n edge]: D, or fp32/int32 partial sums when the reduction is split."""
    element = 0 if problem.d_on_chip else 4 if tiling.splits > 1 else problem.out_bytes
    elements = np.outer(_edge_sizes(problem.m, tiling.tile_m), _column_sizes(problem, kernel, tiling))
    needed: IntArray = np.ceil(elements * tiling.filled).astype(np.int64)
    return needed * element


def staged_bytes(problem: Problem, kernel: Kernel, tiling: Tiling, out: Bytes) -> Bytes:
    """Bytes of a tile of D on its way through shared memory, there and back; ``out`` are those it writes.

    Kernels before Hopper stage accumulators and convert them behind (CUTLASS, ``epilogue/threadblock/epilogue.h``), but for 8-bit
    results, whose layout takes them from registers as they are (``interleaved`` in CUTLASS and in TensorRT's kernel names).
    ``wgmma`` kernels convert first (``sm90_epilogue_tma_warpspecialized.hpp``).
    """
    if kernel.wgmma or tiling.splits > 1 or problem.out_bytes == 1:  # partial sums are as wide as accumulators
        return out
    return out * _PARTIAL_SUM_BYTES // problem.out_bytes


def _by_kind(out: IntArray, partial: IntArray) -> tuple[IntArray, IntArray]:
    """Bytes that a tile writes, and that it moves between SM and L2, [kind][m edge][n edge]; a finisher reads partial sums."""
    written = np.array([out, partial, out])
    moved = written.copy()
    moved[FINISHER] += partial
    return written, moved


def reduction_ticks(arch: Arch, problem: Problem, tiling: Tiling, clock_mhz: float) -> int:
    """Ticks of the split-K reduction; 0 without a split."""
    return cycles_to_ticks(reduction_cycles(arch, problem, tiling.splits, clock_mhz)) if tiling.splits > 1 else 0


def reduction_cycles(arch: Arch, problem: Problem, splits: int, clock_mhz: float) -> float:
    """Cycles of the split-K reduction, a dependent kernel that reads the partial sums and writes D.

    Its rate is the DRAM's although the L2 may hold what it reads (inferred: fits ask for less than a third of the L2's).
    """
    return (arch.launch.graph_us + reduction_bytes(problem, splits) / dram_bytes_per_us(arch)) * clock_mhz


def reduction_bytes(problem: Problem, splits: int) -> int:
    """Bytes that the split-K reduction reads and writes."""
    return problem.batch * problem.m * problem.n * (_PARTIAL_SUM_BYTES * splits + problem.out_bytes)


def dram_bytes_per_us(arch: Arch) -> float:
    """Bytes a microsecond that streams get from DRAM."""
    return arch.dram.bandwidth_gb_per_s * arch.dram.achieved_fraction * 1e3
