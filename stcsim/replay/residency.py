"""What the L2 still holds when a kernel of a network reads it, counted in bytes.

The L2 is taken to keep what was touched last. A tensor is still there if its own bytes, all that the kernels since its making
moved, and what the reading kernel moves beside it, fit together; a part that would stay is not counted. Weights and the
network's own input are there only if the whole network fits, which matters when it is replayed over and over. Weights count as
stored dense, so that dense and 2:4 kernels find the same L2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from stcsim.isa import DType, type_bytes
from stcsim.replay.problem import problem_of
from stcsim.replay.schedule import Step
from stcsim.timing.memory_op import Traffic
from stcsim.timing.problem import Problem
from stcsim.trace import Conv2d, Gemm, Memory, Op

TypeOf = Callable[[Op], DType]

OWN_INPUT = ""
"""Stands for the network's own input where an operation's name is expected."""
BEFORE = None
"""Stands for whatever ran just before, in a trace that does not say who reads what."""


@dataclass(frozen=True, slots=True)
class Read:
    """Bytes that a kernel reads of one tensor.

    Attributes:
        source: name of the operation that made it, ``OWN_INPUT`` or ``BEFORE``.
        role: ``"a"`` or ``"b"``, operands of a GEMM; ``"beside"``, all else.
    """

    source: str | None
    role: str
    amount: int


@dataclass(frozen=True, slots=True)
class Placed:
    """What a kernel finds where.

    Attributes:
        problem: the GEMM to be timed, ``None`` for a memory operation.
        beside: for a GEMM what fused steps read beside it; for a memory operation all it moves.
    """

    problem: Problem | None
    beside: Traffic


def place(steps: Sequence[Step], type_of: TypeOf, edges: bool, capacity_bytes: int) -> list[Placed]:
    """Return what each kernel finds in an L2 of ``capacity_bytes``.

    Args:
        steps: the kernels in the order they run. edges: whether their trace says who reads whose output; without, every
            operation is taken to read what the one before it wrote.
        type_of: element type of an operation.
    """
    return _Pass(steps, type_of, edges, capacity_bytes).placed()


class _Pass:
    """One pass through the network."""

    def __init__(self, steps: Sequence[Step], type_of: TypeOf, edges: bool, capacity_bytes: int) -> None:
        self._steps, self._type_of, self._edges, self._capacity = steps, type_of, edges, capacity_bytes
        self._home = {op.name: place for place, step in enumerate(steps) for op in step.ops}
        self._made = {op.name: op.output_elements * self._out_bytes(op) for step in steps for op in step.ops}
        self._outputs = {op.name: op.output_elements for step in steps for op in step.ops}
        self._sharing: dict[str, list[str]] = {}
        self._readers: dict[str, set[int]] = {}
        for at, step in enumerate(steps):
            if not isinstance(step.op, Memory):
                self._sharing.setdefault(step.op.weight_of or step.op.name, []).append(step.op.name)
            for op in step.ops:
                for name in op.inputs:
                    self._readers.setdefault(name, set()).add(at)
        self._scores = fused_scores(steps)
        self._reads = [tuple(self._reads_of(step)) for step in steps]
        self._written = [self._written_by(at) for at in range(len(steps))]
        self._moved = [self._moved_by(at) for at in range(len(steps))]
        self._until = [0, *accumulate(moved * step.op.count for moved, step in zip(self._moved, steps, strict=True))]

    def placed(self) -> list[Placed]:
        return [self._placed(at) for at in range(len(self._steps))]

    def _out_bytes(self, op: Op) -> int:
        return type_bytes(self._type_of(op).out)

    def _problem(self, op: Gemm | Conv2d, weights_in_l2: bool = False, activations_in_l2: bool = True) -> Problem:
        made, used = op.name in self._scores, bool(op.inputs) and op.inputs[0] in self._scores.values()
        return problem_of(op, self._type_of(op), None, weights_in_l2, activations_in_l2, a_on_chip=used, d_on_chip=made)

    def _placed(self, at: int) -> Placed:
        op, warm = self._steps[at].op, {"a": True, "b": True}
        cold_bytes = beside_bytes = 0
        for read in self._reads[at]:
            held = self._holds(at, read)
            if read.role == "beside":
                beside_bytes += read.amount
                cold_bytes += 0 if held else read.amount
            else:
                warm[read.role] &= held
        if isinstance(op, Memory):
            written = self._written[at]
            spilled = 0 if self._moved[at] <= self._capacity else written
            return Placed(None, Traffic(beside_bytes, written, cold_bytes, spilled))
        weights = self._weights_held(at, op) if op.weight_elements else warm["a"]
        problem = self._problem(op, weights, warm["b"])
        if problem.a_bytes(True) + problem.b_bytes + problem.d_bytes > self._capacity:  # then it is cold whatever is said here
            problem = self._problem(op)
        return Placed(problem, Traffic(read=beside_bytes, dram_read=cold_bytes))

    def _weights_held(self, at: int, op: Gemm | Conv2d) -> bool:
        """Whether a weight is still there: from the pass before, or from another operation of this pass that shares it."""
        sharing = [self._home[name] for name in self._sharing.get(op.weight_of or op.name, ()) if self._home[name] < at]
        between = self._until[at] - self._until[max(sharing) + 1] if sharing else self._capacity
        return self._whole_network_fits or between + self._moved[at] <= self._capacity

    @property
    def _whole_network_fits(self) -> bool:
        """One operation alone is no network: it has its operands where ``stcsim gemm`` has them."""
        return len(self._steps) > 1 and self._until[-1] <= self._capacity

    def _holds(self, at: int, read: Read) -> bool:
        """Whether the L2 still holds what kernel number ``at`` reads."""
        if read.source is BEFORE:
            return self._moved[at] <= self._capacity
        if read.source == OWN_INPUT:
            return self._whole_network_fits
        since = self._until[at] - self._until[self._home[read.source] + 1]
        return self._made[read.source] + since + self._moved[at] - read.amount <= self._capacity

    def _moved_by(self, at: int) -> int:
        """Bytes through the L2 in one launch, each tensor once."""
        op = self._steps[at].op
        weights = 0 if isinstance(op, Memory) or not op.weight_elements else self._problem(op).a_bytes(False)
        return weights + sum(read.amount for read in self._reads[at]) + self._written[at]

    def _written_by(self, at: int) -> int:
        step = self._steps[at]
        if not isinstance(step.op, Memory):
            return self._problem(step.op).d_bytes
        return sum(self._made[op.name] for op in step.ops if self._readers.get(op.name) != {at})

    def _reads_of(self, step: Step) -> Iterator[Read]:
        """Yield what ``step`` reads, without weights and what stays inside it."""
        inside = step.names
        if not isinstance(step.op, Memory):
            yield from self._operands(step.op)
        last = step.op
        for op in step.ops:
            if isinstance(op, Memory):
                for source, amount in self._shares(op, last if op is not step.op else None):
                    if source not in inside:
                        yield Read(source, "beside", amount)
                last = op
                if op.operator != "batch_norm" or isinstance(step.op, Memory):  # else folded into the weights
                    yield Read(OWN_INPUT, "beside", op.constant_elements * self._out_bytes(op))

    def _operands(self, op: Gemm | Conv2d) -> Iterator[Read]:
        """Yield the activations a GEMM reads; a source of unknown place is the network's own input."""
        problem = self._problem(op)
        b_bytes = problem.b_bytes
        if op.weight_elements:
            for source in op.inputs or [self._unnamed]:
                yield Read(source, "b", b_bytes)
                b_bytes = 0
            return
        sources: list[str | None] = [*op.inputs[:2]]
        if len(sources) == 1 and self._outputs[op.inputs[0]] == problem.n * problem.k * problem.batch:
            sources.insert(0, self._unnamed)
        sources += [self._unnamed] * (2 - len(sources))
        yield Read(sources[0], "a", problem.a_bytes(False))
        yield Read(sources[1], "b", b_bytes)

    def _shares(self, op: Memory, before: Op | None) -> Iterator[tuple[str | None, int]]:
        """Yield (source, bytes) of what ``op`` reads; ``before`` is the operation ahead of it in its kernel, if it has one.

        An input of which only a part is read counts for its share; what no input accounts for is the network's own.
        """
        element = self._out_bytes(op)
        sources = op.inputs or (() if before is None else (before.name,))
        named = sum(self._outputs[source] for source in sources)
        for source in sources:
            yield source, min(self._outputs[source], self._outputs[source] * op.elements_read // max(named, 1)) * element
        yield self._unnamed, max(0, op.elements_read - named) * element

    @property
    def _unnamed(self) -> str | None:
        return OWN_INPUT if self._edges else BEFORE


def fused_scores(steps: Sequence[Step]) -> dict[str, str]:
    """Return what fused attention keeps on the SM: each product of queries and keys, with the softmax in its kernel.

    Only where nothing but products without a weight read the softmax, as their first operand.
    """
    readers: dict[str, list[Op]] = {}
    for step in steps:
        for op in step.ops:
            for name in op.inputs:
                readers.setdefault(name, []).append(op)
    scores = {}
    for step in steps:
        last = step.ops[-1]
        if not isinstance(step.op, Gemm) or step.op.weight_elements or getattr(last, "operator", "") != "softmax":
            continue
        used = readers.get(last.name, [])
        if used and all(isinstance(op, Gemm) and not op.weight_elements and op.inputs[0] == last.name for op in used):
            scores[step.op.name] = last.name
    return scores
