"""The reference engine: the contract of ``timing.plan`` as a simpy simulation, written to be read.

Reading order: :class:`CtaSlot` is the story (prologue, fill, main loop, epilogue), :class:`Gpu` says what a load and a
write cost, and the small classes above them are the things they use. simpy's clock counts the rounds of the contract; all
other times are ticks. ``timing.engine.fast.simulate`` is the twin of :func:`simulate` and must agree exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import simpy
from simpy.events import ProcessGenerator

from stcsim.timing.plan import (
    DRAM,
    EPILOGUE,
    INGRESS,
    ISSUE,
    L2,
    LATENCY,
    PARTS,
    PROLOGUE,
    REDUCTION,
    SMEM,
    TAIL,
    TENSOR,
    GemmTiming,
    TilePlan,
    are_held,
)

ROUND = 1
"""What simpy's clock advances from one event of a slot to its next; simpy wakes slots in the order in which they fell asleep."""


@dataclass
class Server:
    """A resource that serves one booking after another."""

    free_tick: int = 0
    busy_ticks: int = 0

    def book(self, tick: int, ticks: int) -> int:
        """Book ``ticks`` from ``tick`` on, or from when the server is free; return the end."""
        if ticks == 0:
            return tick
        self.free_tick = max(self.free_tick, tick) + ticks
        self.busy_ticks += ticks
        return self.free_tick


@dataclass
class Unit:
    """What the CTAs of one SM share."""

    tensor: Server = field(default_factory=Server)
    smem: Server = field(default_factory=Server)
    ingress: Server = field(default_factory=Server)


@dataclass
class Chunk:
    """One k-slice of one panel: the stamp of its last touch (None: never in L2) and when its last miss is there."""

    stamp_bytes: int | None
    ready_tick: int = 0


class Residency:
    """What is in L2: the chunks touched less than a capacity of inserted bytes ago."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.missed_bytes = self.written_bytes = 0

    @property
    def inserted_bytes(self) -> int:
        """Bytes brought in so far, each of which pushes an older one out."""
        return self.missed_bytes + self.written_bytes

    def touch(self, chunk: Chunk, chunk_bytes: int) -> bool:
        """Touch a chunk, which brings it in if need be; return whether it was resident."""
        stamp_bytes = chunk.stamp_bytes
        hit = stamp_bytes is not None and self.inserted_bytes - stamp_bytes < self.capacity_bytes
        self.missed_bytes += 0 if hit else chunk_bytes
        chunk.stamp_bytes = self.inserted_bytes
        return hit


class Breakdown:
    """Slot-ticks by part, in the order of ``PARTS``."""

    def __init__(self) -> None:
        self.ticks = [0] * len(PARTS)

    def spend(self, part: int, tick: int, ticks: int) -> int:
        """Give the ``ticks`` of one slot that follow ``tick`` to a part; return when they are over."""
        self.ticks[part] += ticks
        return tick + ticks


@dataclass(frozen=True)
class Load:
    """A and B of one iteration on their way: when they arrive and the part that waiting for them counts as."""

    arrival_tick: int
    cause: int


class Gpu:
    """Everything the slots share: servers, L2 contents, the counter of tiles, the breakdown."""

    def __init__(self, plan: TilePlan) -> None:
        self.plan = plan
        self.units = [Unit() for _ in range(plan.units)]
        self.l2, self.dram = Server(), Server()
        self.residency = Residency(plan.l2_capacity_bytes)
        self.a_chunks = [Chunk(0 if held else None) for held in are_held(plan.a_chunks, plan.a_held)]
        self.b_chunks = [Chunk(0 if held else None) for held in are_held(plan.b_chunks, plan.b_held)]
        self.breakdown = Breakdown()
        self.tiles = iter(range(plan.tiles))  # the common counter
        self.l2_read_bytes = 0

    def classes(self, tile: int, k: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the classes [edge][last] of A and B in iteration ``k`` of the reduction."""
        last = int(k == self.plan.k_iters - 1)
        a_edge, b_edge = self.plan.m_index[tile] >= self.plan.m_edge, self.plan.n_index[tile] >= self.plan.n_edge
        return (int(a_edge), last), (int(b_edge), last)

    def load(self, tick: int, unit: Unit, tile: int, k: int) -> Load:
        """Issue the load of iteration ``k`` of the reduction: touch A, then B, book the way in, time the arrival."""
        plan, latency_ticks = self.plan, self.plan.l2_latency_ticks
        m, n, (a, b) = plan.m_index.item(tile), plan.n_index.item(tile), self.classes(tile, k)
        a_chunk = self.a_chunks[m * plan.a_period + k % plan.a_period]
        b_chunk = self.b_chunks[n * plan.b_period + k % plan.b_period]

        a_hit = self.residency.touch(a_chunk, plan.a_dram_bytes.item(a))
        b_hit = self.residency.touch(b_chunk, plan.b_dram_bytes.item(b))
        self.l2_read_bytes += plan.a_l2_bytes.item(a) + plan.b_l2_bytes.item(b)
        candidates = [
            Load(tick + latency_ticks, LATENCY),
            Load(unit.ingress.book(tick, plan.a_ingress_ticks.item(a) + plan.b_ingress_ticks.item(b)) + latency_ticks, INGRESS),
            Load(self.l2.book(tick, plan.a_l2_ticks.item(a) + plan.b_l2_ticks.item(b)) + latency_ticks, L2),
        ]
        touched = [(a_chunk, plan.a_dram_ticks.item(a), a_hit), (b_chunk, plan.b_dram_ticks.item(b), b_hit)]
        if missed := [(chunk, dram_ticks) for chunk, dram_ticks, hit in touched if not hit]:
            candidates.append(self.fetch(tick, missed))
        candidates += [Load(chunk.ready_tick, DRAM) for chunk, _, hit in touched if hit]
        return max(candidates, key=lambda load: load.arrival_tick)  # the first of the latest

    def fetch(self, tick: int, missed: list[tuple[Chunk, int]]) -> Load:
        """Fetch chunks from DRAM; later loads of them wait for this one too. An idle DRAM is mere latency."""
        dram_ticks = sum(chunk_ticks for _, chunk_ticks in missed)
        dram_end = self.dram.book(tick, dram_ticks)
        ready_tick = dram_end + self.plan.dram_latency_ticks
        for chunk, _ in missed:
            chunk.ready_tick = ready_tick
        return Load(ready_tick, LATENCY if dram_end - dram_ticks == tick else DRAM)

    def write(self, tick: int, unit: Unit, tile: int) -> int:
        """Write a tile of D or its partial sums; return the tile's end. What goes on to DRAM is put off."""
        plan, kind = self.plan, self.plan.kind.item(tile)
        out = kind, int(plan.m_index[tile] >= plan.m_edge), int(plan.n_index[tile] >= plan.n_edge)  # class
        smem_end = unit.smem.book(tick, plan.out_smem_ticks.item(out))
        ingress_end = unit.ingress.book(tick, plan.out_ingress_ticks.item(out))
        l2_end = self.l2.book(tick, plan.out_l2_ticks.item(out))
        self.dram.busy_ticks += plan.out_dram_ticks.item(out)
        self.residency.written_bytes += plan.out_bytes.item(out)
        return max(tick + plan.epilogue_ticks.item(kind), smem_end, ingress_end, l2_end)


class CtaSlot:
    """A place for one resident CTA; ``live`` takes it through its tiles, one after the other."""

    def __init__(self, slot: int, gpu: Gpu, env: simpy.Environment) -> None:
        self.gpu, self.plan, self.env = gpu, gpu.plan, env
        self.unit = gpu.units[slot % gpu.plan.units]
        self.spend = gpu.breakdown.spend
        self.loads_ahead = max(gpu.plan.stages - 1, 1)
        self.loads: deque[Load] = deque()  # issued and not yet used, oldest first
        self.end_tick = 0  # of the last tile so far

    def live(self, tile: int | None) -> ProcessGenerator:
        """Go from tile to tile: prologue, fill, main loop, epilogue. Before each event the slot waits for its next turn."""
        prologue_ticks, fill_tick = self.plan.prologue_ticks, self.plan.prologue_ticks
        while tile is not None:
            ready_tick = self.spend(PROLOGUE, self.end_tick, prologue_ticks)
            yield from self.fill(fill_tick, tile)
            compute_end = yield from self.main_loop(ready_tick, tile)
            yield self.env.timeout(ROUND)
            self.end_tick = self.epilogue(compute_end, tile)
            tile, prologue_ticks = next(self.gpu.tiles, None), self.plan.next_prologue_ticks
            # a producer warp runs ahead while the tile is written
            fill_tick = compute_end if self.plan.prefetch else self.end_tick + prologue_ticks

    def fill(self, tick: int, tile: int) -> ProcessGenerator:
        """Issue the first loads of a tile, one each turn: one for each stage but the one in use."""
        for i in range(min(self.loads_ahead, self.plan.k_count.item(tile))):
            yield self.env.timeout(ROUND)
            self.issue_load(tick, tile, i)

    def main_loop(self, ready_tick: int, tile: int) -> ProcessGenerator:
        """Run each iteration once the one before is done and its load is there; return the last compute end."""
        for i in range(self.plan.k_count.item(tile)):
            load = self.loads.popleft()
            tick = self.spend(load.cause, ready_tick, max(load.arrival_tick - ready_tick, 0))
            yield self.env.timeout(ROUND)
            self.issue_load(tick, tile, i + self.loads_ahead)
            ready_tick = self.compute(tick, tile, self.plan.k_start.item(tile) + i)
        return ready_tick

    def issue_load(self, tick: int, tile: int, i: int) -> None:
        """Issue the load of a tile's iteration ``i``, if it has so many."""
        if i < self.plan.k_count[tile]:
            self.loads.append(self.gpu.load(tick, self.unit, tile, self.plan.k_start.item(tile) + i))

    def compute(self, tick: int, tile: int, k: int) -> int:
        """Read operands, which have been written through the same port, and multiply; return the compute end."""
        a, b = self.gpu.classes(tile, k)
        tensor_end = max(self.unit.tensor.book(tick, self.plan.tensor_ticks), tick + self.plan.warp_ticks)
        port_ticks = self.plan.smem_read_ticks + self.plan.a_fill_ticks.item(a) + self.plan.b_fill_ticks.item(b)
        smem_end = self.unit.smem.book(tick, port_ticks)
        self.spend(TENSOR, tick, tensor_end - tick)
        done_tick = self.spend(SMEM, tensor_end, max(smem_end - tensor_end, 0))
        return self.spend(ISSUE, done_tick, self.plan.iteration_ticks)

    def epilogue(self, tick: int, tile: int) -> int:
        """Write the tile of D; return the tile's end."""
        return self.spend(EPILOGUE, tick, self.gpu.write(tick, self.unit, tile) - tick)


class Simulation:
    """One run of a plan: a GPU, its slots, and the clock of rounds."""

    def __init__(self, plan: TilePlan) -> None:
        self.env = simpy.Environment()
        self.gpu = Gpu(plan)
        self.slots = [CtaSlot(slot, self.gpu, self.env) for slot in range(plan.slots)]

    def run(self) -> GemmTiming:
        """Hand the first tiles out in slot order, let the slots live, and add up."""
        lives = [slot.live(next(self.gpu.tiles, None)) for slot in self.slots]
        for life in self.turns(lives):
            self.env.process(life)
        self.env.run()
        return self.timing()

    def turns(self, lives: Sequence[ProcessGenerator]) -> Iterable[ProcessGenerator]:
        """Return what the slots do in the order of their turns in every round."""
        return lives

    def timing(self) -> GemmTiming:
        """Close the books: slots idle until the last tile ends, DRAM takes what was put off, then all see the plan's tail."""
        gpu, units = self.gpu, self.gpu.units
        last_end_tick = max(slot.end_tick for slot in self.slots)
        drained_tick = max(last_end_tick, gpu.plan.prologue_ticks + gpu.dram.busy_ticks if gpu.plan.tiles else 0)
        for slot in self.slots:
            gpu.breakdown.spend(TAIL, slot.end_tick, last_end_tick - slot.end_tick)
            gpu.breakdown.spend(DRAM, last_end_tick, drained_tick - last_end_tick)
            gpu.breakdown.spend(REDUCTION, drained_tick, gpu.plan.tail_ticks)
        return GemmTiming(
            total_ticks=drained_tick + gpu.plan.tail_ticks,
            part_ticks=tuple(gpu.breakdown.ticks),
            tensor_busy_ticks=sum(unit.tensor.busy_ticks for unit in units),
            smem_busy_ticks=sum(unit.smem.busy_ticks for unit in units),
            ingress_busy_ticks=sum(unit.ingress.busy_ticks for unit in units),
            l2_busy_ticks=gpu.l2.busy_ticks,
            dram_busy_ticks=gpu.dram.busy_ticks,
            l2_read_bytes=gpu.l2_read_bytes,
            dram_read_bytes=gpu.residency.missed_bytes,
            write_bytes=gpu.residency.written_bytes,
        )


def simulate(plan: TilePlan) -> GemmTiming:
    """Run a plan as its contract (``timing.plan``) says. The specification of ``timing.engine.fast.simulate``."""
    return Simulation(plan).run()
