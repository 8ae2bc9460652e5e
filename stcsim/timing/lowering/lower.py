"""Lowering: Arch x Problem x Kernel -> TilePlan. The only place where units of the real world become ticks and bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.hardware import PARTIAL_SUM_BYTES
from stcsim.timing.lowering.conv_traffic import conv_reuse
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.stream_k import hand_out
from stcsim.timing.lowering.tiling import load_share
from stcsim.timing.plan import FINISHER, HELD_WHOLE, TICKS_PER_CYCLE, IntArray, TilePlan
from stcsim.timing.problem import Problem, a_row_bytes
from stcsim.timing.rates import (
    dram_bytes_per_us,
    held_in_l2,
    iteration_cycles,
    l2_capacity_bytes,
    load_latency_cycles,
    miss_latency_cycles,
    next_prologue_cycles,
    prologue_cycles,
    reduction_us,
    smem_read_bytes,
    staged_bytes,
    tensor_rate,
    warp_rate,
    written_element_bytes,
)

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


def _row_sizes(cut: Cut) -> IntArray:
    """Rows of A and D of a full panel and of the edge panel."""
    return _edge_sizes(cut.problem.m, cut.tiling.tile_m)


def _column_sizes(cut: Cut) -> IntArray:
    """Columns of B and D of a full panel and of the edge panel; every patch of a convolution is taken as full."""
    return _edge_sizes(cut.problem.n if cut.kernel.patch is None else cut.tiling.tile_n, cut.tiling.tile_n)


@dataclass(frozen=True, slots=True)
class _Loads:
    """Bytes of one iteration's loads, (2, 2) tables [edge][last]: off L2 and, if missed, DRAM (per unit), into each SM."""

    a_l2: IntArray
    b_l2: IntArray
    b_dram: IntArray
    a_sm: IntArray
    b_sm: IntArray
    b_period: int


def _loads(cut: Cut) -> _Loads:
    """Bytes of each class of load. A cluster fetches each operand tile once from L2 and multicasts it to its SMs."""
    _, problem, kernel, tiling = cut
    cta_k = kernel.cta_k(problem.dtype)
    last_k = problem.k - (tiling.k_iters - 1) * cta_k
    a_row = np.array([a_row_bytes(problem.dtype, k, kernel.sparse) for k in (cta_k, last_k)], np.int64)
    b_row = np.array([problem.dtype.bytes_of(k) for k in (cta_k, last_k)], np.int64)
    a_l2 = np.outer(_row_sizes(cut), a_row) * (0 if problem.a_on_chip else 1)
    b_full = np.outer(_column_sizes(cut), b_row)
    reuse = conv_reuse(cut)
    b_l2, b_dram = (np.maximum(1, np.ceil(b_full * share)).astype(np.int64) for share in (reuse.from_l2, reuse.from_dram))
    b_sm = np.ceil(b_full * (load_share(kernel) / kernel.cluster_n)).astype(np.int64)
    return _Loads(a_l2, b_l2, b_dram, -(-a_l2 // kernel.cluster_m), b_sm, reuse.period)


def lower(cut: Cut, clock_mhz: float | None = None) -> TilePlan:
    """Lower a problem, as a kernel cuts it on a GPU, to the integers an engine needs.

    ``clock_mhz`` is the SM clock, by default the one GEMMs hold while the board limit does not bind: DRAM and launches keep
    their pace in microseconds, all else in cycles.
    """
    arch, problem, kernel, tiling = cut
    clock_mhz = clock_mhz or arch.clock.sustained_mhz
    tiles, loads, out = hand_out(cut), _loads(cut), _out_bytes(cut)
    port, l2 = arch.shared_memory.bandwidth_bytes_per_clk, arch.l2.bandwidth_bytes_per_clk
    fill = port / arch.shared_memory.fill_contention if arch.shared_memory.fill_contention > 0 else math.inf
    dram = dram_bytes_per_us(arch) / clock_mhz
    into_sm = arch.l2.port_bytes_per_clk_per_sm
    b_in = -(-loads.b_l2 // kernel.cluster_n)
    a_fill, b_fill, a_ingress, b_ingress, a_l2, b_l2, a_dram, b_dram = _all_ticks(
        (loads.a_sm, loads.b_sm, loads.a_sm, b_in, loads.a_l2, loads.b_l2, loads.a_l2, loads.b_dram),
        (fill, fill, into_sm, into_sm, l2, l2, dram, dram),
    )
    held = held_in_l2(arch, problem, kernel.sparse)
    leaves = 1 - held.d / HELD_WHOLE if tiling.splits == 1 else 0
    a_period = 1 if problem.a_on_chip else tiling.k_iters  # what never leaves the SM is never missed
    out_sm = -(-out // tiling.unit_ctas)
    latency = load_latency_cycles(arch)
    written, moved = _by_kind(out, out * PARTIAL_SUM_BYTES // problem.out_bytes)
    staged = 2 * staged_bytes(problem, kernel, tiling.splits, out_sm)
    out_smem, out_dram, *passing = _all_ticks(
        (staged, out, *-(-moved // tiling.unit_ctas), *moved), (port, dram, *(3 * (into_sm,)), *(3 * (l2,)))
    )
    macs = kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype)
    return TilePlan(
        units=tiling.units,
        slots_per_unit=cut.resident,  # a slot that could never have a tile is no idle time
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
        a_held=held.a,
        b_held=held.b,
        d_held=held.d,
        l2_capacity_bytes=l2_capacity_bytes(arch),
        tensor_ticks=_ticks(macs, tensor_rate(arch, problem, kernel)),
        warp_ticks=_ticks(macs, warp_rate(arch, problem, kernel)),
        smem_read_ticks=_ticks(smem_read_bytes(problem, kernel), port),
        iteration_ticks=cycles_to_ticks(iteration_cycles(arch, problem, kernel)),
        prefetch=kernel.persistent,
        prologue_ticks=cycles_to_ticks(prologue_cycles(arch, kernel)),
        next_prologue_ticks=cycles_to_ticks(next_prologue_cycles(arch, kernel)),
        epilogue_ticks=_epilogue_ticks(cut, latency),
        tail_ticks=reduction_ticks(arch, problem, tiling.splits, clock_mhz),
        l2_latency_ticks=cycles_to_ticks(latency),
        dram_latency_ticks=cycles_to_ticks(miss_latency_cycles(arch)),
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
        out_dram_ticks=np.ceil(out_dram * _WRITES_D * leaves).astype(np.int64),
        out_bytes=written,
    )


def _epilogue_ticks(cut: Cut, latency_cycles: float) -> IntArray:
    """Ticks that a CTA's threads need for a whole tile of D, or of partial sums, by kind; a finisher reads before it writes."""
    kernel, problem = cut.kernel, cut.problem
    elements = 0 if problem.d_on_chip else kernel.cta_m * kernel.cta_n
    rate = cut.arch.kernel.epilogue_bytes_per_clk
    written = cycles_to_ticks(elements * written_element_bytes(problem, cut.tiling.splits) / rate)
    partial = cycles_to_ticks(elements * PARTIAL_SUM_BYTES / rate)
    return np.array([written, partial, written + cycles_to_ticks(latency_cycles)])


def _out_bytes(cut: Cut) -> IntArray:
    """Bytes a tile writes, [m edge][n edge]: D, or fp32/int32 partial sums when the reduction is split."""
    element = 0 if cut.problem.d_on_chip else written_element_bytes(cut.problem, cut.tiling.splits)
    needed: IntArray = np.ceil(np.outer(_row_sizes(cut), _column_sizes(cut)) * cut.tiling.filled).astype(np.int64)
    return needed * element


def _by_kind(out: IntArray, partial: IntArray) -> tuple[IntArray, IntArray]:
    """Bytes that a tile writes, and that it moves between SM and L2, [kind][m edge][n edge]; a finisher reads partial sums."""
    written = np.array([out, partial, out])
    moved = written.copy()
    moved[FINISHER] += partial
    return written, moved


def reduction_ticks(arch: Arch, problem: Problem, splits: int, clock_mhz: float) -> int:
    """Ticks of the split-K reduction; 0 without a split."""
    return cycles_to_ticks(reduction_us(arch, problem, splits) * clock_mhz) if splits > 1 else 0
