"""Closed forms of kernels before they are simulated: a rough time to rank them by, and costs that no schedule can go below.

No result is made from them. The rough time decides which kernels are tried first; the floors decide which need not be tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stcsim.timing.lowering.conv_traffic import conv_reuse
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.stream_k import stream_k_waves
from stcsim.timing.lowering.tiling import load_share
from stcsim.timing.offers.closed_form import Walk, body_cycles, dram_cycles, rough_cycles, walk
from stcsim.timing.offers.columns import Columns, columns_of
from stcsim.timing.plan import HELD_WHOLE
from stcsim.timing.problem import a_row_bytes
from stcsim.timing.rates import (
    Array,
    Iteration,
    Numbers,
    held_in_l2,
    iteration,
    iteration_cycles,
    largest,
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


class Estimate(NamedTuple):
    """Closed forms of one kernel, cut in one way.

    Attributes:
        cycles: rough SM cycles at the highest clock, launch excluded.
        waits_us: of these, what is spent waiting for DRAM alone, which no clock makes longer.
        least_cycles: that SMs and L2 need at any clock, up to the reduction after split-K.
        reduction_us: what that reduction adds.
        l2_bytes: loads and writes through the L2 (exact but for roundings).
        least_dram_bytes: each operand once where it is cold.
    """

    cycles: float
    waits_us: float
    least_cycles: float
    reduction_us: float
    l2_bytes: float
    least_dram_bytes: float


def estimate(cut: Cut) -> Estimate:
    """Return the closed forms of a kernel that cuts a problem in one way."""
    return estimates([cut])[0]


def estimates(cuts: Sequence[Cut]) -> list[Estimate]:
    """Return the closed forms of each of ``cuts``, all of one problem on one GPU."""
    if not cuts:
        return []
    many = columns_of(cuts)
    arch, problem, sparse = many.arch, many.problem, many.kernels[0].sparse
    held = held_in_l2(arch, problem, sparse)
    cold = problem.a_bytes(sparse) * (HELD_WHOLE - held.a) // HELD_WHOLE
    # of a plain GEMM every load reads each of its bytes once
    from_l2 = np.array([conv_reuse(cut).from_l2 for cut in cuts]) if problem.conv else np.ones(len(cuts))
    each, l2_bytes = _iteration(many, from_l2), _l2_bytes(many, from_l2)
    prologue = many.of_kernels(lambda kernel: prologue_cycles(arch, kernel))
    body = body_cycles(arch, prologue, each, _walk(many))
    dram = dram_cycles(
        arch,
        problem,
        sparse,
        prologue=prologue,
        slots=many.slots,
        m_tiles=many.m_tiles,
        n_tiles=many.n_tiles,
        group=np.minimum(many.of_kernels(lambda kernel: kernel.swizzle), many.n_tiles),
    )
    reduction = many.of_splits(lambda splits: reduction_us(arch, problem, splits))
    highest_mhz = arch.clock.sustained_mhz
    columns = (
        rough_cycles(body, dram, reduction * highest_mhz),
        largest(dram - body, 0.0) / highest_mhz,
        _least_cycles(many, each, l2_bytes, cold > 0),
        reduction,
        l2_bytes,
        cold + np.where(many.splits > 1, 0, problem.d_bytes * (HELD_WHOLE - held.d) // HELD_WHOLE),
    )
    return [Estimate._make(row) for row in zip(*(np.asarray(column).tolist() for column in columns), strict=True)]


def _iteration(many: Columns, from_l2: Array) -> Iteration:
    arch, problem = many.arch, many.problem
    macs = many.of_kernels(lambda kernel: kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype))
    a_bytes, b_bytes = many.of_kernels(lambda kernel: tile_bytes(problem, kernel)).T
    a_bytes, b_l2 = 0 if problem.a_on_chip else a_bytes, b_bytes * from_l2
    return iteration(
        arch,
        tensor=macs / many.of_kernels(lambda kernel: tensor_rate(arch, problem, kernel)),
        warps=macs / many.of_kernels(lambda kernel: warp_rate(arch, problem, kernel)),
        sync=many.of_kernels(lambda kernel: iteration_cycles(arch, problem, kernel)),
        read_bytes=many.of_kernels(lambda kernel: smem_read_bytes(problem, kernel)),
        fill_bytes=a_bytes + b_bytes * many.of_kernels(load_share),
        ingress_bytes=a_bytes + b_l2,
        l2_bytes=a_bytes * many.of_kernels(lambda kernel: kernel.cluster_m)
        + b_l2 * many.of_kernels(lambda kernel: kernel.cluster_n),
    )


def _walk(many: Columns) -> Walk:
    problem, tiles, slots = many.problem, many.tiles, many.slots
    stream_k = many.of_kernels(lambda kernel: kernel.stream_k)
    shared_out = np.zeros(len(tiles))
    for at in np.flatnonzero(stream_k).tolist():
        shared_out[at] = stream_k_waves(int(tiles[at]), int(slots[at]), int(many.k_iters[at]))
    return walk(
        tiles=tiles,
        slots=slots,
        resident=many.resident,
        k_iters=many.slice_iterations,
        stages=many.stages,
        elements=many.tile_m * many.tile_n,
        element_bytes=many.of_splits(lambda splits: written_element_bytes(problem, splits)),
        whole_bytes=problem.out_bytes,
        pingpong=many.of_kernels(lambda kernel: kernel.pingpong),
        hides=many.of_kernels(lambda kernel: kernel.persistent),
        stream_k=stream_k,
        stream_k_waves=shared_out,
    )


def _l2_bytes(many: Columns, from_l2: Array) -> Array:
    """Bytes that all loads and writes take through the L2."""
    problem, sparse = many.problem, many.kernels[0].sparse
    patches = many.of_kernels(lambda kernel: kernel.patch is not None)
    columns = np.where(patches, many.n_tiles * many.tile_n, problem.n)
    a_bytes = 0 if problem.a_on_chip else many.n_tiles * problem.m * a_row_bytes(problem.dtype, problem.k, sparse)
    b_bytes = -(-many.m_tiles * columns * problem.k * problem.dtype.bits // 8) * from_l2
    return problem.batch * (a_bytes + b_bytes) + _written_bytes(many)


def _written_bytes(many: Columns) -> Array:
    problem = many.problem
    return problem.batch * problem.m * problem.n * many.splits * _element_bytes(many)


def _element_bytes(many: Columns) -> Array:
    """Bytes of what a tile writes for each element of D, where it leaves the SM."""
    problem = many.problem
    return many.of_splits(lambda splits: 0 if problem.d_on_chip else written_element_bytes(problem, splits))


def _least_cycles(many: Columns, each: Iteration, l2_bytes: Array, cold: bool) -> Numbers:
    """Cycles that no schedule goes below: of the busiest unit's pipe and port, of the longest chain of CTAs, of the L2."""
    arch, problem, tiles, k_iters = many.arch, many.problem, many.tiles, many.k_iters // many.splits
    latency = load_latency_cycles(arch)
    first = max(miss_latency_cycles(arch) if cold else latency, latency)
    begin = many.of_kernels(lambda kernel: prologue_cycles(arch, kernel)) + first
    per_unit, per_slot = tiles / many.units, tiles / (many.units * many.resident)
    stream_k = many.of_kernels(lambda kernel: kernel.stream_k)
    even = ~stream_k & (many.k_iters % many.splits == 0)  # tiles of one length are dealt in turn
    per_unit, per_slot = (np.where(even, np.ceil(share), share) for share in (per_unit, per_slot))
    again = many.of_kernels(lambda kernel: 0.0 if kernel.persistent else latency + next_prologue_cycles(arch, kernel))
    staged = _staged_cycles(many, _written_bytes(many) / (many.units * many.unit_ctas))
    cta_k = many.of_kernels(lambda kernel: kernel.cta_k(problem.dtype))
    rows = tiles / many.units * k_iters * problem.k / (many.k_iters * cta_k)
    waits = (k_iters - 1) // np.maximum(many.stages - 1, 1) * latency  # a buffer is filled again when it has been read
    written = np.where(stream_k, 0.0, _least_epilogue(many))
    chain = per_slot * np.maximum(k_iters * each.alone, waits) + (np.ceil(per_slot) - 1) * (again + written) + written
    return largest(
        begin + per_unit * k_iters * each.tensor,
        begin + chain,
        begin + _least_share(many) * rows * each.port + staged,
        begin - first + l2_bytes / arch.l2.bandwidth_bytes_per_clk,
    )


def _least_epilogue(many: Columns) -> Array:
    """Cycles of writing the smallest tile: its last rows and columns; none of patches, which may hang over the image."""
    problem = many.problem
    rows, columns = problem.m % many.tile_m, problem.n % many.tile_n
    rows, columns = np.where(rows > 0, rows, many.tile_m), np.where(columns > 0, columns, many.tile_n)
    columns = np.where(many.of_kernels(lambda kernel: kernel.patch is not None), 0, columns)
    out = rows * columns * _element_bytes(many) / many.unit_ctas
    return np.maximum(_staged_cycles(many, out), out / many.arch.l2.port_bytes_per_clk_per_sm)


def _staged_cycles(many: Columns, out: Array) -> Array:
    """Cycles of the shared-memory port for ``out`` bytes of each cut on their way, there and back."""
    cuts = zip(many.which.tolist(), many.splits.tolist(), out.tolist(), strict=True)
    staged = [staged_bytes(many.problem, many.kernels[kernel], splits, written) for kernel, splits, written in cuts]
    return 2 * np.array(staged) / many.arch.shared_memory.bandwidth_bytes_per_clk


def _least_share(many: Columns) -> Array:
    """Share of the rows and columns of all tiles that lie inside the matrix: edge panels load less."""
    rows = many.problem.m / (many.m_tiles * many.tile_m)
    return rows * np.minimum(1.0, many.problem.n / (many.n_tiles * many.tile_n))
