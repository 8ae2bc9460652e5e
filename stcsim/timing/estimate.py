"""A rough closed-form time of a kernel, to decide which kernels are worth simulating. No result is made from it."""

from __future__ import annotations

import math

from stcsim.arch import Arch
from stcsim.timing.conv_traffic import conv_reuse
from stcsim.timing.kernel import Kernel
from stcsim.timing.lower import (
    dram_bytes_per_us,
    iteration_cycles,
    l2_capacity_bytes,
    l2_latency_cycles,
    reduction_ticks,
    smem_read_bytes,
    start_share,
    tensor_rate,
    warp_rate,
)
from stcsim.timing.plan import TICKS_PER_CYCLE
from stcsim.timing.problem import Problem, a_row_bytes
from stcsim.timing.stream_k import stream_k_waves
from stcsim.timing.tiling import Tiling

_OVERLAP = 0.3  # share of a tile's start and end that a second resident CTA does not hide; only ranks kernels


def estimate_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> float:
    """Return rough cycles of a kernel: waves of equal CTAs, or DRAM traffic if that takes longer, plus a split reduction."""
    tiles = tiling.tiles * problem.batch
    start = start_share(arch, kernel)
    resident = min(tiling.ctas_per_sm, math.ceil(tiles / tiling.units))
    slots = tiling.units * tiling.ctas_per_sm
    active = slots if kernel.stream_k else min(tiles, slots)
    k_iters = math.ceil(tiling.k_iters / tiling.splits)
    out_bytes = tiling.tile_m * tiling.tile_n * _element_bytes(problem, kernel, tiling)
    hidden = resident > 1 or kernel.wgmma
    epilogue = out_bytes * active / arch.l2.bandwidth_bytes_per_clk / (2 if hidden else 1)
    latency = l2_latency_cycles(arch)
    overlap = _OVERLAP if resident > 1 or kernel.pingpong else 1.0
    waves = stream_k_waves(tiles, slots, tiling.k_iters) if kernel.stream_k else _waves(tiles, slots)
    starts = waves if kernel.stream_k else waves - 1  # a range of stream-K has a piece more
    fixed = start * arch.kernel.prologue_cycles + latency + starts * overlap * (epilogue + latency) + epilogue
    body = fixed + waves * k_iters * _iteration(arch, problem, kernel, tiling, resident, active)
    return (
        max(body, _dram_cycles(arch, problem, kernel, tiling))
        + reduction_ticks(arch, problem, tiling, arch.clock.sustained_mhz) / TICKS_PER_CYCLE
    )


def _element_bytes(problem: Problem, kernel: Kernel, tiling: Tiling) -> int:
    """Bytes of an element that a slot writes, and reads, when its iterations are done."""
    return problem.out_bytes + 4 if kernel.stream_k else 4 if tiling.splits > 1 else problem.out_bytes


def _waves(tiles: int, slots: int) -> float:
    """Waves of CTAs; a last wave that fills half its slots or less runs on emptier SMs, at best twice as fast."""
    full, rest = divmod(tiles, slots)
    return full + (max(0.5, rest / slots) if rest and full else bool(rest))


def _iteration(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling, resident: int, active: int) -> float:
    """Cycles of one iteration: the slowest server, or the latency of a load spread over the stages in flight."""
    cta_k = kernel.cta_k(problem.dtype)
    a_bytes = kernel.cta_m * a_row_bytes(problem.dtype, cta_k, kernel.sparse)
    b_bytes = kernel.cta_n * kernel.k_bytes
    fetched_b_bytes = b_bytes * conv_reuse(arch, problem, kernel, tiling).from_l2
    tensor = kernel.cta_m * kernel.cta_n * cta_k / tensor_rate(arch, problem, kernel)
    fills = (a_bytes + b_bytes) * arch.shared_memory.fill_contention
    port = (smem_read_bytes(problem, kernel) + fills) / arch.shared_memory.bandwidth_bytes_per_clk
    ingress = (a_bytes + fetched_b_bytes) / arch.l2.port_bytes_per_clk_per_sm
    from_l2 = (a_bytes * kernel.cluster_m + fetched_b_bytes * kernel.cluster_n) * active
    warps = kernel.cta_m * kernel.cta_n * cta_k / warp_rate(arch, problem, kernel)
    alone = max(tensor, warps, port) + iteration_cycles(arch, kernel)
    in_flight = (alone + l2_latency_cycles(arch)) / max(1, tiling.stages - 1)
    return max(alone, resident * max(tensor, port, ingress), from_l2 / arch.l2.bandwidth_bytes_per_clk, in_flight)


def _dram_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> float:
    """Cycles of DRAM traffic: A again for every group of columns when it does not stay in L2, B once, D once."""
    a_bytes, capacity = problem.a_bytes(kernel.sparse), l2_capacity_bytes(arch)
    columns_at_once = max(1, tiling.units * tiling.ctas_per_sm // tiling.m_tiles, min(kernel.swizzle, tiling.n_tiles))
    passes = 1 if a_bytes < capacity else math.ceil(tiling.n_tiles / columns_at_once)
    fits = a_bytes + problem.b_bytes + problem.d_bytes <= capacity
    moved = a_bytes * passes + (0 if fits else problem.b_bytes + problem.d_bytes)
    if fits and problem.weights_in_l2:
        moved = 0
    rate = dram_bytes_per_us(arch) / arch.clock.sustained_mhz
    start = start_share(arch, kernel)
    return moved / rate + start * arch.kernel.prologue_cycles + arch.dram.latency_cycles
