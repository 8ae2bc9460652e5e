"""The closed form of a kernel's time: waves of equal CTAs, and the DRAM beside them; of one kernel or of many at once.

It ranks kernels before they are simulated, and no result is made from it. ``shortlist`` asks for a large menu, ``estimate`` for
what is left of it, ``heuristic`` for waves and iterations only. Where one of them is rougher, it says so by what it hands over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.hardware import PARTIAL_SUM_BYTES
from stcsim.timing.plan import HELD_WHOLE
from stcsim.timing.problem import Problem
from stcsim.timing.rates import (
    Flags,
    Iteration,
    Numbers,
    dram_bytes_per_us,
    held_in_l2,
    l2_capacity_bytes,
    l2_latency_cycles,
    largest,
    step_cycles,
)

OVERLAP = 0.3
"""Share of a tile's start and end that a second resident CTA does not hide; only ranks kernels."""
TIE = 0.01
"""What the SMs take counts so much where DRAM takes longer: many kernels wait for DRAM equally long."""
LEAST_LAST_WAVE = 0.5
"""What a last wave takes at least, of a full one: it runs on emptier SMs, at best twice as fast."""
HIDDEN_WRITES = 2.0
"""How many times faster D leaves while another CTA of the SM computes."""
MOST_MORE_CTAS_PER_SM = 4
"""Slices are tried as long as all but the first add fewer CTAs than so many for each SM (assumed)."""
LEAST_SLICE_ITERATIONS = 2
"""Main-loop iterations of the shortest slice that is tried (assumed)."""


class Walk(NamedTuple):
    """How CTAs follow each other on the GPU.

    Attributes:
        waves: tiles of the busiest slot.
        starts: tiles of them that start behind another one.
        k_iters: main-loop iterations of a tile.
        stages: buffers of a CTA.
        resident: CTAs at work on an SM.
        active: units at work on the GPU.
        overlap: share of a start and an end that nothing hides.
        written_bytes: what all units at work write at the end of a tile.
        write_speed: how many times the L2's rate they seem to write at (``HIDDEN_WRITES`` or 1).
    """

    waves: Numbers
    starts: Numbers
    k_iters: Numbers
    stages: Numbers
    resident: Numbers
    active: Numbers
    overlap: Numbers
    written_bytes: Numbers
    write_speed: Numbers


def waves(tiles: Numbers, slots: Numbers, least_last: float = LEAST_LAST_WAVE) -> Numbers:
    """Return the waves of CTAs; the last one counts by how full it is, and ``least_last`` at least unless it is the only one."""
    full, rest = np.divmod(tiles, slots)
    last = largest(rest / slots, np.where(full > 0, least_last, 1.0))
    return full + np.where(rest > 0, last, 0.0)


def walk(
    *,
    tiles: Numbers,
    slots: Numbers,
    resident: Numbers,
    k_iters: Numbers,
    stages: Numbers,
    elements: Numbers,
    element_bytes: Numbers,
    whole_bytes: int,
    pingpong: Flags,
    hides: Flags,
    stream_k: Flags,
    stream_k_waves: Numbers,
) -> Walk:
    """Return how the CTAs of kernels follow each other.

    Args:
        tiles: unit tiles of all GEMMs of the batch, k-slices included.
        slots: unit tiles that the GPU has room for at once.
        resident: CTAs at work on an SM.
        k_iters: main-loop iterations of a tile.
        stages: buffers of a CTA.
        elements: of D in a unit tile.
        element_bytes: what is written for each.
        whole_bytes: what is written for each without slices; stream-K is taken to write that and a partial sum.
        pingpong: whether two tiles alternate on an SM.
        hides: whether a CTA by itself hides its writes.
        stream_k: whether the last waves are cut along k.
        stream_k_waves: the waves of a kernel that does so.
    """
    taken = np.where(stream_k, stream_k_waves, waves(tiles, slots))
    active = np.where(stream_k, slots, np.minimum(tiles, slots))
    shared = resident > 1
    return Walk(
        waves=taken,
        starts=np.where(stream_k, taken, taken - 1),  # a range of stream-K has a piece more
        k_iters=k_iters,
        stages=stages,
        resident=resident,
        active=active,
        overlap=np.where(shared | pingpong, OVERLAP, 1.0),
        written_bytes=elements * np.where(stream_k, whole_bytes + PARTIAL_SUM_BYTES, element_bytes) * active,
        write_speed=np.where(shared | hides, HIDDEN_WRITES, 1.0),
    )


def body_cycles(arch: Arch, prologue: Numbers, each: Iteration, walk: Walk) -> Numbers:
    """Return what waves of equal CTAs take, DRAM left out."""
    latency = l2_latency_cycles(arch)
    epilogue = walk.written_bytes / arch.l2.bandwidth_bytes_per_clk / walk.write_speed
    fixed = prologue + latency + walk.starts * walk.overlap * (epilogue + latency) + epilogue
    step = step_cycles(arch, each, resident=walk.resident, active=walk.active, stages=walk.stages, latency=latency)
    return fixed + walk.waves * walk.k_iters * step


def dram_cycles(
    arch: Arch,
    problem: Problem,
    sparse: bool,
    *,
    prologue: Numbers,
    slots: Numbers,
    m_tiles: Numbers,
    n_tiles: Numbers,
    group: Numbers,
) -> Numbers:
    """Return the cycles of DRAM traffic: A again for every group of columns when it does not stay in L2, B once, D once.

    Args:
        arch: the GPU.
        problem: the GEMM.
        sparse: whether A is compressed.
        prologue: cycles before the first load.
        slots: unit tiles at work at once.
        m_tiles: unit tiles along m.
        n_tiles: unit tiles along n.
        group: n-tiles that are walked together.
    """
    a_bytes, held = problem.a_bytes(sparse), held_in_l2(arch, problem, sparse)
    columns_at_once = largest(slots // m_tiles, group, 1)
    passes = 1 if a_bytes < l2_capacity_bytes(arch) else -(-n_tiles // columns_at_once)
    a_cold, b_cold, d_leaves = (1 - share / HELD_WHOLE for share in held)
    moved = a_bytes * (passes - 1 + a_cold) + problem.b_bytes * b_cold + problem.d_bytes * d_leaves
    return moved / (dram_bytes_per_us(arch) / arch.clock.sustained_mhz) + prologue + arch.dram.latency_cycles


def rough_cycles(body: Numbers, dram: Numbers, reduction: Numbers) -> Numbers:
    """Return what a kernel is ranked by: the slower of SMs and DRAM, then the reduction; where DRAM is slower, SMs break ties."""
    return largest(body, dram) + reduction + TIE * body


def worth_splitting(arch: Arch, problem: Problem, cta_m: Numbers, cta_n: Numbers, cta_k: Numbers, splits: Numbers) -> Flags:
    """Return whether a library cuts k into ``splits`` slices: they pay only while the tiles alone leave SMs empty."""
    ctas = -(-problem.m // cta_m) * -(-problem.n // cta_n) * problem.batch
    empty, long = MOST_MORE_CTAS_PER_SM * arch.sm.count, LEAST_SLICE_ITERATIONS * splits * cta_k
    return (ctas * (splits - 1) < empty) & (problem.k >= long)
