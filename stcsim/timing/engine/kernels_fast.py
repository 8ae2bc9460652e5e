"""The compiled rounds of the fast engine: int64 arrays in, two int64 arrays filled.

Twin of ``timing.engine.reference``; ``timing.plan`` states the rules, and nothing here adds to them. All kernels stand in this
one module, because numba's cache does not notice an edit in another. ``timing.engine.fast`` flattens a plan for them and makes
every array: without numba's runtime for arrays (``_nrt``) the loop counts no references, which makes it several times as fast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stcsim.jit import compiled, inlined
from stcsim.timing.plan import DRAM, EPILOGUE, INGRESS, L2, LATENCY, PROLOGUE, SMEM, TAIL, TENSOR

MAX_TICK = 1 << 56
NEVER = -(1 << 60)
"""Stamp of a chunk that was never in L2."""
DONE, TOO_LONG, GIVEN_UP = range(3)
"""How a run ended: as it should, at a tick that does not fit, or where it was certain to end after ``give_up_ticks``."""

# cache: a first compile takes seconds. error_model: no zero-division checks in the loop; nothing in it divides by zero.
# nogil: runs of steady.py go side by side. inline: a call that hands arrays over costs more than what most of these do.
_inline: Any = inlined(_nrt=False)
_compiled: Any = compiled(nogil=True, _nrt=False)


class Constants(NamedTuple):
    """The scalars of a ``TilePlan``, by the same names, and what they imply.

    Attributes:
        least_step_ticks: that any iteration takes.
        least_tile_ticks: that any tile takes, 0 where tiles differ in length.
        give_up_ticks: a run that is certain to end later is given up.
    """

    units: int
    slots: int
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
    least_step_ticks: int
    least_tile_ticks: int
    give_up_ticks: int


# Rows of the array ``tables``, (15, 16): the tables of a ``TilePlan``, flat: class ``2 * edge + last``
# (OUT and EPILOGUE: ``4 * kind + 2 * m edge + n edge``).
# FILL, INGRESS and L2 hold A plus B, class ``4 * a_edge + 2 * b_edge + last``.
FILL_TICKS, INGRESS_TICKS, L2_TICKS, A_DRAM_TICKS, B_DRAM_TICKS, A_DRAM_BYTES, B_DRAM_BYTES = range(7)
OUT_SMEM_TICKS, OUT_INGRESS_TICKS, OUT_L2_TICKS, OUT_DRAM_TICKS, OUT_BYTES, EPILOGUE_TICKS = range(7, 13)
TABLES = (13, 16)  # a power of two is quicker to index

# Rows of the array ``tiles``, (5, tiles), in the order in which they are handed out.
M_INDEX, N_INDEX, K_START, K_COUNT, KIND = range(5)

# Columns of the array ``slots``, (slots, 16): a slot's next event, and its tile. Chunks of a tile follow each other from a base.
_TICK, _UNIT, _PHASE, _TILE, _COUNT, _STEP, _HEAD, _K_START, _A_BASE, _B_BASE, _A_EDGE, _B_EDGE, _READY, _END = range(14)
SLOT_COLUMNS = 16
_FILL, _ITERATE, _EPILOGUE = 0, 1, 2  # phases: what the next event is

# Columns of the array ``units``, (units, 4): when a unit's servers are next free.
_TENSOR_FREE, _PORT_FREE, _INGRESS_FREE = range(3)
UNIT_COLUMNS = 4

# Columns of the array ``chunks``, (a_chunks + b_chunks, 2), A's first: what L2 knows of every chunk.
STAMP, READY = range(2)  # of its last touch; when its last miss is there

# The array ``gpu``: servers and counters that all slots share.
_L2_FREE, _DRAM_FREE, _INSERTED, _NEXT_TILE, DRAM_READ, DRAM_BUSY, LAST_END = range(7)
GPU_COLUMNS = 8

# ``rings``, (slots, loads ahead): the loads under way, each an arrival with its cause.
_CAUSE_BITS = 4
_CAUSES = (1 << _CAUSE_BITS) - 1


@_inline
def _book(free, server, tick, ticks):  # type: ignore[no-untyped-def]
    """Book a server and return the end; a booking of 0 ticks leaves it untouched."""
    if ticks == 0:
        return tick
    free[server] = max(free[server], tick) + ticks
    return free[server]


@_inline
def _touch(chunks, chunk, chunk_bytes, capacity_bytes, gpu):  # type: ignore[no-untyped-def]
    """Touch a chunk in L2; return whether it missed."""
    missed = gpu[_INSERTED] - chunks[chunk, STAMP] >= capacity_bytes
    if missed:
        gpu[_INSERTED] += chunk_bytes
        gpu[DRAM_READ] += chunk_bytes
    chunks[chunk, STAMP] = gpu[_INSERTED]
    return missed


@_inline
def _load(t, k, slot, plan, tables, chunks, unit, gpu):  # type: ignore[no-untyped-def]
    """Issue the load of iteration ``k`` of the reduction at tick ``t``; return its arrival and cause as one number."""
    latency, last = plan.l2_latency_ticks, int(k == plan.k_iters - 1)
    a_class, b_class = 2 * slot[_A_EDGE] + last, 2 * slot[_B_EDGE] + last
    ab_class = 4 * slot[_A_EDGE] + b_class
    # the plain case, k inside the period, needs no slow division
    a_chunk = slot[_A_BASE] + (k if k < plan.a_period else k % plan.a_period)
    b_chunk = slot[_B_BASE] + (k if k < plan.b_period else k % plan.b_period)
    a_missed = _touch(chunks, a_chunk, tables[A_DRAM_BYTES, a_class], plan.l2_capacity_bytes, gpu)
    b_missed = _touch(chunks, b_chunk, tables[B_DRAM_BYTES, b_class], plan.l2_capacity_bytes, gpu)

    arrival, cause = t + latency, LATENCY
    end = _book(unit, _INGRESS_FREE, t, tables[INGRESS_TICKS, ab_class]) + latency
    if end > arrival:
        arrival, cause = end, INGRESS
    end = _book(gpu, _L2_FREE, t, tables[L2_TICKS, ab_class]) + latency
    if end > arrival:
        arrival, cause = end, L2
    if a_missed or b_missed:
        dram_ticks = (tables[A_DRAM_TICKS, a_class] if a_missed else 0) + (tables[B_DRAM_TICKS, b_class] if b_missed else 0)
        served = _book(gpu, _DRAM_FREE, t, dram_ticks)
        gpu[DRAM_BUSY] += dram_ticks
        end = served + plan.dram_latency_ticks
        if end > arrival:
            arrival, cause = end, LATENCY if served - dram_ticks == t else DRAM
        if a_missed:
            chunks[a_chunk, READY] = end
        if b_missed:
            chunks[b_chunk, READY] = end
    if not a_missed and chunks[a_chunk, READY] > arrival:
        arrival, cause = chunks[a_chunk, READY], DRAM
    if not b_missed and chunks[b_chunk, READY] > arrival:
        arrival, cause = chunks[b_chunk, READY], DRAM
    return (arrival << _CAUSE_BITS) | cause


@_inline
def _arrived(t, load, parts):  # type: ignore[no-untyped-def]
    """Wait from tick ``t`` on for a load; return when it is there."""
    wait_ticks = (load >> _CAUSE_BITS) - t
    if wait_ticks > 0:
        parts[load & _CAUSES] += wait_ticks
        return t + wait_ticks
    return t


@_inline
def _fill(t, slot, ring, plan, tables, chunks, unit, gpu, parts):  # type: ignore[no-untyped-def]
    """Issue the next of the first loads of a tile at tick ``t``; return the tick of the slot's next event."""
    i, upcoming = slot[_STEP], t
    ring[i] = _load(t, slot[_K_START] + i, slot, plan, tables, chunks, unit, gpu)
    slot[_STEP] = i + 1
    if i + 1 == min(ring.shape[0], slot[_COUNT]):
        slot[_STEP], slot[_HEAD], slot[_PHASE] = 0, 0, _ITERATE
        upcoming = _arrived(slot[_READY], ring[0], parts)
    return upcoming


@_inline
def _iterate(t, slot, ring, plan, tables, chunks, unit, gpu, parts):  # type: ignore[no-untyped-def]
    """Run an iteration at tick ``t``; return the tick of the slot's next event."""
    i, head, depth = slot[_STEP], slot[_HEAD], ring.shape[0]
    if i + depth < slot[_COUNT]:  # the buffer just freed takes the load furthest ahead
        ring[head] = _load(t, slot[_K_START] + i + depth, slot, plan, tables, chunks, unit, gpu)
    tensor_end = max(_book(unit, _TENSOR_FREE, t, plan.tensor_ticks), t + plan.warp_ticks)
    last = int(slot[_K_START] + i == plan.k_iters - 1)
    fill_ticks = tables[FILL_TICKS, 4 * slot[_A_EDGE] + 2 * slot[_B_EDGE] + last]
    port_end = _book(unit, _PORT_FREE, t, plan.smem_read_ticks + fill_ticks)
    parts[TENSOR] += tensor_end - t
    parts[SMEM] += max(port_end - tensor_end, 0)
    upcoming = max(tensor_end, port_end) + plan.iteration_ticks
    if i + 1 == slot[_COUNT]:
        slot[_PHASE] = _EPILOGUE
    else:
        head = head + 1 if head + 1 < depth else 0
        slot[_STEP], slot[_HEAD] = i + 1, head
        upcoming = _arrived(upcoming, ring[head], parts)
    return upcoming


@_inline
def _write(t, slot, plan, tables, tiles, unit, gpu, parts):  # type: ignore[no-untyped-def]
    """Book the writing of D or of partial sums at tick ``t``, the tile's end."""
    out = 4 * tiles[KIND, slot[_TILE]] + 2 * slot[_A_EDGE] + slot[_B_EDGE]
    end = max(t + tables[EPILOGUE_TICKS, out], _book(unit, _PORT_FREE, t, tables[OUT_SMEM_TICKS, out]))
    end = max(end, _book(unit, _INGRESS_FREE, t, tables[OUT_INGRESS_TICKS, out]))
    end = max(end, _book(gpu, _L2_FREE, t, tables[OUT_L2_TICKS, out]))
    gpu[DRAM_BUSY] += tables[OUT_DRAM_TICKS, out]
    gpu[_INSERTED] += tables[OUT_BYTES, out]
    slot[_END] = end
    parts[EPILOGUE] += end - t


@_inline
def _take(slot, plan, tiles, gpu):  # type: ignore[no-untyped-def]
    """Take the next tile of the common counter."""
    tile = gpu[_NEXT_TILE]
    gpu[_NEXT_TILE] += 1
    slot[_TILE], slot[_COUNT], slot[_K_START] = tile, tiles[K_COUNT, tile], tiles[K_START, tile]
    slot[_STEP], slot[_PHASE] = 0, _FILL
    slot[_A_BASE] = tiles[M_INDEX, tile] * plan.a_period
    slot[_B_BASE] = plan.a_chunks + tiles[N_INDEX, tile] * plan.b_period
    slot[_A_EDGE] = int(tiles[M_INDEX, tile] >= plan.m_edge)
    slot[_B_EDGE] = int(tiles[N_INDEX, tile] >= plan.n_edge)


@_inline
def _start(order, slots, plan, tiles, gpu, parts):  # type: ignore[no-untyped-def]
    """Hand the first tiles out in slot order; return how many slots have one."""
    working = min(plan.slots, tiles.shape[1])
    for place in range(working):
        slot = slots[place]
        _take(slot, plan, tiles, gpu)
        slot[_TICK], slot[_READY], slot[_UNIT] = plan.prologue_ticks, plan.prologue_ticks, place % plan.units
        order[place] = place
    parts[PROLOGUE] += working * plan.prologue_ticks
    return working


@_compiled
def run_rounds(plan, tables, tiles, chunks, order, slots, rings, units, gpu, parts):  # type: ignore[no-untyped-def]
    """Handle every event of a plan, round by round; fill ``gpu`` and ``parts``, and return how it ended."""
    working = _start(order, slots, plan, tiles, gpu, parts)
    while working > 0:
        waves_left = (tiles.shape[1] - gpu[_NEXT_TILE]) // plan.slots
        still = 0
        for place in range(working):
            slot, ring = slots[order[place]], rings[order[place]]
            t, unit = slot[_TICK], units[slot[_UNIT]]
            if slot[_PHASE] == _ITERATE:
                left = (slot[_COUNT] - slot[_STEP]) * plan.least_step_ticks + waves_left * plan.least_tile_ticks
                if t + left > plan.give_up_ticks:
                    return GIVEN_UP
                upcoming = _iterate(t, slot, ring, plan, tables, chunks, unit, gpu, parts)
            elif slot[_PHASE] == _FILL:
                upcoming = _fill(t, slot, ring, plan, tables, chunks, unit, gpu, parts)
            else:
                _write(t, slot, plan, tables, tiles, unit, gpu, parts)
                if gpu[_NEXT_TILE] == tiles.shape[1]:  # none left: the slot is idle for good
                    continue
                _take(slot, plan, tiles, gpu)
                parts[PROLOGUE] += plan.next_prologue_ticks
                slot[_READY] = slot[_END] + plan.next_prologue_ticks
                upcoming = t if plan.prefetch else slot[_READY]
            if upcoming >= MAX_TICK:
                return TOO_LONG
            slot[_TICK] = upcoming
            order[still] = order[place]
            still += 1
        working = still

    for place in range(plan.slots):
        gpu[LAST_END] = max(gpu[LAST_END], slots[place, _END])
    for place in range(plan.slots):
        parts[TAIL] += gpu[LAST_END] - slots[place, _END]
    drained = plan.prologue_ticks + gpu[DRAM_BUSY]  # writes have been put off
    if tiles.shape[1] > 0 and drained > gpu[LAST_END]:
        parts[DRAM] += plan.slots * (drained - gpu[LAST_END])
        gpu[LAST_END] = drained
    return DONE
