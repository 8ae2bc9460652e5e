"""Closed forms of a kernel before it is simulated: a rough time to rank it by, and costs that no schedule of it can go below.

No result is made from them. The rough time decides which kernels are tried first; the floors decide which need not be tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stcsim.timing.hardware import PARTIAL_SUM_BYTES
from stcsim.timing.lowering.conv_traffic import Reuse, conv_reuse
from stcsim.timing.lowering.cut import Cut, Tiling
from stcsim.timing.lowering.stream_k import stream_k_waves
from stcsim.timing.lowering.tiling import load_share
from stcsim.timing.problem import Problem, a_row_bytes
from stcsim.timing.rates import (
    dram_bytes_per_us,
    fits_l2,
    iteration_cycles,
    l2_capacity_bytes,
    l2_latency_cycles,
    load_latency_cycles,
    miss_latency_cycles,
    next_prologue_cycles,
    prologue_cycles,
    reduction_us,
    smem_read_bytes,
    staged_bytes,
    tensor_rate,
    tile_bytes,
    warp_rate,
    written_element_bytes,
)

OVERLAP = 0.3
"""Share of a tile's start and end that a second resident CTA does not hide; only ranks kernels."""
TIE = 0.01
"""What the SMs take counts so much where DRAM takes longer: many kernels wait for DRAM equally long."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Closed forms of one kernel, cut in one way.

    Attributes:
        cycles: rough SM cycles at the highest clock, launch excluded. waits_us: of these, what is spent waiting for DRAM alone,
            which no clock makes longer.
        least_cycles: that SMs and L2 need at any clock, up to the reduction after split-K. reduction_us: what that adds.
        l2_bytes: loads and writes through the L2 (exact but for roundings). least_dram_bytes: each operand once where it is cold.
    """

    cycles: float
    waits_us: float
    least_cycles: float
    reduction_us: float
    l2_bytes: float
    least_dram_bytes: float


@dataclass(frozen=True, slots=True)
class _Iteration:
    """One main-loop iteration of a CTA: cycles of its tensor pipe, port and ingress, and of the CTA with the SM to itself."""

    tensor: float
    port: float
    ingress: float
    alone: float
    l2_bytes: float


def estimate(cut: Cut) -> Estimate:
    """Return the closed forms of a kernel that cuts a problem in one way."""
    arch, problem, kernel, tiling = cut
    reuse = conv_reuse(cut)
    each = _iteration(cut, reuse)
    l2_bytes = _l2_bytes(cut, reuse)
    fits = fits_l2(arch, problem, kernel.sparse)
    cold = 0 if fits and problem.weights_in_l2 else problem.a_bytes(kernel.sparse)
    body, dram = _body_cycles(cut, each), _dram_cycles(cut, fits)
    reduction, highest_mhz = reduction_us(arch, problem, tiling.splits), arch.clock.sustained_mhz
    return Estimate(
        cycles=max(body, dram) + reduction * highest_mhz + TIE * body,
        waits_us=max(dram - body, 0.0) / highest_mhz,
        least_cycles=_least_cycles(cut, each, l2_bytes, cold > 0),
        reduction_us=reduction,
        l2_bytes=l2_bytes,
        least_dram_bytes=cold + (0 if fits or tiling.splits > 1 else problem.d_bytes),
    )


def _iteration(cut: Cut, reuse: Reuse) -> _Iteration:
    arch, problem, kernel, _ = cut
    port_rate = arch.shared_memory.bandwidth_bytes_per_clk
    macs = kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype)
    a_bytes, b_bytes = tile_bytes(problem, kernel)
    a_bytes = 0 if problem.a_on_chip else a_bytes
    tensor, warps = macs / tensor_rate(arch, problem, kernel), macs / warp_rate(arch, problem, kernel)
    read = smem_read_bytes(problem, kernel) / port_rate
    fills = (a_bytes + b_bytes * load_share(kernel)) * arch.shared_memory.fill_contention / port_rate
    ingress = (a_bytes + b_bytes * reuse.from_l2) / arch.l2.port_bytes_per_clk_per_sm
    alone = max(tensor, warps, read) + iteration_cycles(arch, kernel)
    return _Iteration(
        tensor, read + fills, ingress, alone, a_bytes * kernel.cluster_m + b_bytes * reuse.from_l2 * kernel.cluster_n
    )


def _l2_bytes(cut: Cut, reuse: Reuse) -> float:
    """Bytes that all loads and writes take through the L2."""
    _, problem, kernel, tiling = cut
    columns = problem.n if kernel.patch is None else tiling.n_tiles * tiling.tile_n
    a_bytes = 0 if problem.a_on_chip else tiling.n_tiles * problem.m * a_row_bytes(problem.dtype, problem.k, kernel.sparse)
    b_bytes = tiling.m_tiles * columns * problem.k * problem.dtype.bits // 8 * reuse.from_l2
    return problem.batch * (a_bytes + b_bytes) + _written_bytes(problem, tiling)


def _written_bytes(problem: Problem, tiling: Tiling) -> float:
    each = 0 if problem.d_on_chip else written_element_bytes(problem, tiling.splits)
    return problem.batch * problem.m * problem.n * tiling.splits * each


def _least_cycles(cut: Cut, each: _Iteration, l2_bytes: float, cold: bool) -> float:
    """Cycles that no schedule goes below: of the busiest unit's pipe and port, of the longest chain of CTAs, of the L2."""
    arch, problem, kernel, tiling = cut
    tiles, k_iters = cut.tiles, tiling.k_iters // tiling.splits
    latency = load_latency_cycles(arch)
    first = miss_latency_cycles(arch) if cold else latency
    begin = prologue_cycles(arch, kernel) + max(first, latency)
    per_unit, per_slot = tiles / tiling.units, tiles / (tiling.units * cut.resident)
    if not kernel.stream_k and tiling.k_iters % tiling.splits == 0:  # tiles of one length are dealt in turn
        per_unit, per_slot = math.ceil(per_unit), math.ceil(per_slot)
    again = 0.0 if kernel.wgmma else latency + next_prologue_cycles(arch, kernel)
    unit_bytes = _written_bytes(problem, tiling) / (tiling.units * tiling.unit_ctas)
    staged = 2 * staged_bytes(problem, kernel, tiling.splits, unit_bytes) / arch.shared_memory.bandwidth_bytes_per_clk
    even = tiles / tiling.units * k_iters * problem.k / (tiling.k_iters * kernel.cta_k(problem.dtype))
    waits = (k_iters - 1) // max(tiling.stages - 1, 1) * latency  # a buffer is filled again when it has been read
    written = 0.0 if kernel.stream_k else _least_epilogue(cut)
    chain = per_slot * max(k_iters * each.alone, waits) + (math.ceil(per_slot) - 1) * (again + written) + written
    return max(
        begin + per_unit * k_iters * each.tensor,
        begin + chain,
        begin + _least_share(problem, tiling) * even * each.port + staged,
        begin - max(first, latency) + l2_bytes / arch.l2.bandwidth_bytes_per_clk,
    )


def _least_epilogue(cut: Cut) -> float:
    """Cycles of writing the smallest tile: its last rows and columns."""
    arch, problem, kernel, tiling = cut
    rows, columns = problem.m % tiling.tile_m or tiling.tile_m, problem.n % tiling.tile_n or tiling.tile_n
    element = 0 if problem.d_on_chip else written_element_bytes(problem, tiling.splits)
    out = rows * (columns if kernel.patch is None else 0) * element / tiling.unit_ctas
    staged = 2 * staged_bytes(problem, kernel, tiling.splits, out) / arch.shared_memory.bandwidth_bytes_per_clk
    return max(staged, out / arch.l2.port_bytes_per_clk_per_sm)


def _least_share(problem: Problem, tiling: Tiling) -> float:
    """Share of the rows and columns of all tiles that lie inside the matrix: edge panels load less."""
    rows = problem.m / (tiling.m_tiles * tiling.tile_m)
    return rows * min(1.0, problem.n / (tiling.n_tiles * tiling.tile_n))


def _body_cycles(cut: Cut, each: _Iteration) -> float:
    """Return what waves of equal CTAs take, DRAM left out."""
    arch, problem, kernel, tiling = cut
    tiles, slots, resident = cut.tiles, cut.slots, cut.resident
    active = slots if kernel.stream_k else min(tiles, slots)
    written = problem.out_bytes + PARTIAL_SUM_BYTES if kernel.stream_k else written_element_bytes(problem, tiling.splits)
    hidden = resident > 1 or kernel.wgmma
    out_bytes = tiling.tile_m * tiling.tile_n * written * active
    epilogue = out_bytes / arch.l2.bandwidth_bytes_per_clk / (2 if hidden else 1)
    latency = l2_latency_cycles(arch)
    overlap = OVERLAP if resident > 1 or kernel.pingpong else 1.0
    waves = stream_k_waves(tiles, slots, tiling.k_iters) if kernel.stream_k else _waves(tiles, slots)
    starts = waves if kernel.stream_k else waves - 1  # a range of stream-K has a piece more
    fixed = prologue_cycles(arch, kernel) + latency + starts * overlap * (epilogue + latency) + epilogue
    alone = max(each.alone, each.port + iteration_cycles(arch, kernel))
    in_flight = (alone + latency) / max(1, tiling.stages - 1)
    shared = resident * max(each.tensor, each.port, each.ingress)
    step = max(alone, shared, in_flight, each.l2_bytes * active / arch.l2.bandwidth_bytes_per_clk)
    return fixed + waves * cut.slice_iterations * step


def _waves(tiles: int, slots: int) -> float:
    """Waves of CTAs; a last wave that fills half its slots or less runs on emptier SMs, at best twice as fast."""
    full, rest = divmod(tiles, slots)
    return full + (max(0.5, rest / slots) if rest and full else bool(rest))


def _dram_cycles(cut: Cut, fits: bool) -> float:
    """Cycles of DRAM traffic: A again for every group of columns when it does not stay in L2, B once, D once."""
    arch, problem, kernel, tiling = cut
    a_bytes, capacity = problem.a_bytes(kernel.sparse), l2_capacity_bytes(arch)
    columns_at_once = max(1, cut.slots // tiling.m_tiles, min(kernel.swizzle, tiling.n_tiles))
    passes = 1 if a_bytes < capacity else math.ceil(tiling.n_tiles / columns_at_once)
    moved = a_bytes * passes + (0 if fits else problem.b_bytes + problem.d_bytes)
    if fits and problem.weights_in_l2:
        moved = 0
    rate = dram_bytes_per_us(arch) / arch.clock.sustained_mhz
    return moved / rate + prologue_cycles(arch, kernel) + arch.dram.latency_cycles
