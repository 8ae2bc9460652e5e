"""Closed forms of a kernel before it is simulated: a rough time to rank it by, and costs that no schedule of it can go below.

No result is made from them. The rough time decides which kernels are tried first; the floors decide which need not be tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.lowering.conv_traffic import Reuse, conv_reuse
from stcsim.timing.lowering.lower import (
    dram_bytes_per_us,
    iteration_cycles,
    l2_capacity_bytes,
    l2_latency_cycles,
    reduction_bytes,
    smem_read_bytes,
    staged_bytes,
    start_share,
    tensor_rate,
    warp_rate,
)
from stcsim.timing.lowering.stream_k import stream_k_waves
from stcsim.timing.lowering.tiling import Tiling, ceil_div, load_share
from stcsim.timing.problem import Problem, a_row_bytes

OVERLAP = 0.3
"""Share of a tile's start and end that a second resident CTA does not hide; only ranks kernels."""
TIE = 0.01
"""What the SMs take counts so much where DRAM takes longer: many kernels wait for DRAM equally long."""
_PARTIAL_SUM_BYTES = 4


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


def estimate(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> Estimate:
    """Return the closed forms of ``kernel`` cut as ``tiling``."""
    reuse = conv_reuse(arch, problem, kernel, tiling)
    each = _iteration(arch, problem, kernel, reuse)
    l2_bytes = _l2_bytes(problem, kernel, tiling, reuse)
    fits = problem.a_bytes(kernel.sparse) + problem.b_bytes + problem.d_bytes <= l2_capacity_bytes(arch)
    cold = 0 if fits and problem.weights_in_l2 else problem.a_bytes(kernel.sparse)
    body, dram = _body_cycles(arch, problem, kernel, tiling, each), _dram_cycles(arch, problem, kernel, tiling, fits)
    reduction, highest_mhz = reduction_us(arch, problem, tiling), arch.clock.sustained_mhz
    return Estimate(
        cycles=max(body, dram) + reduction * highest_mhz + TIE * body,
        waits_us=max(dram - body, 0.0) / highest_mhz,
        least_cycles=_least_cycles(arch, problem, kernel, tiling, each, l2_bytes, cold > 0),
        reduction_us=reduction,
        l2_bytes=l2_bytes,
        least_dram_bytes=cold + (0 if fits or tiling.splits > 1 else problem.d_bytes),
    )


def reduction_us(arch: Arch, problem: Problem, tiling: Tiling) -> float:
    """Microseconds of the reduction after split-K, which no SM clock changes; 0 without a split."""
    if tiling.splits == 1:
        return 0.0
    return arch.launch.graph_us + reduction_bytes(problem, tiling.splits) / dram_bytes_per_us(arch)


def _iteration(arch: Arch, problem: Problem, kernel: Kernel, reuse: Reuse) -> _Iteration:
    cta_k, port_rate = kernel.cta_k(problem.dtype), arch.shared_memory.bandwidth_bytes_per_clk
    macs = kernel.cta_m * kernel.cta_n * cta_k
    a_bytes = 0 if problem.a_on_chip else kernel.cta_m * a_row_bytes(problem.dtype, cta_k, kernel.sparse)
    b_bytes = kernel.cta_n * kernel.k_bytes
    tensor, warps = macs / tensor_rate(arch, problem, kernel), macs / warp_rate(arch, problem, kernel)
    read = smem_read_bytes(problem, kernel) / port_rate
    fills = (a_bytes + b_bytes * load_share(kernel)) * arch.shared_memory.fill_contention / port_rate
    ingress = (a_bytes + b_bytes * reuse.from_l2) / arch.l2.port_bytes_per_clk_per_sm
    alone = max(tensor, warps, read) + iteration_cycles(arch, kernel)
    return _Iteration(
        tensor, read + fills, ingress, alone, a_bytes * kernel.cluster_m + b_bytes * reuse.from_l2 * kernel.cluster_n
    )


def _l2_bytes(problem: Problem, kernel: Kernel, tiling: Tiling, reuse: Reuse) -> float:
    """Bytes that all loads and writes take through the L2."""
    columns = problem.n if kernel.patch is None else tiling.n_tiles * tiling.tile_n
    a_bytes = 0 if problem.a_on_chip else tiling.n_tiles * problem.m * a_row_bytes(problem.dtype, problem.k, kernel.sparse)
    b_bytes = problem.dtype.bytes_of(tiling.m_tiles * columns * problem.k) * reuse.from_l2
    return problem.batch * (a_bytes + b_bytes) + _written_bytes(problem, tiling)


def _written_bytes(problem: Problem, tiling: Tiling) -> float:
    return 0 if problem.d_on_chip else problem.batch * problem.m * problem.n * tiling.splits * _element_bytes(problem, tiling)


def _element_bytes(problem: Problem, tiling: Tiling) -> int:
    return _PARTIAL_SUM_BYTES if tiling.splits > 1 else problem.out_bytes


def _least_cycles(
    arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling, each: _Iteration, l2_bytes: float, cold: bool
) -> float:
    """Cycles that no schedule goes below: of the busiest unit's pipe and port, of the longest chain of CTAs, of the L2."""
    tiles, k_iters = tiling.tiles * problem.batch, tiling.k_iters // tiling.splits
    latency = l2_latency_cycles(arch) + arch.kernel.load_latency_cycles
    first = arch.dram.latency_cycles + arch.kernel.load_latency_cycles if cold else latency
    begin = start_share(arch, kernel) * arch.kernel.prologue_cycles + max(first, latency)
    resident = min(tiling.ctas_per_sm, ceil_div(tiles, tiling.units))
    per_unit, per_slot = tiles / tiling.units, tiles / (tiling.units * resident)
    if not kernel.stream_k and tiling.k_iters % tiling.splits == 0:  # tiles of one length are dealt in turn
        per_unit, per_slot = math.ceil(per_unit), math.ceil(per_slot)
    again = 0.0 if kernel.wgmma else latency + start_share(arch, kernel) * arch.kernel.next_prologue_cycles
    unit_bytes = _written_bytes(problem, tiling) / (tiling.units * tiling.unit_ctas)
    staged = 2 * staged_bytes(problem, kernel, tiling, unit_bytes) / arch.shared_memory.bandwidth_bytes_per_clk
    even = tiles / tiling.units * k_iters * problem.k / (tiling.k_iters * kernel.cta_k(problem.dtype))
    waits = (k_iters - 1) // max(tiling.stages - 1, 1) * latency  # a buffer is filled again when it has been read
    written = 0.0 if kernel.stream_k else _least_epilogue(arch, problem, kernel, tiling)
    chain = per_slot * max(k_iters * each.alone, waits) + (math.ceil(per_slot) - 1) * (again + written) + written
    return max(
        begin + per_unit * k_iters * each.tensor,
        begin + chain,
        begin + _least_share(problem, tiling) * even * each.port + staged,
        begin - max(first, latency) + l2_bytes / arch.l2.bandwidth_bytes_per_clk,
    )


def _least_epilogue(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> float:
    """Cycles of writing the smallest tile: its last rows and columns."""
    rows, columns = problem.m % tiling.tile_m or tiling.tile_m, problem.n % tiling.tile_n or tiling.tile_n
    element = 0 if problem.d_on_chip else _element_bytes(problem, tiling)
    out = rows * (columns if kernel.patch is None else 0) * element / tiling.unit_ctas
    staged = 2 * staged_bytes(problem, kernel, tiling, out) / arch.shared_memory.bandwidth_bytes_per_clk
    return max(staged, out / arch.l2.port_bytes_per_clk_per_sm)


def _least_share(problem: Problem, tiling: Tiling) -> float:
    """Share of the rows and columns of all tiles that lie inside the matrix: edge panels load less."""
    rows = problem.m / (tiling.m_tiles * tiling.tile_m)
    return rows * min(1.0, problem.n / (tiling.n_tiles * tiling.tile_n))


def _body_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling, each: _Iteration) -> float:
    """Return what waves of equal CTAs take, DRAM left out."""
    tiles = tiling.tiles * problem.batch
    start = start_share(arch, kernel)
    resident = min(tiling.ctas_per_sm, ceil_div(tiles, tiling.units))
    slots = tiling.units * tiling.ctas_per_sm
    active = slots if kernel.stream_k else min(tiles, slots)
    k_iters = math.ceil(tiling.k_iters / tiling.splits)
    written = problem.out_bytes + _PARTIAL_SUM_BYTES if kernel.stream_k else _element_bytes(problem, tiling)
    hidden = resident > 1 or kernel.wgmma
    out_bytes = tiling.tile_m * tiling.tile_n * written * active
    epilogue = out_bytes / arch.l2.bandwidth_bytes_per_clk / (2 if hidden else 1)
    latency = l2_latency_cycles(arch)
    overlap = OVERLAP if resident > 1 or kernel.pingpong else 1.0
    waves = stream_k_waves(tiles, slots, tiling.k_iters) if kernel.stream_k else _waves(tiles, slots)
    starts = waves if kernel.stream_k else waves - 1  # a range of stream-K has a piece more
    fixed = start * arch.kernel.prologue_cycles + latency + starts * overlap * (epilogue + latency) + epilogue
    alone = max(each.alone, each.port + iteration_cycles(arch, kernel))
    in_flight = (alone + latency) / max(1, tiling.stages - 1)
    shared = resident * max(each.tensor, each.port, each.ingress)
    step = max(alone, shared, in_flight, each.l2_bytes * active / arch.l2.bandwidth_bytes_per_clk)
    return fixed + waves * k_iters * step


def _waves(tiles: int, slots: int) -> float:
    """Waves of CTAs; a last wave that fills half its slots or less runs on emptier SMs, at best twice as fast."""
    full, rest = divmod(tiles, slots)
    return full + (max(0.5, rest / slots) if rest and full else bool(rest))


def _dram_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling, fits: bool) -> float:
    """Cycles of DRAM traffic: A again for every group of columns when it does not stay in L2, B once, D once."""
    a_bytes, capacity = problem.a_bytes(kernel.sparse), l2_capacity_bytes(arch)
    columns_at_once = max(1, tiling.units * tiling.ctas_per_sm // tiling.m_tiles, min(kernel.swizzle, tiling.n_tiles))
    passes = 1 if a_bytes < capacity else math.ceil(tiling.n_tiles / columns_at_once)
    moved = a_bytes * passes + (0 if fits else problem.b_bytes + problem.d_bytes)
    if fits and problem.weights_in_l2:
        moved = 0
    rate = dram_bytes_per_us(arch) / arch.clock.sustained_mhz
    return moved / rate + start_share(arch, kernel) * arch.kernel.prologue_cycles + arch.dram.latency_cycles
