"""The compiled event loop of the fast engine: int64 arrays in, two int64 arrays filled.

Twin of ``timing.reference``; ``timing.plan`` states the rules, and nothing here adds to them. All kernels stand in this
one module, because numba's cache does not notice an edit in another. ``timing.fast`` flattens a plan for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from stcsim.timing.plan import DRAM, EPILOGUE, INGRESS, L2, LATENCY, PROLOGUE, SMEM, TAIL, TENSOR

SLOT_BITS = 18
"""An event is one int64, ``tick << SLOT_BITS | slot``: comparing two events is one instruction, ties included."""
MAX_TICK = 1 << 44
NEVER = -(1 << 60)
"""Stamp of a chunk that was never in L2."""

_FILL, _ITERATE, _EPILOGUE = 0, 1, 2  # phases of a slot: what its next event is

# Counters that the kernels share, in one array so that they can be updated in place.
_L2_FREE, _DRAM_FREE, _INSERTED, _NEXT_TILE = range(4)
L2_READ, DRAM_READ, LAST_END, SMEM_BUSY, INGRESS_BUSY, L2_BUSY, DRAM_BUSY = range(4, 11)
COUNTERS = 11

# cache: a first compile takes seconds. error_model: no zero-division checks in the loop; nothing in it divides by zero.
_jit: Any = numba.njit(cache=True, error_model="numpy", nogil=True)  # runs of steady.py go side by side


class Constants(NamedTuple):
    """The scalars of a ``TilePlan``, by the same names."""

    units: int
    slots: int
    stages: int
    k_iters: int
    m_edge: int
    n_edge: int
    a_chunks: int
    a_period: int
    b_period: int
    l2_capacity_bytes: int
    tensor_ticks: int
    warp_ticks: int
    smem_read_ticks: int
    iteration_ticks: int
    prefetch: int
    prologue_ticks: int
    next_prologue_ticks: int
    l2_latency_ticks: int
    dram_latency_ticks: int


# Rows of the array ``tables``, (15, 16): the tables of a ``TilePlan``, flat: class ``2 * edge + last``
# (OUT and EPILOGUE: ``4 * kind + 2 * m edge + n edge``).
# FILL, INGRESS and L2 hold A plus B, class ``4 * a_edge + 2 * b_edge + last``.
FILL_TICKS, INGRESS_TICKS, L2_TICKS, A_DRAM_TICKS, B_DRAM_TICKS, A_L2_BYTES, B_L2_BYTES, A_DRAM_BYTES, B_DRAM_BYTES = range(9)
OUT_SMEM_TICKS, OUT_INGRESS_TICKS, OUT_L2_TICKS, OUT_DRAM_TICKS, OUT_BYTES, EPILOGUE_TICKS = range(9, 15)
TABLES = (15, 16)  # a power of two is quicker to index

# Rows of the array ``tiles``, (5, tiles), in the order in which they are handed out.
M_INDEX, N_INDEX, K_START, K_COUNT, KIND = range(5)

# Rows of the array ``free``, (3, units): when a unit's servers are next free.
_TENSOR_FREE, _PORT_FREE, _INGRESS_FREE = range(3)

# Rows of the array ``chunks``, (2, a_chunks + b_chunks), A's first: what L2 knows of every chunk.
STAMP, READY = range(2)  # of its last touch; when its last miss is there


@_jit
def _push(heap, at, event):  # type: ignore[no-untyped-def]
    """Put ``event`` at place ``at`` of a binary heap, or above it, where it belongs."""
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent] <= event:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = event


@_jit
def _replace_top(heap, size, event):  # type: ignore[no-untyped-def]
    """Replace the smallest of ``size`` events by ``event`` and restore the heap."""
    at, child = 0, 1
    while child + 1 < size:  # down to a leaf, along the smaller children: a new event is nearly always late
        child += int(heap[child + 1] < heap[child])
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    if child < size:
        heap[at] = heap[child]
        at = child
    _push(heap, at, event)


@_jit
def _book(free, server, tick, ticks):  # type: ignore[no-untyped-def]
    """Book a server and return the end; a booking of 0 ticks leaves it untouched."""
    if ticks == 0:
        return tick
    free[server] = max(free[server], tick) + ticks
    return free[server]


@_jit
def _touch(chunks, chunk, chunk_bytes, capacity_bytes, counters):  # type: ignore[no-untyped-def]
    """Touch a chunk in L2; return whether it missed."""
    missed = counters[_INSERTED] - chunks[STAMP, chunk] >= capacity_bytes
    if missed:
        counters[_INSERTED] += chunk_bytes
        counters[DRAM_READ] += chunk_bytes
    chunks[STAMP, chunk] = counters[_INSERTED]
    return missed


@_jit
def _load(t, k, unit, tile, plan, tables, tiles, chunks, free, counters):  # type: ignore[no-untyped-def]
    """Issue the load of iteration ``k`` of the reduction at tick ``t``; return (arrival, cause)."""
    latency = plan.l2_latency_ticks
    m, n = tiles[M_INDEX, tile], tiles[N_INDEX, tile]
    a_edge, b_edge, last = int(m >= plan.m_edge), int(n >= plan.n_edge), int(k == plan.k_iters - 1)
    a_class, b_class, ab_class = 2 * a_edge + last, 2 * b_edge + last, 4 * a_edge + 2 * b_edge + last
    # the plain case, k inside the period, needs no slow division
    a_chunk = m * plan.a_period + (k if k < plan.a_period else k % plan.a_period)
    b_chunk = plan.a_chunks + n * plan.b_period + (k if k < plan.b_period else k % plan.b_period)
    counters[L2_READ] += tables[A_L2_BYTES, a_class] + tables[B_L2_BYTES, b_class]
    a_missed = _touch(chunks, a_chunk, tables[A_DRAM_BYTES, a_class], plan.l2_capacity_bytes, counters)
    b_missed = _touch(chunks, b_chunk, tables[B_DRAM_BYTES, b_class], plan.l2_capacity_bytes, counters)

    arrival, cause = t + latency, LATENCY
    end = _book(free[_PORT_FREE], unit, t, tables[FILL_TICKS, ab_class])
    counters[SMEM_BUSY] += tables[FILL_TICKS, ab_class]
    if end > arrival:
        arrival, cause = end, SMEM
    end = _book(free[_INGRESS_FREE], unit, t, tables[INGRESS_TICKS, ab_class]) + latency
    counters[INGRESS_BUSY] += tables[INGRESS_TICKS, ab_class]
    if end > arrival:
        arrival, cause = end, INGRESS
    end = _book(counters, _L2_FREE, t, tables[L2_TICKS, ab_class]) + latency
    counters[L2_BUSY] += tables[L2_TICKS, ab_class]
    if end > arrival:
        arrival, cause = end, L2
    if a_missed or b_missed:
        dram_ticks = (tables[A_DRAM_TICKS, a_class] if a_missed else 0) + (tables[B_DRAM_TICKS, b_class] if b_missed else 0)
        served = _book(counters, _DRAM_FREE, t, dram_ticks)
        counters[DRAM_BUSY] += dram_ticks
        end = served + plan.dram_latency_ticks
        if end > arrival:
            arrival, cause = end, LATENCY if served - dram_ticks == t else DRAM
        if a_missed:
            chunks[READY, a_chunk] = end
        if b_missed:
            chunks[READY, b_chunk] = end
    if not a_missed and chunks[READY, a_chunk] > arrival:
        arrival, cause = chunks[READY, a_chunk], DRAM
    if not b_missed and chunks[READY, b_chunk] > arrival:
        arrival, cause = chunks[READY, b_chunk], DRAM
    return arrival, cause


@_jit
def _fill(t, slot, unit, tile, arrivals, causes, plan, tables, tiles, chunks, free, counters):  # type: ignore[no-untyped-def]
    """Issue the first loads of a tile at tick ``t``."""
    for i in range(min(arrivals.shape[1], tiles[K_COUNT, tile])):
        k = tiles[K_START, tile] + i
        arrivals[slot, i], causes[slot, i] = _load(t, k, unit, tile, plan, tables, tiles, chunks, free, counters)


@_jit
def _write(t, unit, tile, plan, tables, tiles, free, counters):  # type: ignore[no-untyped-def]
    """Book the writing of D or of partial sums at tick ``t``; return the tile's end."""
    edges = 2 * int(tiles[M_INDEX, tile] >= plan.m_edge) + int(tiles[N_INDEX, tile] >= plan.n_edge)
    out = 4 * tiles[KIND, tile] + edges
    end = max(t + tables[EPILOGUE_TICKS, out], _book(free[_PORT_FREE], unit, t, tables[OUT_SMEM_TICKS, out]))
    end = max(end, _book(free[_INGRESS_FREE], unit, t, tables[OUT_INGRESS_TICKS, out]))
    end = max(end, _book(counters, _L2_FREE, t, tables[OUT_L2_TICKS, out]))
    _book(counters, _DRAM_FREE, t, tables[OUT_DRAM_TICKS, out])
    counters[SMEM_BUSY] += tables[OUT_SMEM_TICKS, out]
    counters[INGRESS_BUSY] += tables[OUT_INGRESS_TICKS, out]
    counters[L2_BUSY] += tables[OUT_L2_TICKS, out]
    counters[DRAM_BUSY] += tables[OUT_DRAM_TICKS, out]
    counters[_INSERTED] += tables[OUT_BYTES, out]
    return end


@_jit
def run_events(plan, tables, tiles, chunks, counters, parts):  # type: ignore[no-untyped-def]
    """Handle every event of a plan in the order (tick, slot); fill ``parts`` and ``counters``.

    Return False if a tick does not fit an event.
    """
    units, slots, depth, num_tiles = plan.units, plan.slots, max(plan.stages - 1, 1), tiles.shape[1]
    arrivals, causes = np.zeros((slots, depth), np.int64), np.zeros((slots, depth), np.int64)  # rings of loads under way
    tile_of, step, phase, head, ends = np.zeros((5, slots), np.int64)
    heap, free = np.empty(slots + 1, np.int64), np.zeros((3, units), np.int64)
    size = min(slots, num_tiles)
    counters[_NEXT_TILE] = size
    for slot in range(size):
        tile_of[slot] = slot
        parts[PROLOGUE] += plan.prologue_ticks
        _push(heap, slot, (plan.prologue_ticks << SLOT_BITS) | slot)

    while size > 0:
        t, slot = heap[0] >> SLOT_BITS, heap[0] & ((1 << SLOT_BITS) - 1)
        unit, tile = slot % units, tile_of[slot]
        if phase[slot] == _ITERATE:
            i, ring = step[slot], head[slot]
            if i + depth < tiles[K_COUNT, tile]:  # the buffer just freed takes the load furthest ahead
                k = tiles[K_START, tile] + i + depth
                arrivals[slot, ring], causes[slot, ring] = _load(t, k, unit, tile, plan, tables, tiles, chunks, free, counters)
            tensor_end = max(_book(free[_TENSOR_FREE], unit, t, plan.tensor_ticks), t + plan.warp_ticks)
            port_end = _book(free[_PORT_FREE], unit, t, plan.smem_read_ticks)
            parts[TENSOR] += tensor_end - t
            parts[SMEM] += max(port_end - tensor_end, 0)
            upcoming = max(tensor_end, port_end) + plan.iteration_ticks
            if i + 1 < tiles[K_COUNT, tile]:
                ring = ring + 1 if ring + 1 < depth else 0
                head[slot], step[slot] = ring, i + 1
                parts[causes[slot, ring]] += max(arrivals[slot, ring] - upcoming, 0)
                upcoming = max(arrivals[slot, ring], upcoming)
            else:
                phase[slot] = _EPILOGUE
        elif phase[slot] == _FILL:
            _fill(t, slot, unit, tile, arrivals, causes, plan, tables, tiles, chunks, free, counters)
            upcoming = arrivals[slot, 0]
            parts[causes[slot, 0]] += upcoming - t
            step[slot], head[slot], phase[slot] = 0, 0, _ITERATE
        else:
            ends[slot] = _write(t, unit, tile, plan, tables, tiles, free, counters)
            parts[EPILOGUE] += ends[slot] - t
            if counters[_NEXT_TILE] == num_tiles:  # none left: the slot is idle for good
                size -= 1
                _replace_top(heap, size, heap[size])
                continue
            tile_of[slot] = counters[_NEXT_TILE]
            counters[_NEXT_TILE] += 1
            parts[PROLOGUE] += plan.next_prologue_ticks
            upcoming = ends[slot] + plan.next_prologue_ticks
            phase[slot] = _FILL
            if plan.prefetch:
                _fill(t, slot, unit, tile_of[slot], arrivals, causes, plan, tables, tiles, chunks, free, counters)
                parts[causes[slot, 0]] += max(arrivals[slot, 0] - upcoming, 0)
                upcoming = max(arrivals[slot, 0], upcoming)
                step[slot], head[slot], phase[slot] = 0, 0, _ITERATE
        if upcoming >= MAX_TICK:
            return False
        _replace_top(heap, size, (upcoming << SLOT_BITS) | slot)

    counters[LAST_END] = ends.max()
    parts[TAIL] += slots * counters[LAST_END] - ends.sum()
    return True
