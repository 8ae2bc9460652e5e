"""The fast engine: a flat event loop over int64 arrays, compiled by numba.

Twin of ``timing.reference.simulate``; must agree exactly. ``timing.plan`` states the rules; nothing here adds to them.
All kernels stand in this one module, because numba's cache does not notice an edit in another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from stcsim.timing.plan import (
    DRAM,
    EPILOGUE,
    INGRESS,
    ISSUE,
    L2,
    LATENCY,
    PARTS,
    PROLOGUE,
    SMEM,
    TAIL,
    TENSOR,
    GemmTiming,
    IntArray,
    TilePlan,
)

_SLOT_BITS = 18  # an event is one int64: tick << 18 | slot, so that comparing two events is one instruction
_MAX_TICK = 1 << 44
_NEVER = -(1 << 60)  # stamp of a chunk that was never in L2

# phases of a slot
_FILL, _ITERATE, _EPILOGUE = 0, 1, 2

# shared counters, in one array so that the kernels can update them
_L2_FREE, _DRAM_FREE, _INSERTED, _NEXT_TILE, _L2_READ, _DRAM_READ, _LAST_END, _TENSOR_BUSY, _SMEM_BUSY, _INGRESS_BUSY, _L2_BUSY, _DRAM_BUSY = range(12)

_jit: Callable[..., Callable[..., object]] = numba.njit(cache=True, error_model="numpy")
# cache: a first compile takes seconds. error_model: no zero-division checks in the loop; there is no division in it.


@_jit
def _push(heap, size, event):  # type: ignore[no-untyped-def]
    """Add ``event`` to the binary heap of ``size`` events."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent] <= event:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = event


@_jit
def _replace_top(heap, size, event):  # type: ignore[no-untyped-def]
    """Replace the smallest event by ``event`` and restore the heap."""
    at = 0
    child = 1
    while child < size:
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= event:
            break
        heap[at] = heap[child]
        at = child
        child = 2 * at + 1
    heap[at] = event


@_jit
def _touch(stamp, chunk, chunk_bytes, capacity, shared):  # type: ignore[no-untyped-def]
    """Touch a chunk in L2; return whether it missed."""
    missed = shared[_INSERTED] - stamp[chunk] >= capacity
    if missed:
        shared[_INSERTED] += chunk_bytes
        shared[_DRAM_READ] += chunk_bytes
    stamp[chunk] = shared[_INSERTED]
    return missed


@_jit
def _load(t, k, unit, tile, tiles, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready):  # type: ignore[no-untyped-def]
    """Issue one load at tick ``t``; return (arrival, cause)."""
    l2_latency, dram_latency = consts[3], consts[4]
    mi, ni = tiles[0, tile], tiles[1, tile]
    last = 1 if k == consts[5] - 1 else 0
    a_class = (2 if mi >= consts[6] else 0) + last
    b_class = (2 if ni >= consts[7] else 0) + last
    a_chunk = mi * consts[8] + (k if k < consts[8] else k % consts[8])  # the plain case needs no slow division
    b_chunk = ni * consts[9] + (k if k < consts[9] else k % consts[9])
    a_bytes, b_bytes = tables[8, a_class], tables[9, b_class]
    shared[_L2_READ] += a_bytes + b_bytes
    a_missed = _touch(a_stamp, a_chunk, a_bytes, consts[10], shared)
    b_missed = _touch(b_stamp, b_chunk, b_bytes, consts[10], shared)

    arrival, cause = t + l2_latency, LATENCY
    fill = tables[0, a_class] + tables[1, b_class]
    if fill > 0:
        port[unit] = max(port[unit], t) + fill
        shared[_SMEM_BUSY] += fill
        if port[unit] > arrival:
            arrival, cause = port[unit], SMEM
    into = tables[2, a_class] + tables[3, b_class]
    if into > 0:
        ingress[unit] = max(ingress[unit], t) + into
        shared[_INGRESS_BUSY] += into
        if ingress[unit] + l2_latency > arrival:
            arrival, cause = ingress[unit] + l2_latency, INGRESS
    l2_ticks = tables[4, a_class] + tables[5, b_class]
    if l2_ticks > 0:
        shared[_L2_FREE] = max(shared[_L2_FREE], t) + l2_ticks
        shared[_L2_BUSY] += l2_ticks
        if shared[_L2_FREE] + l2_latency > arrival:
            arrival, cause = shared[_L2_FREE] + l2_latency, L2
    if a_missed or b_missed:
        dram_ticks = (tables[6, a_class] if a_missed else 0) + (tables[7, b_class] if b_missed else 0)
        end = t
        if dram_ticks > 0:
            shared[_DRAM_FREE] = max(shared[_DRAM_FREE], t) + dram_ticks
            shared[_DRAM_BUSY] += dram_ticks
            end = shared[_DRAM_FREE]
        if end + dram_latency > arrival:
            arrival, cause = end + dram_latency, LATENCY if end - dram_ticks == t else DRAM
        if a_missed:
            a_ready[a_chunk] = end + dram_latency
        if b_missed:
            b_ready[b_chunk] = end + dram_latency
    if not a_missed and a_ready[a_chunk] > arrival:
        arrival, cause = a_ready[a_chunk], DRAM
    if not b_missed and b_ready[b_chunk] > arrival:
        arrival, cause = b_ready[b_chunk], DRAM
    return arrival, cause


@_jit
def _fill(t, slot, unit, tile, tiles, arrivals, causes, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready):  # type: ignore[no-untyped-def]
    """Issue the first loads of a tile at tick ``t``."""
    depth = arrivals.shape[1]
    for j in range(min(depth, tiles[3, tile])):
        arrivals[slot, j], causes[slot, j] = _load(
            t, tiles[2, tile] + j, unit, tile, tiles, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready
        )


@_jit
def _run(consts, tables, tiles, a_stamp, a_ready, b_stamp, b_ready, parts, shared):  # type: ignore[no-untyped-def]
    """Run all events; fill ``parts`` and ``shared``. Return False if a tick overflowed an event."""
    units, slots, depth = consts[0], consts[0] * consts[1], max(consts[2] - 1, 1)
    iteration, prefetch, next_prologue, epilogue = consts[11], consts[12], consts[14], consts[15]
    tensor_ticks, read_ticks = consts[16], consts[17]
    num_tiles = tiles.shape[1]
    tensor, port, ingress = np.zeros(units, np.int64), np.zeros(units, np.int64), np.zeros(units, np.int64)
    arrivals, causes = np.zeros((slots, depth), np.int64), np.zeros((slots, depth), np.int64)
    tile_of, step, phase, head = np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    ends = np.zeros(slots, np.int64)
    heap = np.empty(slots + 1, np.int64)
    size = min(slots, num_tiles)
    shared[_NEXT_TILE] = size
    for slot in range(size):
        tile_of[slot] = slot
        parts[PROLOGUE] += consts[13]
        _push(heap, slot, (consts[13] << _SLOT_BITS) | slot)

    while size > 0:
        t, slot = heap[0] >> _SLOT_BITS, heap[0] & ((1 << _SLOT_BITS) - 1)
        unit, tile = slot % units, tile_of[slot]
        if phase[slot] == _ITERATE:
            i, count = step[slot], tiles[3, tile]
            ring = head[slot]
            if i + depth < count:  # the buffer just freed takes the load furthest ahead
                arrivals[slot, ring], causes[slot, ring] = _load(
                    t, tiles[2, tile] + i + depth, unit, tile, tiles, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready
                )
            tensor[unit] = max(tensor[unit], t) + tensor_ticks
            port_end = t
            if read_ticks > 0:
                port[unit] = max(port[unit], t) + read_ticks
                port_end = port[unit]
            compute_end = max(tensor[unit], port_end) + iteration
            parts[TENSOR] += tensor[unit] - t
            parts[SMEM] += max(port_end - tensor[unit], 0)
            upcoming = compute_end
            if i + 1 < count:
                ring = ring + 1 if ring + 1 < depth else 0
                head[slot] = ring
                step[slot] = i + 1
                if arrivals[slot, ring] > compute_end:
                    upcoming = arrivals[slot, ring]
                    parts[causes[slot, ring]] += upcoming - compute_end
            else:
                phase[slot] = _EPILOGUE
        elif phase[slot] == _FILL:
            _fill(t, slot, unit, tile, tiles, arrivals, causes, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready)
            upcoming = arrivals[slot, 0]
            parts[causes[slot, 0]] += upcoming - t
            step[slot], head[slot], phase[slot] = 0, 0, _ITERATE
        else:
            end = _write(t, unit, tile, epilogue, tiles, consts, tables, port, ingress, shared)
            parts[EPILOGUE] += end - t
            ends[slot] = end
            if shared[_NEXT_TILE] == num_tiles:
                size -= 1
                if size > 0:
                    _replace_top(heap, size, heap[size])
                continue
            tile_of[slot] = shared[_NEXT_TILE]
            shared[_NEXT_TILE] += 1
            parts[PROLOGUE] += next_prologue
            upcoming = end + next_prologue
            phase[slot] = _FILL
            if prefetch:
                _fill(t, slot, unit, tile_of[slot], tiles, arrivals, causes, consts, tables, port, ingress, shared, a_stamp, a_ready, b_stamp, b_ready)
                if arrivals[slot, 0] > upcoming:
                    parts[causes[slot, 0]] += arrivals[slot, 0] - upcoming
                    upcoming = arrivals[slot, 0]
                step[slot], head[slot], phase[slot] = 0, 0, _ITERATE
        if upcoming >= _MAX_TICK:
            return False
        _replace_top(heap, size, (upcoming << _SLOT_BITS) | slot)

    shared[_LAST_END] = ends.max()
    for slot in range(slots):
        parts[TAIL] += shared[_LAST_END] - ends[slot]
    return True


@_jit
def _write(t, unit, tile, epilogue, tiles, consts, tables, port, ingress, shared):  # type: ignore[no-untyped-def]
    """Book the writing of D at the end of a tile; return the tile's end."""
    edge = (2 if tiles[0, tile] >= consts[6] else 0) + (1 if tiles[1, tile] >= consts[7] else 0)
    end = t + epilogue
    if tables[10, edge] > 0:
        port[unit] = max(port[unit], t) + tables[10, edge]
        shared[_SMEM_BUSY] += tables[10, edge]
        end = max(end, port[unit])
    if tables[11, edge] > 0:
        ingress[unit] = max(ingress[unit], t) + tables[11, edge]
        shared[_INGRESS_BUSY] += tables[11, edge]
        end = max(end, ingress[unit])
    if tables[12, edge] > 0:
        shared[_L2_FREE] = max(shared[_L2_FREE], t) + tables[12, edge]
        shared[_L2_BUSY] += tables[12, edge]
        end = max(end, shared[_L2_FREE])
    if tables[13, edge] > 0:
        shared[_DRAM_FREE] = max(shared[_DRAM_FREE], t) + tables[13, edge]
        shared[_DRAM_BUSY] += tables[13, edge]
    shared[_INSERTED] += tables[14, edge]
    return end


def simulate(plan: TilePlan) -> GemmTiming:
    """Run ``plan`` and return its timing. Twin of ``timing.reference.simulate``; must agree exactly.

    Raises:
        OverflowError: when the plan runs for more than 2**44 ticks or on 2**18 slots.
    """
    if plan.slots >= 1 << _SLOT_BITS:
        raise OverflowError(f"{plan.slots} slots do not fit an event")
    consts, tables, tiles = _flatten(plan)
    stamps = [np.full(n, 0 if warm else _NEVER, np.int64) for n, warm in ((plan.a_chunks, plan.a_warm), (plan.b_chunks, plan.b_warm))]
    readies = [np.zeros(n, np.int64) for n in (plan.a_chunks, plan.b_chunks)]
    parts, shared = np.zeros(len(PARTS), np.int64), np.zeros(12, np.int64)
    if not _run(consts, tables, tiles, stamps[0], readies[0], stamps[1], readies[1], parts, shared):
        raise OverflowError("the plan runs for more than 2**44 ticks")
    iterations = plan.tile_iterations
    parts[ISSUE] += iterations * plan.iteration_ticks
    parts[EPILOGUE] += plan.slots * plan.tail_ticks
    return GemmTiming(
        total_ticks=int(shared[_LAST_END]) + plan.tail_ticks,
        part_ticks=tuple(int(p) for p in parts),
        tensor_busy_ticks=iterations * plan.tensor_ticks,
        smem_busy_ticks=int(shared[_SMEM_BUSY]) + iterations * plan.smem_read_ticks,
        ingress_busy_ticks=int(shared[_INGRESS_BUSY]),
        l2_busy_ticks=int(shared[_L2_BUSY]),
        dram_busy_ticks=int(shared[_DRAM_BUSY]),
        l2_read_bytes=int(shared[_L2_READ]),
        dram_read_bytes=int(shared[_DRAM_READ]),
        write_bytes=_write_bytes(plan),
    )


def is_compiled() -> bool:
    """Whether the kernels' machine code is already on disk (else the first call compiles, for seconds)."""
    folder, source = Path(_run.stats.cache_path), Path(__file__)  # type: ignore[attr-defined]
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in folder.glob(f"{source.stem}._run-*.nbi"))


def _write_bytes(plan: TilePlan) -> int:
    """Bytes of D written by all tiles."""
    edge = (plan.m_index >= plan.m_edge).astype(np.int64), (plan.n_index >= plan.n_edge).astype(np.int64)
    return int(plan.out_bytes[edge].sum())


def _flatten(plan: TilePlan) -> tuple[IntArray, IntArray, IntArray]:
    """Return the plan as three int64 arrays for the kernels: constants, class tables (rows of 4) and tiles (4 x tiles)."""
    consts = np.array(
        [plan.units, plan.slots_per_unit, plan.stages, plan.l2_latency_ticks, plan.dram_latency_ticks, plan.k_iters, plan.m_edge,
         plan.n_edge, plan.a_period, plan.b_period, plan.l2_capacity_bytes, plan.iteration_ticks, plan.prefetch, plan.prologue_ticks,
         plan.next_prologue_ticks, plan.epilogue_ticks, plan.tensor_ticks, plan.smem_read_ticks],
        np.int64,
    )  # fmt: skip
    tables = np.stack(
        [table.reshape(4) for table in (
            plan.a_fill_ticks, plan.b_fill_ticks, plan.a_ingress_ticks, plan.b_ingress_ticks, plan.a_l2_ticks, plan.b_l2_ticks,
            plan.a_dram_ticks, plan.b_dram_ticks, plan.a_l2_bytes, plan.b_l2_bytes,
            plan.out_smem_ticks, plan.out_ingress_ticks, plan.out_l2_ticks, plan.out_dram_ticks, plan.out_bytes)]
    )  # fmt: skip
    tiles = np.stack([plan.m_index, plan.n_index, plan.k_start, plan.k_count])
    return consts, tables, tiles
