"""The contract between lowering and the two timing engines: integers in, integers out.

A :class:`TilePlan` holds everything an engine needs and nothing else: no floats, no names, no units other than ticks and
bytes. ``TICKS_PER_CYCLE`` ticks make one SM clock cycle, so that fractional bytes per cycle stay exact once they have been
rounded up in ``lower``. Both engines, ``reference`` (simpy, readable) and ``fast`` (numba), must return the identical
:class:`GemmTiming` for the same plan. This page is the normative description.

**Units and slots.** The GPU is ``units`` identical units (an SM, or the SMs of one cluster that work in lockstep). Each
unit holds ``slots_per_unit`` resident CTAs. Slot ``s`` sits on unit ``s % units``; slots are numbered ``0 .. units *
slots_per_unit - 1``.

**Servers.** Each serves in the order of its bookings and keeps only the tick at which it is next free, 0 at the start: per
unit a tensor pipe, a shared-memory port and an ingress port from L2; for the whole GPU the L2 and the DRAM. *Booking* a
server at tick ``t`` for ``d`` ticks means ``free = max(free, t) + d``; ``free`` is then the booking's end. A booking of 0 ticks
leaves the server untouched and its end is ``t``. Every number of a plan is at least 0.

**Tiles.** There are ``tiles`` tiles, numbered in the order in which they are handed out; tile ``i`` belongs to m-panel
``m_index[i]``, n-panel ``n_index[i]`` and starts at iteration ``k_start[i]`` of the whole reduction, running for
``k_count[i] >= 1`` iterations. Its ``kind[i]`` is ``WHOLE`` (it writes D), ``PARTIAL`` (a stream-K piece without the last
iterations of its tile of D: it writes partial sums to a workspace in L2) or ``FINISHER`` (the piece with the last iterations:
it reads its peers' partial sums, which the workspace has added up, and writes D). The kind only chooses costs: nobody waits
for a peer. The slices of split-K, whose reduction follows as ``tail_ticks``, are ``WHOLE``.

Panels that are not full (the last row or column of the matrix) have their own class in the tables ``[edge][last]``: ``edge``
is 1 where ``m_index >= m_edge`` (for A) or ``n_index >= n_edge`` (for B), else 0 (edge panels are numbered last); ``last`` is
1 for iteration ``k_iters - 1`` of the reduction, else 0.

**Residency.** A load of iteration ``k`` of panel ``p`` touches the A chunk ``m_index * a_period + k % a_period`` and the B
chunk ``n_index * b_period + k % b_period`` (a convolution's taps touch the same pixels again: then ``b_period`` is smaller
than the reduction). The L2 keeps a counter ``inserted`` of bytes brought in, 0 at the start. Each chunk has a ``stamp`` and
a ``ready`` tick. A chunk is resident if it has a stamp and ``inserted - stamp < l2_capacity_bytes``. At the start some
chunks of an operand have stamp 0 and ready 0, those for which ``HELD_STEP * chunk % HELD_WHOLE`` is below ``a_held`` or
``b_held`` (A's and B's chunks each counted from 0); the others have no stamp. A touch of a resident chunk sets its
stamp to ``inserted`` (A before B). A touch of a chunk that is not resident is a *miss*: ``inserted`` grows by the
``dram_bytes`` of the load's class ``[edge][last]`` (fewer than its ``l2_bytes`` where a load reads bytes more than once), then
the stamp becomes ``inserted`` and ``ready`` is set as below. Writing D or partial sums grows ``inserted`` by their bytes.

**Rounds.** Everything happens at events, and an event belongs to one slot. Events are handled in rounds: in each round every
slot that still has work handles its next event, in slot order. An event's tick says when it happens, never whose turn it is.
That is how arbiters between many SMs and one L2 work (round robin: each requester in turn), and it makes the model what it
must be to answer *what if*: the order at every server, which loads miss, and who gets which tile depend on the plan's tiles
and bytes alone, so ticks are only ever added up and compared. A plan whose ticks are smaller, or whose L2 is larger, can
therefore not take longer (``tests/bounds/test_monotone.py``). Served first come, first served, a faster L2 would let CTAs
overtake each other, and another order may miss more often: then more hardware is slower by an accident of the model.
All bookings of one event are made at its tick, in the order given here.

1. *start* at tick 0, for every slot in slot order, before any event: the slot takes the next tile of a common counter; its
   *fill* event is at ``prologue_ticks``. A slot that finds none is idle for good.
2. *fill* at tick ``t``: one of the loads of the tile's first ``min(max(stages - 1, 1), k_count)`` iterations is issued at
   ``t``, in order; the next one is another fill event at ``t``, in the next round. After the last of them the slot's first
   *iteration* event is at the arrival of load 0.
3. *iteration* ``i`` at tick ``t``: (a) if load ``i + max(stages - 1, 1)`` exists in this tile, it is issued at ``t``; (b)
   the tensor pipe is booked for ``tensor_ticks``, and the tensor end is the booking's end or ``t + warp_ticks`` (what the CTA's
   own warps need at least), whichever is later; (c) the shared-memory port is booked for ``smem_read_ticks`` and the fill ticks
   of A and B of this iteration (the bytes that it reads have passed the port on their way in, too), and the compute end is
   ``max(tensor end, port end) + iteration_ticks``. The next event is at ``max(compute end, arrival of load i + 1)``, or, after
   the tile's last iteration, the *epilogue* event at the compute end.
4. *epilogue* at tick ``t``: the shared-memory port is booked for ``out_smem_ticks``; ingress and L2 are booked for
   ``out_ingress_ticks`` and ``out_l2_ticks`` of the tile's class ``[kind][m edge][n edge]``, and ``inserted`` grows by
   ``out_bytes``. The ``out_dram_ticks`` are put off: L2 holds what is written, and DRAM takes it when no read is waiting. The
   tile ends at the latest of ``t + epilogue_ticks[kind]`` and the ends of port, ingress and L2. The slot then takes the next
   tile of the counter, if any is left.
   Without ``prefetch`` its *fill* events are at the tile's end plus ``next_prologue_ticks``. With ``prefetch`` (a persistent
   kernel whose producer warp runs ahead) they are at ``t``, and the first *iteration* event is at the larger of the arrival of
   load 0 and the tile's end plus ``next_prologue_ticks``.

**A load** of iteration ``k`` issued at ``t``: touch A, then B; ``dram_ticks`` is the sum of the DRAM ticks of what missed.
Book, all at ``t``: ingress for the ingress ticks of A plus B, L2 for the L2 ticks of A plus B, DRAM for ``dram_ticks``. A
missed chunk's ``ready`` becomes the end of this DRAM booking plus ``dram_latency_ticks``. The candidates for the arrival, in
this order, are: (0) ``t + l2_latency_ticks``; (1) ingress end + ``l2_latency_ticks``; (2) L2 end + ``l2_latency_ticks``; (3)
if anything missed, DRAM end + ``dram_latency_ticks``; (4) ``ready`` of a resident chunk touched (A's, then B's). The arrival
is the largest; the load's *cause* is the first candidate that attains it (1 counts as ingress, 2 L2, 3 and 4 DRAM). For cause
0, and for cause 3 if the DRAM was idle (DRAM end - ``dram_ticks`` == ``t``), the cause is LATENCY.

**Breakdown.** Every tick of every slot between 0 and the total is given to one part, so the parts sum to ``units *
slots_per_unit * total_ticks`` exactly. Idle at the end (from the end of the slot's last tile, or from 0 if it never had
one, to the latest tile end): TAIL. From a tile's epilogue event to its end: EPILOGUE. Then ``next_prologue_ticks`` (for the
first tile ``prologue_ticks``): PROLOGUE. From there to the first iteration: the cause of load 0. An iteration from ``t`` to
its compute end ``c``: with tensor end ``a`` and port end ``p`` (``c = max(a, p) + iteration_ticks``), TENSOR gets ``a -
t``, SMEM ``max(p - a, 0)``, ISSUE ``iteration_ticks``; the wait from ``c`` to the next iteration goes to the cause of that
next load.

**Total.** The kernel ends at the latest tile end, or, if that is later, at ``prologue_ticks`` plus all ticks of DRAM, those of
reads and those put off (what a kernel leaves behind in L2 delays the next one); the difference is given to the part DRAM of
every slot. ``total_ticks`` is that end (0 if there are no tiles) plus ``tail_ticks`` (a split-K reduction that follows, given to
the part REDUCTION of every slot).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

TICKS_PER_CYCLE = 256
"""Ticks in one SM clock cycle."""


def in_cycles(ticks: int) -> float:
    """Return ``ticks`` in SM clock cycles."""
    return ticks / TICKS_PER_CYCLE


HELD_WHOLE = 1024
"""What ``a_held``, ``b_held`` and ``d_held`` are for an operand that is in L2 whole."""
HELD_STEP = 633
"""Spreads the chunks that are in L2 evenly over an operand: the golden section of ``HELD_WHOLE``, and prime to it."""

_HELD_ORDER = np.arange(HELD_WHOLE) * HELD_STEP % HELD_WHOLE

PARTS = ("tensor", "smem", "issue", "ingress", "l2", "dram", "latency", "prologue", "epilogue", "reduction", "tail")
"""Names of the breakdown, in the order of ``GemmTiming.part_ticks``.

Their numbers are compiled into ``kernels_fast``; after a change of order, ``make clean`` drops the stale machine code.
"""
TENSOR, SMEM, ISSUE, INGRESS, L2, DRAM, LATENCY, PROLOGUE, EPILOGUE, REDUCTION, TAIL = range(11)

KINDS = WHOLE, PARTIAL, FINISHER = range(3)
"""What a tile does with its sums."""

IntArray = npt.NDArray[np.int64]


def are_held(chunks: int, held: int) -> npt.NDArray[np.bool_]:
    """Say of each of so many chunks whether it is in L2 before the first load."""
    return np.resize(_HELD_ORDER < held, chunks)


def held_chunks(chunks: int, held: int) -> int:
    """Return how many of so many chunks are in L2 before the first load."""
    whole, rest = divmod(chunks, HELD_WHOLE)
    return whole * held + int((_HELD_ORDER[:rest] < held).sum())


@dataclass(frozen=True, slots=True)
class TilePlan:
    """One kernel launch, tiled for one GPU (see the module's text for every rule).

    Tables ``a_*`` and ``b_*`` are (2, 2) int64 arrays indexed ``[edge][last]``; ``out_*`` are (3, 2, 2) arrays indexed
    ``[kind][m edge][n edge]``, ``epilogue_ticks`` has one number for each kind.
    """

    units: int
    slots_per_unit: int
    stages: int
    m_index: IntArray = field(repr=False)
    n_index: IntArray = field(repr=False)
    k_start: IntArray = field(repr=False)
    k_count: IntArray = field(repr=False)
    kind: IntArray = field(repr=False)
    k_iters: int
    m_edge: int
    n_edge: int
    a_chunks: int
    b_chunks: int
    a_period: int
    b_period: int
    a_held: int
    b_held: int
    d_held: int
    l2_capacity_bytes: int
    tensor_ticks: int
    warp_ticks: int
    smem_read_ticks: int
    iteration_ticks: int
    prefetch: bool
    prologue_ticks: int
    next_prologue_ticks: int
    epilogue_ticks: IntArray
    tail_ticks: int
    l2_latency_ticks: int
    dram_latency_ticks: int
    a_fill_ticks: IntArray
    b_fill_ticks: IntArray
    a_ingress_ticks: IntArray
    b_ingress_ticks: IntArray
    a_l2_ticks: IntArray
    b_l2_ticks: IntArray
    a_dram_ticks: IntArray
    b_dram_ticks: IntArray
    a_l2_bytes: IntArray
    b_l2_bytes: IntArray
    a_dram_bytes: IntArray
    b_dram_bytes: IntArray
    out_smem_ticks: IntArray
    out_ingress_ticks: IntArray
    out_l2_ticks: IntArray
    out_dram_ticks: IntArray
    out_bytes: IntArray

    @property
    def slots(self) -> int:
        """Resident CTAs (or clusters) on the whole GPU."""
        return self.units * self.slots_per_unit

    @property
    def tiles(self) -> int:
        """Tiles handed out in all."""
        return int(self.m_index.shape[0])

    @property
    def tile_iterations(self) -> int:
        """Main-loop iterations summed over the tiles: what an engine's speed is counted in."""
        return int(self.k_count.sum())

    @property
    def out_classes(self) -> tuple[IntArray, IntArray, IntArray]:
        """Class ``[kind][m edge][n edge]`` of every tile: indices into a table ``out_*``."""
        return self.kind, (self.m_index >= self.m_edge).astype(np.int64), (self.n_index >= self.n_edge).astype(np.int64)

    @property
    def out_counts(self) -> IntArray:
        """Tiles of each class ``[kind][m edge][n edge]``: what sums over tables ``out_*`` need."""
        m_edge, n_edge = self.m_index >= self.m_edge, self.n_index >= self.n_edge
        counts = np.zeros((len(KINDS), 2, 2), np.int64)
        for kind in KINDS:
            those = self.kind == kind
            in_m, in_n, in_both = (int(np.count_nonzero(those & edge)) for edge in (m_edge, n_edge, m_edge & n_edge))
            counts[kind] = (int(np.count_nonzero(those)) - in_m - in_n + in_both, in_n - in_both), (in_m - in_both, in_both)
        return counts

    @property
    def loads(self) -> IntArray:
        """Loads of each class, [a edge][b edge][last]."""
        _, a_edge, b_edge = self.out_classes
        tiles = 2 * a_edge + b_edge
        last = np.bincount(tiles, self.k_start + self.k_count == self.k_iters, 4)
        counted: IntArray = np.stack([np.bincount(tiles, self.k_count, 4) - last, last], axis=-1).astype(np.int64)
        return counted.reshape(2, 2, 2)

    def of_loads(self, cost: str) -> int:
        """Sum a cost of A's and B's tables, such as ``l2_bytes``, over all loads."""
        a, b = getattr(self, f"a_{cost}"), getattr(self, f"b_{cost}")
        return int((self.loads * (a[:, None, :] + b[None, :, :])).sum())

    @property
    def write_bytes(self) -> int:
        """Bytes of D and partial sums."""
        return int((self.out_counts * self.out_bytes).sum())

    @property
    def dram_write_bytes(self) -> int:
        """Those whose way goes on to DRAM: not partial sums, nor what stays in L2."""
        leaves = int((self.out_counts * np.where(self.out_dram_ticks > 0, self.out_bytes, 0)).sum())
        return leaves * (HELD_WHOLE - self.d_held) // HELD_WHOLE


@dataclass(frozen=True, slots=True)
class GemmTiming:
    """What an engine returns for a plan; all integers, identical between the engines.

    Attributes:
        total_ticks: from the first prologue to the end of the last tile, plus the plan's tail.
        part_ticks: slot-ticks by part, in the order of ``PARTS``; they sum to ``slots * total_ticks``.
        tensor_busy_ticks: booked ticks of the tensor pipes, summed over the units.
        smem_busy_ticks: the same of the shared-memory ports.
        ingress_busy_ticks: the same of the ingress ports.
        l2_busy_ticks: booked ticks of the L2.
        dram_busy_ticks: booked ticks of the DRAM, those of writes that were put off included.
        l2_read_bytes: ``l2_bytes`` of all loads, hit or miss.
        dram_read_bytes: ``dram_bytes`` of misses.
        write_bytes: of D and partial sums (reads of partial sums book ticks, but are no load and not counted).
    """

    total_ticks: int
    part_ticks: tuple[int, ...]
    tensor_busy_ticks: int
    smem_busy_ticks: int
    ingress_busy_ticks: int
    l2_busy_ticks: int
    dram_busy_ticks: int
    l2_read_bytes: int
    dram_read_bytes: int
    write_bytes: int
