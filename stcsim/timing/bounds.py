"""Closed forms beside the simulation: a lower bound no engine may beat, an estimate to discard kernels by, and the roofline."""

from __future__ import annotations

import math

from stcsim.arch import Arch
from stcsim.timing.catalogue import Kernel
from stcsim.timing.lower import clock_mhz, l2_capacity_bytes, reduction_ticks, smem_read_bytes, tensor_rate
from stcsim.timing.plan import TICKS_PER_CYCLE, TilePlan
from stcsim.timing.problem import Problem
from stcsim.timing.tiling import Tiling, stage_bytes


def lower_bound_ticks(plan: TilePlan) -> dict[str, int]:
    """Ticks that no schedule of ``plan`` can beat, one figure per resource; the largest is the bound.

    ``tensor``, ``smem``: the work of all tiles shared evenly by the units. ``l2``: all loads and writes through the one server.
    ``dram``: every cold chunk once. ``chain``: the longest tile alone: prologue, first load, its iterations, epilogue.
    """
    iterations = plan.tile_iterations
    start = plan.prologue_ticks + plan.l2_latency_ticks
    end = plan.epilogue_ticks + plan.tail_ticks
    longest = int(plan.k_count.max()) * (max(plan.tensor_ticks, plan.smem_read_ticks) + plan.iteration_ticks)
    return {
        "tensor": start + -(-iterations * plan.tensor_ticks // plan.units) + plan.iteration_ticks + end,
        "smem": plan.prologue_ticks + -(-_port_ticks(plan) // plan.units) + plan.tail_ticks,
        "l2": plan.prologue_ticks + _sum_loads(plan, "l2") + plan.tail_ticks,
        "dram": plan.prologue_ticks + _compulsory_dram(plan) + plan.dram_latency_ticks if _compulsory_dram(plan) else 0,
        "chain": start + longest + end,
    }


def _sum_loads(plan: TilePlan, server: str) -> int:
    """Ticks all loads book at a server, taking every panel as the smallest class (so never too much)."""
    a, b = getattr(plan, f"a_{server}_ticks"), getattr(plan, f"b_{server}_ticks")
    return int(plan.tile_iterations * (a.min() + b.min()))


def _port_ticks(plan: TilePlan) -> int:
    return plan.tile_iterations * plan.smem_read_ticks + _sum_loads(plan, "fill")


def _compulsory_dram(plan: TilePlan) -> int:
    a = 0 if plan.a_warm else plan.a_chunks * int(plan.a_dram_ticks.min())
    b = 0 if plan.b_warm else plan.b_chunks * int(plan.b_dram_ticks.min())
    return a + b


def roofline_us(arch: Arch, problem: Problem, sparse: bool) -> float:
    """Return the plain roofline, microseconds: MACs at vendor peak or each operand once at peak DRAM bandwidth."""
    peak_tops = arch.peak_tops(problem.dtype.name, sparse)
    if peak_tops is None:
        return math.nan
    moved = problem.a_bytes(sparse) + problem.b_bytes + problem.d_bytes
    return max(2 * problem.macs / (peak_tops * 1e6), moved / (arch.dram.bandwidth_gb_per_s * 1e3))


def estimate_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> float:
    """Rough cycles of a kernel in closed form, to decide which kernels are worth simulating.

    Waves of equal CTAs; an iteration takes the slowest of tensor pipe, shared-memory port, SM ingress and L2 share, or the
    latency of a load spread over the stages in flight; DRAM traffic assumes that A is read again for every group of columns.
    """
    tiles = tiling.tiles * problem.batch
    slots = tiling.units * tiling.ctas_per_sm
    resident = min(tiling.ctas_per_sm, math.ceil(tiles / tiling.units))
    active = min(tiles, slots)
    stage = stage_bytes(kernel, problem)
    tensor = kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype) / tensor_rate(arch, problem, kernel)
    port = (
        smem_read_bytes(problem, kernel) + stage * arch.shared_memory.fill_contention
    ) / arch.shared_memory.bandwidth_bytes_per_clk
    ingress = stage / arch.l2.port_bytes_per_clk_per_sm
    a_share = kernel.cta_m / (kernel.cta_m + kernel.cta_n)
    multicast = a_share / kernel.cluster_n + (1 - a_share) / kernel.cluster_m
    l2 = stage * multicast * tiling.unit_ctas * active / arch.l2.bandwidth_bytes_per_clk
    latency = (arch.l2.near_latency_cycles + arch.l2.far_latency_cycles) / 2
    alone = max(tensor, port) + arch.kernel.k_iteration_cycles
    iteration = max(alone, resident * max(tensor, port, ingress), l2, (alone + latency) / max(1, tiling.stages - 1))
    k_iters = math.ceil(tiling.k_iters / tiling.splits)
    out = tiling.tile_m * tiling.tile_n * (4 if tiling.splits > 1 else problem.out_bytes)
    epilogue = arch.kernel.epilogue_cycles + out * active / arch.l2.bandwidth_bytes_per_clk / (
        2 if resident > 1 or kernel.wgmma else 1
    )
    overlap = 0.3 if resident > 1 or kernel.pingpong else 1.0
    full, rest = divmod(tiles, slots)
    waves = full + (max(0.5, rest / slots) if rest and full else bool(rest))
    fixed = arch.kernel.prologue_cycles + latency + (waves - 1) * overlap * (epilogue + latency) + epilogue
    body = fixed + waves * k_iters * iteration
    return max(body, _dram_cycles(arch, problem, kernel, tiling)) + reduction_ticks(arch, problem, tiling) / TICKS_PER_CYCLE


def _dram_cycles(arch: Arch, problem: Problem, kernel: Kernel, tiling: Tiling) -> float:
    """Cycles of DRAM traffic: A again for every group of n-tiles when it does not stay in L2, B once, D once."""
    a_bytes = problem.a_bytes(kernel.sparse)
    capacity = l2_capacity_bytes(arch)
    passes = 1 if a_bytes < capacity else math.ceil(tiling.n_tiles / kernel.swizzle)
    wave_columns = max(1, tiling.units * tiling.ctas_per_sm // max(1, tiling.m_tiles))
    passes = max(1, min(passes, math.ceil(tiling.n_tiles / max(wave_columns, min(kernel.swizzle, tiling.n_tiles)))))
    fits = a_bytes + problem.b_bytes + problem.d_bytes <= capacity
    moved = a_bytes * passes + (0 if fits else problem.b_bytes + problem.d_bytes)
    if fits and problem.weights_in_l2:
        moved = 0
    rate = arch.dram.bandwidth_gb_per_s * arch.dram.achieved_fraction * 1e3 / clock_mhz(arch)
    return moved / rate + arch.kernel.prologue_cycles + arch.dram.latency_cycles + arch.kernel.epilogue_cycles
