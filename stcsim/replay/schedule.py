"""Which kernels a network launches, and in which order: operations that fuse ride along in another one's kernel."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.errors import TraceError
from stcsim.trace import Memory, Op, Trace
from stcsim.words import Fusion, word


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel of a network: an operation and those that fuse into it.

    Attributes:
        index: of ``op`` in the trace.
        fused: in network order.
    """

    index: int
    op: Op
    fused: tuple[Memory, ...] = ()

    @property
    def ops(self) -> tuple[Op, ...]:
        """Everything this kernel does."""
        return (self.op, *self.fused)

    @property
    def names(self) -> frozenset[str]:
        """Names of everything this kernel does."""
        return frozenset(op.name for op in self.ops)


def has_edges(trace: Trace) -> bool:
    """Whether the trace says who reads whose output."""
    return any(op.inputs for op in trace.ops)


def schedule(trace: Trace, fusion: str = "epilogue") -> tuple[Step, ...]:
    """Return the kernels of one pass in the order they are launched: the trace's, but none before what it reads.

    A sum that fuses into one of two branches waits for the other one, and so does the kernel it fuses into.

    Raises:
        UnsupportedError: for a fusion that is none of ``stcsim.words.Fusion``.
        TraceError: when two kernels would wait for each other.
    """
    fuses = word(Fusion, fusion, "fusion") is Fusion.EPILOGUE
    riders: dict[str, list[Memory]] = defaultdict(list)
    for op in trace.ops:
        if isinstance(op, Memory) and op.fuses_into and fuses:
            riders[op.fuses_into].append(op)
    riding = {op.name for group in riders.values() for op in group}
    steps = [Step(index, op, tuple(riders.get(op.name, ()))) for index, op in enumerate(trace.ops) if op.name not in riding]
    return _in_order(trace.name, steps) if riding else tuple(steps)


def _in_order(trace: str, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Order ``steps`` so that each follows those it reads, the earliest in the trace first."""
    home = {name: place for place, step in enumerate(steps) for name in step.names}
    waits_for = [{home[name] for op in step.ops for name in op.inputs} - {place} for place, step in enumerate(steps)]
    readers: dict[int, list[int]] = defaultdict(list)
    for place, sources in enumerate(waits_for):
        for source in sources:
            readers[source].append(place)
    missing = [len(sources) for sources in waits_for]
    ready = [place for place, count in enumerate(missing) if not count]
    ordered = []
    while ready:
        place = heapq.heappop(ready)
        ordered.append(steps[place])
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(ordered) < len(steps):
        stuck = next(step for place, step in enumerate(steps) if missing[place] and step.fused)
        rider = stuck.fused[-1].name
        expected = f"an operation that can wait for everything '{rider}' reads"
        raise TraceError(f"{trace}: '{rider}': fuses_into", expected, f"'{stuck.op.name}', whose own output is read for it")
    return tuple(ordered)
