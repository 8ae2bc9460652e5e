"""The laws of the hardware: what one kernel asks of a GPU's servers, and at what rate they serve it.

Each law stands here once. Lowering turns them into ticks; the closed forms that rank kernels (``timing.offers``) call the same
functions, and say by name where they are rougher. Rates are per SM clock cycle unless a name says otherwise.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.hardware import MMA_K_BITS, MMA_M, MMA_N, PARTIAL_SUM_BYTES, ROUND_CYCLES, SUB_CORES, WARPGROUP_M
from stcsim.timing.plan import HELD_WHOLE, IntArray
from stcsim.timing.problem import Problem, a_row_bytes, ceil_div

REDUCTION_L2_SHARE = 1 / 3
"""What a split-K reduction gets of the L2's rate.

Inferred from times of split GEMMs: on GA100 a third of the L2's rate and the DRAM's are much the same, and on an L40S, with a
large L2 and a slow DRAM, the DRAM's would make short wide GEMMs twice too slow.
"""
HELD_EDGE = 0.25
"""A set of bytes touched in turn that exceeds the L2 by this share of it has lost all when its turn comes again.

A strict least-recently-used L2 would lose all at once; measured rotations of weights lose it between 1.0 and 1.2 times what
the L2 keeps on an H100, and up to about 1.35 times on an L40S (docs/accuracy.md, "What is in L2 when a launch begins").
"""
_SINGLE_BUFFERED_TILE = 64  # least warp tile side with 32-bit accumulators (CUTLASS, kBBufferSize)
Bytes = TypeVar("Bytes", IntArray, float)
Array = npt.NDArray[Any]
Numbers = float | Array
"""A number of one kernel, or one for each of many kernels."""
Flags = bool | npt.NDArray[np.bool_]
"""Whether something holds of one kernel, or of each of many kernels."""


def tensor_rate(arch: Arch, problem: Problem, kernel: Kernel) -> float:
    """Logical MACs per cycle and SM of the kernel's instruction: 2:4 doubles it, ``mma.sync`` on Hopper reaches two thirds."""
    core = arch.tensor_core
    rate = float(getattr(core.fma_per_clk_per_sm, problem.dtype.name)) * core.issue_efficiency
    if not kernel.wgmma:
        rate *= core.mma_sync_efficiency
    if kernel.sparse:
        rate *= arch.sparse_rate_ratio or 1.0
    return rate


def expansion(problem: Problem, kernel: Kernel) -> int:
    """Elements of a row of A for each that is kept and multiplied: 2 for 2:4 (and for 1:2 in tf32), 1 dense."""
    return problem.dtype.sparse_expansion if kernel.sparse else 1


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
    logical_k = MMA_K_BITS // problem.dtype.bits * expansion(problem, kernel)
    interval = MMA_M * MMA_N * logical_k * SUB_CORES / rate
    independent = max(1, kernel.cta_m // kernel.warps_m // MMA_M * (kernel.cta_n // kernel.warps_n // MMA_N))
    filled = min(1.0, ceil_div(warps, SUB_CORES) * interval / (interval + ROUND_CYCLES / independent))
    return rate * filled * min(warps, SUB_CORES) / SUB_CORES


def tile_bytes(problem: Problem, kernel: Kernel) -> tuple[int, int]:
    """Bytes of one iteration's tiles of A (2:4: kept values and metadata) and B, as the MMAs of one CTA see them."""
    return kernel.cta_m * a_row_bytes(problem.dtype, kernel.cta_k(problem.dtype), kernel.sparse), kernel.cta_n * kernel.k_bytes


def smem_reads(kernel: Kernel) -> tuple[int, int]:
    """How often one CTA's MMAs read the tiles of A and B from shared memory in an iteration.

    ``mma.sync``: every warp column re-reads A, every warp row re-reads B (ldmatrix). ``wgmma``: B once per 64 rows of D,
    A once per column of warpgroups (transposed: the other way round) (SS form; the cycles measured in arXiv 2402.13499,
    tables 8-10, follow).
    """
    if kernel.transposed:
        return ceil_div(kernel.cta_n, WARPGROUP_M), kernel.warps_m
    return kernel.warps_n, ceil_div(kernel.cta_m, WARPGROUP_M) if kernel.wgmma else kernel.warps_m


def smem_read_bytes(problem: Problem, kernel: Kernel) -> int:
    """Shared-memory bytes one CTA's MMAs read per iteration; 2:4 halves A (plus metadata), not B."""
    (a_bytes, b_bytes), (a_reads, b_reads) = tile_bytes(problem, kernel), smem_reads(kernel)
    return a_bytes * a_reads + b_bytes * b_reads


def iteration_cycles(arch: Arch, problem: Problem, kernel: Kernel) -> float:
    """Cycles of an iteration that no server explains: barrier and issue, and B fragments that are not loaded ahead.

    Ampere's 2:4 kernels with warp tiles of 64 x 64 or more have registers for one set of B fragments (CUTLASS,
    ``mma_sparse_multistage.h``): before a step of ``mma.sp`` a warp loads its B, as one warp of each other sub-core does, through
    the one port. A second warp of the sub-core multiplies meanwhile, but for the first step after each barrier.
    """
    cycles = arch.kernel.k_iteration_cycles
    warp_n = kernel.cta_n // kernel.warps_n
    if not kernel.sparse or kernel.wgmma or min(kernel.cta_m // kernel.warps_m, warp_n) < _SINGLE_BUFFERED_TILE:
        return cycles
    smem, step_bytes = arch.shared_memory, MMA_K_BITS // 8 * expansion(problem, kernel)  # of a row of B that one mma.sp reads
    load = SUB_CORES * warp_n * step_bytes / smem.bandwidth_bytes_per_clk + smem.latency_cycles
    return cycles + load * (1 if kernel.warps_m * kernel.warps_n > SUB_CORES else ceil_div(kernel.k_bytes, step_bytes))


class Iteration(NamedTuple):
    """One main-loop iteration of a CTA, in cycles of what it needs; of one kernel or of many at once.

    Attributes:
        tensor: of the tensor pipe of its SM.
        port: of the SM's shared-memory port, reads and fills.
        ingress: of the SM's port from L2.
        alone: until a CTA with the SM to itself goes on, as if fills were free: no iteration is shorter.
        sync: of barrier and issue, which are in ``alone``.
        l2_bytes: what its unit loads through the L2.
    """

    tensor: Numbers
    port: Numbers
    ingress: Numbers
    alone: Numbers
    sync: Numbers
    l2_bytes: Numbers


def iteration(
    arch: Arch,
    *,
    tensor: Numbers,
    warps: Numbers,
    sync: Numbers,
    read_bytes: Numbers,
    fill_bytes: Numbers,
    ingress_bytes: Numbers,
    l2_bytes: Numbers,
) -> Iteration:
    """Return what an iteration takes: the law that all closed forms share.

    Args:
        arch: the GPU.
        tensor: cycles of its MACs at the rate of the SM.
        warps: cycles of them at the rate that the CTA's own warps reach.
        sync: cycles of barrier and issue.
        read_bytes: what its MMAs read from shared memory.
        fill_bytes: what its loads write into shared memory.
        ingress_bytes: what its SM takes in.
        l2_bytes: what its unit takes from L2.
    """
    smem = arch.shared_memory
    read = read_bytes / smem.bandwidth_bytes_per_clk
    fills = fill_bytes * smem.fill_contention / smem.bandwidth_bytes_per_clk
    ingress = ingress_bytes / arch.l2.port_bytes_per_clk_per_sm
    return Iteration(tensor, read + fills, ingress, largest(tensor, warps, read) + sync, sync, l2_bytes)


def step_cycles(arch: Arch, each: Iteration, *, resident: Numbers, active: Numbers, stages: Numbers, latency: float) -> Numbers:
    """Return the cycles from one iteration of all CTAs of an SM to the next, where nothing misses the L2.

    It is the longest of what one CTA needs by itself, what the SM's busiest server needs for all of them, what the L2 needs for
    all units at work, and what a buffer needs until it is filled again.

    Args:
        arch: the GPU.
        each: one iteration of one CTA.
        resident: CTAs at work on an SM.
        active: units at work on the GPU.
        stages: buffers of a CTA.
        latency: cycles of a load that nothing delays.
    """
    alone = largest(each.alone, each.port + each.sync)
    refilled = (alone + latency) / largest(stages - 1, 1)
    shared = resident * largest(each.tensor, each.port, each.ingress)
    return largest(alone, shared, refilled, each.l2_bytes * active / arch.l2.bandwidth_bytes_per_clk)


def largest(*amounts: Numbers) -> Numbers:
    """Return the largest, for each kernel where there are many."""
    found: Numbers = reduce(np.maximum, amounts)
    return found


def prologue_cycles(arch: Arch, kernel: Kernel) -> float:
    """Cycles from the start of an SM's first CTA to its first load."""
    return _start_share(arch, kernel) * arch.kernel.prologue_cycles


def next_prologue_cycles(arch: Arch, kernel: Kernel) -> float:
    """Cycles from the end of a CTA to the first load of the one that follows it; a persistent kernel goes on at once."""
    return 0.0 if kernel.persistent else _start_share(arch, kernel) * arch.kernel.next_prologue_cycles


def _start_share(arch: Arch, kernel: Kernel) -> float:
    """Share of the prologue that a kernel has."""
    return arch.kernel.gemv_start_fraction if kernel.gemv else 1.0


def l2_latency_cycles(arch: Arch) -> float:
    """Cycles of an L2 hit: near and far partitions are hit equally often."""
    return (arch.l2.near_latency_cycles + arch.l2.far_latency_cycles) / 2


def load_latency_cycles(arch: Arch) -> float:
    """Cycles from issuing an asynchronous copy of what is in L2 to its arrival in shared memory."""
    return l2_latency_cycles(arch) + arch.kernel.load_latency_cycles


def miss_latency_cycles(arch: Arch) -> float:
    """Cycles from issuing an asynchronous copy of what is in DRAM to its arrival in shared memory."""
    return arch.dram.latency_cycles + arch.kernel.load_latency_cycles


def l2_capacity_bytes(arch: Arch) -> int:
    """L2 bytes that data read by all SMs can use: half where each partition keeps its own copy (facts 1.3 a)."""
    return int(arch.l2.capacity_mib * 1024 * 1024 * arch.l2.shared_fraction)


class Held(NamedTuple):
    """What an operand has in L2 when a launch begins, and of D what stays there when it ends: shares, 0 to ``HELD_WHOLE``."""

    a: int
    b: int
    d: int


def held_in_l2(arch: Arch, problem: Problem, sparse: bool) -> Held:
    """Return what L2 still holds of A, B and D from launches before, by the bytes that were touched since they were.

    B is touched in every launch, A once in as many as there are sets of weights, and so is D, of which each set has its own:
    between two touches of A all copies of A and D, and B, go through the L2. What fits stays; of what is a little too much a
    part stays (``HELD_EDGE``). Weights that are cold whatever there is say nothing of D, which the next kernel reads.
    """
    own, capacity = problem.a_bytes(sparse) + problem.d_bytes, l2_capacity_bytes(arch)
    launch = _held(own + problem.b_bytes, capacity)
    turn = _held(problem.weight_copies * own + problem.b_bytes, capacity)
    a = HELD_WHOLE if problem.a_on_chip else turn if problem.weights_in_l2 else 0
    return Held(a, launch if problem.activations_in_l2 else 0, turn if problem.weights_in_l2 else launch)


def _held(touched_bytes: int, capacity_bytes: int) -> int:
    """Return the share that stays of a set of bytes touched in turn, in parts of ``HELD_WHOLE``."""
    over = touched_bytes / max(capacity_bytes, 1) - 1
    return HELD_WHOLE - min(HELD_WHOLE, math.ceil(HELD_WHOLE * max(over, 0) / HELD_EDGE))


def dram_bytes_per_us(arch: Arch) -> float:
    """Bytes a microsecond that streams get from DRAM."""
    return arch.dram.bandwidth_gb_per_s * arch.dram.achieved_fraction * 1e3


def written_element_bytes(problem: Problem, splits: int) -> int:
    """Bytes of what a tile writes for each element of D: of D's type, or a partial sum where the reduction is split."""
    return PARTIAL_SUM_BYTES if splits > 1 else problem.out_bytes


def staged_bytes(problem: Problem, kernel: Kernel, splits: int, out: Bytes) -> Bytes:
    """Bytes of a tile of D on its way through shared memory, there and back; ``out`` are those it writes.

    Kernels before Hopper stage accumulators and convert them behind (CUTLASS, ``epilogue/threadblock/epilogue.h``), but for 8-bit
    results, whose layout takes them from registers as they are (``interleaved`` in CUTLASS and in TensorRT's kernel names).
    ``wgmma`` kernels convert first (``sm90_epilogue_tma_warpspecialized.hpp``).
    """
    if kernel.wgmma or splits > 1 or problem.out_bytes == 1:  # partial sums are as wide as accumulators
        return out
    return out * PARTIAL_SUM_BYTES // problem.out_bytes


def reduction_us(arch: Arch, problem: Problem, splits: int) -> float:
    """Microseconds of the split-K reduction, a dependent kernel that reads the partial sums and writes D; 0 without a split.

    No SM clock changes them. What the L2 holds of the partial sums comes at a share of its rate (``REDUCTION_L2_SHARE``), the
    rest at the DRAM's.
    """
    if splits == 1:
        return 0.0
    moved, capacity = reduction_bytes(problem, splits), l2_capacity_bytes(arch)
    l2_bytes_per_us = arch.l2.bandwidth_bytes_per_clk * arch.clock.sustained_mhz * REDUCTION_L2_SHARE
    return arch.launch.graph_us + min(moved, capacity) / l2_bytes_per_us + max(0, moved - capacity) / dram_bytes_per_us(arch)


def reduction_bytes(problem: Problem, splits: int) -> int:
    """Bytes that the split-K reduction reads and writes."""
    return problem.batch * problem.m * problem.n * (PARTIAL_SUM_BYTES * splits + problem.out_bytes)
