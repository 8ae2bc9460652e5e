"""Memory operations of a network whose sizes change: each follows the outputs it reads."""

from __future__ import annotations

from stcsim.errors import TraceError
from stcsim.trace.trace import Memory, Op, Trace

Change = tuple[int, int]
"""A number as captured, and after the change."""


class Outputs:
    """Elements of every output of ``trace`` before and after a change; ``network_input`` says how its own input grew."""

    def __init__(self, trace: Trace, network_input: Change) -> None:
        self._edges = any(op.inputs for op in trace.ops)
        self._network_input = network_input
        self._of: dict[str, Change] = {}

    def add(self, before: Op, after: Op) -> None:
        """Remember the output of an operation that was changed."""
        self._of[before.name] = (before.output_elements, after.output_elements)

    def of(self, name: str) -> Change:
        """Return the elements of an output."""
        return self._of[name]

    def followed(self, where: str, op: Memory, written: int | None, constants: int) -> Memory:
        """Return ``op`` after the change, and remember its output.

        Args:
            where: for an error.
            op: reads outputs that are known.
            written: what it writes; ``None`` if as much as one input, as all of them, or as it reads.
            constants: parameters it reads.

        Raises:
            TraceError: when what it reads or writes does not follow.
        """
        if not self._edges:
            raise TraceError(f"{where}: inputs", "the names of what it reads", "none in this trace")
        sources = [self._of[name] for name in op.inputs]
        read = _read(op.elements_read, sources or [self._network_input])
        if read is None:
            raise TraceError(f"{where}: elements_read", "all its inputs, or one share of each", str(op.elements_read))
        alike = [*sources, _sum(sources), (op.elements_read, read)]
        possible = {after for before, after in alike if before == op.elements_written} if written is None else {written}
        if len(possible) != 1:
            raise TraceError(f"{where}: elements_written", "as many as an input has, or all of them", str(op.elements_written))
        new: Memory = op.changed(elements_read=read, elements_written=possible.pop(), constant_elements=constants)
        self.add(op, new)
        return new


def _sum(changes: list[Change]) -> Change:
    return sum(before for before, _ in changes), sum(after for _, after in changes)


def _read(elements: int, sources: list[Change]) -> int | None:
    """Return what becomes of ``elements`` read: all of the sources, or the same share of each."""
    before, after = _sum(sources)
    if elements == before:
        return after
    alike = all(new * before == old * after for old, new in sources)
    return elements * after // before if alike and elements * after % before == 0 else None
