"""What the L2 still holds when a kernel of a network reads it, counted in bytes.

The L2 is taken to keep what was touched last. A tensor is still there if its own bytes, all that the kernels since its making
moved, and what the reading kernel moves beside it, fit together; a part that would stay is not counted. Weights and the
network's own input are there only if the whole network fits, which matters when it is replayed over and over. Weights count as
they are stored: a pruned layer leaves more of the L2 to the tensors around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stcsim.isa import DType, type_bytes
from stcsim.replay.problem import problem_of
from stcsim.replay.schedule import Step
from stcsim.timing.board.memory_op import Traffic
from stcsim.timing.problem import Problem
from stcsim.trace import Conv2d, Gemm, Memory, Op

TypeOf = Callable[[Op], DType]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

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


class Spot(NamedTuple):
    """One kernel, stored in one way, with what it finds in L2.

    Attributes:
        at: its place in the network.
        sparse: whether it is stored 2:4.
        weights, a, b: whether those are in L2 (``a`` and ``b``
            as activations).
        cold_bytes: of what it reads beside, from DRAM.
        fits: whether all it moves fits the L2.
    """

    at: int
    sparse: bool
    weights: bool
    a: bool
    b: bool
    cold_bytes: int
    fits: bool


class Residency:
    """What each kernel of a network finds in the L2, whatever its layers are stored as.

    Args:
        steps: the kernels in the order they run. edges: whether their trace says who reads whose output; without, every
            operation is taken to read what the one before it wrote.
        type_of: element type of an operation. capacity_bytes: of the L2.
    """

    def __init__(self, steps: Sequence[Step], type_of: TypeOf, edges: bool, capacity_bytes: int) -> None:
        """Read the network once: who reads what, and what moves in each step whatever its weights are stored as."""
        self._steps, self._type_of, self._edges, self._capacity = steps, type_of, edges, capacity_bytes
        self._home = {op.name: place for place, step in enumerate(steps) for op in step.ops}
        self._made = {op.name: op.output_elements * self._out_bytes(op) for step in steps for op in step.ops}
        self._outputs = {op.name: op.output_elements for step in steps for op in step.ops}
        self._readers: dict[str, set[int]] = {}
        for at, step in enumerate(steps):
            for op in step.ops:
                for name in op.inputs:
                    self._readers.setdefault(name, set()).add(at)
        self._scores = fused_scores(steps)
        self._problems: dict[tuple[int, bool, bool], Problem] = {}
        reads = [(at, read) for at, step in enumerate(steps) for read in self._reads_of(step)]
        self._reads = _Reads.of(reads, self._home, self._made)
        self._written = np.array([self._written_by(at) for at in range(len(steps))], np.int64)
        self._beside = self._written + np.bincount(self._reads.at, self._reads.amount, len(steps)).astype(np.int64)
        self._counts = np.array([step.op.count for step in steps], np.int64)
        self._weights = np.array([self._weight_bytes(at) for at in range(len(steps))], np.int64).reshape(-1, 2).T
        self._shared_with = np.array(list(self._sharing()), np.int64)

    def placed(self, sparse: Sequence[bool] | None = None) -> list[Placed]:
        """Return what each kernel finds where, if the layers that ``sparse`` marks are stored 2:4 (by default none)."""
        return [self.place(spot) for spot in self.spots(sparse)]

    def spots(self, sparse: Sequence[bool] | None = None) -> list[Spot]:
        """Return the same as what tells one case of a kernel from its others: cheap to make, and to compare."""
        is_sparse = np.zeros(len(self._steps), np.int64) if sparse is None else np.asarray(sparse, np.int64)
        moved = self._beside + self._weights[is_sparse, np.arange(len(self._steps))]
        until = np.concatenate([[0], np.cumsum(moved * self._counts)])
        whole_fits = len(self._steps) > 1 and bool(until[-1] <= self._capacity)  # one alone is no network
        found = self._reads.held(moved, until, whole_fits, self._capacity)
        weights = whole_fits | ((self._shared_with >= 0) & (until[:-1] - until[self._shared_with + 1] + moved <= self._capacity))
        columns = is_sparse.astype(bool), weights, found.a, found.b, found.cold, moved <= self._capacity
        return list(map(Spot, range(len(self._steps)), *(column.tolist() for column in columns)))

    def _out_bytes(self, op: Op) -> int:
        return type_bytes(self._type_of(op).out)

    def _problem(self, at: int, weights_in_l2: bool = False, activations_in_l2: bool = True) -> Problem:
        key = at, weights_in_l2, activations_in_l2
        if key not in self._problems:
            op = self._steps[at].op
            assert not isinstance(op, Memory)
            made, used = op.name in self._scores, bool(op.inputs) and op.inputs[0] in self._scores.values()
            element = self._type_of(op)
            self._problems[key] = problem_of(op, element, None, weights_in_l2, activations_in_l2, a_on_chip=used, d_on_chip=made)
        return self._problems[key]

    def place(self, spot: Spot) -> Placed:
        """Return what the kernel of ``spot`` finds where."""
        at = spot.at
        op, beside_bytes, written = self._steps[at].op, int(self._reads.beside[at]), int(self._written[at])
        if isinstance(op, Memory):
            return Placed(None, Traffic(beside_bytes, written, spot.cold_bytes, 0 if spot.fits else written))
        problem = self._problem(at, spot.weights if op.weight_elements else spot.a, spot.b)
        if problem.a_bytes(spot.sparse) + problem.b_bytes + problem.d_bytes > self._capacity:  # then it is cold whatever is said
            problem = self._problem(at)
        return Placed(problem, Traffic(read=beside_bytes, dram_read=spot.cold_bytes))

    def _weight_bytes(self, at: int) -> tuple[int, int]:
        """Bytes of the weights of a step, dense and 2:4."""
        op = self._steps[at].op
        if isinstance(op, Memory) or not op.weight_elements:
            return 0, 0
        problem = self._problem(at)
        return problem.a_bytes(False), problem.a_bytes(True)

    def _sharing(self) -> Iterator[int]:
        """Yield for each step the last one before it that has the same weights, or -1."""
        last: dict[str, int] = {}
        for at, step in enumerate(self._steps):
            if isinstance(step.op, Memory) or not step.op.weight_elements:
                yield -1
                continue
            owner = step.op.weight_of or step.op.name
            yield last.get(owner, -1)
            last[owner] = at

    def _written_by(self, at: int) -> int:
        step = self._steps[at]
        if not isinstance(step.op, Memory):
            return self._problem(at).d_bytes
        return sum(self._made[op.name] for op in step.ops if self._readers.get(op.name) != {at})

    def _reads_of(self, step: Step) -> Iterator[Read]:
        """Yield what ``step`` reads, without weights and what stays inside it."""
        inside = step.names
        if not isinstance(step.op, Memory):
            yield from self._operands(step.op, self._problem(self._home[step.op.name]))
        last = step.op
        for op in step.ops:
            if isinstance(op, Memory):
                for source, amount in self._shares(op, last if op is not step.op else None):
                    if source not in inside:
                        yield Read(source, "beside", amount)
                last = op
                if op.operator != "batch_norm" or isinstance(step.op, Memory):  # else folded into the weights
                    yield Read(OWN_INPUT, "beside", op.constant_elements * self._out_bytes(op))

    def _operands(self, op: Gemm | Conv2d, problem: Problem) -> Iterator[Read]:
        """Yield the activations a GEMM reads; a source of unknown place is the network's own input."""
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


@dataclass(frozen=True, slots=True)
class _Found:
    """Per step: whether A and B are in L2 (as activations), and the bytes of other reads that come from DRAM."""

    a: Bools
    b: Bools
    cold: Ints


@dataclass(frozen=True, slots=True)
class _Reads:
    """All reads of a network, one entry each: which step, how many bytes, who made them where, as what.

    Attributes:
        home: the step that made them, -1 for the network's own input, -2 for whatever ran just before.
        beside: bytes by step that are no operand of a GEMM.
    """

    at: Ints
    amount: Ints
    home: Ints
    made: Ints
    is_a: Bools
    is_b: Bools
    beside: Ints
    steps: int

    @classmethod
    def of(cls, reads: Sequence[tuple[int, Read]], home: Mapping[str, int], made: Mapping[str, int]) -> _Reads:
        """Collect ``reads``, each with its step."""
        steps = 1 + max(home.values(), default=-1)
        at = np.array([at for at, _ in reads], np.int64)
        amount = np.array([read.amount for _, read in reads], np.int64)
        homes = [-2 if read.source is BEFORE else home[read.source] if read.source else -1 for _, read in reads]
        roles = np.array([read.role for _, read in reads])
        is_beside = roles == "beside"
        return cls(
            at,
            amount,
            np.array(homes, np.int64),
            np.array([made[read.source] if read.source else 0 for _, read in reads], np.int64),
            roles == "a",
            roles == "b",
            np.bincount(at[is_beside], amount[is_beside], steps).astype(np.int64),
            steps,
        )

    def held(self, moved: Ints, until: Ints, whole_fits: bool, capacity_bytes: int) -> _Found:
        """Return what is still in L2 where each step moves ``moved`` bytes, and ``until`` it so many have been moved."""
        since = self.made + until[self.at] - until[np.maximum(self.home, -1) + 1] + moved[self.at] - self.amount
        held = np.where(self.home == -1, whole_fits, np.where(self.home == -2, moved[self.at], since) <= capacity_bytes)
        cold = ~held & ~self.is_a & ~self.is_b
        a, b = np.ones(self.steps, np.bool_), np.ones(self.steps, np.bool_)
        a[self.at[self.is_a & ~held]] = False
        b[self.at[self.is_b & ~held]] = False
        return _Found(a, b, np.bincount(self.at[cold], self.amount[cold], self.steps).astype(np.int64))


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
