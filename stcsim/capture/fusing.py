"""Which steps a neighbouring kernel does on the way: decided from the operations of a trace alone, whoever imported them.

A kernel takes element-wise steps that follow on its output, as libraries and compilers for inference do. The members of such a
group are its head and the steps behind it, in network order, as long as every step reads a member's output that is at least as
large as what it writes, and only the last member's output is read outside of the group. Other operands (a residual, a mask) are
read on the way; they come before the head, so that the groups can run in the order of their heads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence

from stcsim.trace import Conv2d, Gemm, Memory, Op

#: Steps that compute each element of the output from the elements at its place.
ELEMENT_WISE = frozenset(
    "abs acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bias cast ceil celu clamp copysign cos cosh div elu erf erfc "
    "exp exp2 expm1 float_power floor fmax fmin fmod frac gelu glu gru_cell hardshrink hardsigmoid hardswish hardtanh hypot "
    "leaky_relu lerp log log10 log1p log2 log_sigmoid logaddexp logit lstm_cell masked_fill maximum minimum mish mod mul "
    "nan_to_num neg pow prelu reciprocal relu relu6 remainder rnn_cell round rsqrt selu sgn sigmoid sign silu sin sinc sinh "
    "softplus softshrink softsign sqrt square sub tan tanh threshold trunc where xlogy".split()
)

#: At inference a batch norm is one factor and one term for each channel.
FOLDED = frozenset({"batch_norm"})

#: Writing new keys and values where a cache lies is another way of storing them.
STORES = frozenset({"cache_update"})

#: Steps over rows whose kernels take what follows element by element.
ROW_WISE = frozenset({"layer_norm", "rms_norm", "group_norm", "instance_norm", "rope"})

SOFTMAX = "softmax"
COPY = "copy"

_FOLLOWERS = ELEMENT_WISE | FOLDED | STORES
_LEADERS = ELEMENT_WISE | FOLDED | ROW_WISE


def decide_fusion(ops: Sequence[Op]) -> tuple[Op, ...]:
    """Return the operations with ``fuses_into`` set anew, in the same order.

    GEMMs and convolutions take element-wise steps, activations, residual sums and inference batch norms; so do norms and rope,
    and an element-wise step that nothing takes heads a group of its own. The first product of an attention also takes the
    softmax when nothing but a product of activations reads the result. A copy that only reorders an operand or the result of an
    attention, or puts new keys and values behind others, is another way of storing what is copied.

    Args:
        ops: with names of their own and ``inputs``.
    """
    places = {op.name: place for place, op in enumerate(ops)}
    readers: dict[int, list[int]] = {place: [] for place in range(len(ops))}
    for place, op in enumerate(ops):
        for name in op.inputs:
            readers[places[name]].append(place)
    graph = _Graph(ops, places, readers)
    heads: dict[int, int] = {}
    for place, op in enumerate(ops):
        if place not in heads and _leads(op):
            heads.update(dict.fromkeys(graph.group(place, heads), place))
        elif place not in heads and _stores(op) and len(op.inputs) == 1:  # whoever else reads what it stores
            source = places[op.inputs[0]]
            head = heads.get(source, source)
            if _leads(ops[head]) and ops[head].count == op.count:
                heads[place] = head
    return tuple(
        op.changed(fuses_into=ops[heads[place]].name if place in heads else "") if isinstance(op, Memory) else op
        for place, op in enumerate(ops)
    )


class _Graph:
    """The operations by their place, and who reads whom."""

    def __init__(self, ops: Sequence[Op], places: Mapping[str, int], readers: Mapping[int, Sequence[int]]) -> None:
        self._ops, self._places, self._readers = ops, places, readers

    def group(self, head: int, taken: Mapping[int, int]) -> list[int]:
        """Return the steps that fuse into ``head``: the longest beginning of the candidates with a single way out."""
        members = [head]
        best = 0
        for step in self._candidates(head, taken):
            members.append(step)
            if self._one_way_out(members):
                best = len(members) - 1
        return members[1 : best + 1]

    def _candidates(self, head: int, taken: Mapping[int, int]) -> Iterator[int]:
        """Yield the steps that could follow on what is in the group, in network order."""
        waiting, seen = list(self._readers[head]), {head}
        heapq.heapify(waiting)
        while waiting:
            step = heapq.heappop(waiting)
            if step in seen or step in taken or not self._follows(step, head, seen):
                continue
            seen.add(step)
            yield step
            for reader in self._readers[step]:
                heapq.heappush(waiting, reader)

    def _follows(self, step: int, head: int, group: set[int]) -> bool:
        """Whether the kernel of ``head`` can do ``step`` on the output of a member of its group."""
        op, first = self._ops[step], self._ops[head]
        if not isinstance(op, Memory) or op.count != first.count:
            return False
        inputs = [self._places[name] for name in op.inputs]
        if not all(place in group or place < head for place in inputs):
            return False
        if not any(self._ops[place].output_elements >= op.elements_written for place in inputs if place in group):
            return False
        if op.operator == COPY:
            return self._lays_out(step, first)
        return op.operator in _FOLLOWERS or (op.operator == SOFTMAX and _of_activations(first))

    def _lays_out(self, copy: int, first: Op) -> bool:
        """Whether a copy puts the result, or an operand, of a product of two activations into another order."""
        if _of_activations(first):
            return self._ops[copy].output_elements == first.output_elements
        readers = [self._ops[reader] for reader in self._readers[copy]]
        return bool(readers) and all(_of_activations(each) or _stores(each) for each in readers)

    def _one_way_out(self, members: Sequence[int]) -> bool:
        """Whether only the last member is read outside, and a softmax only by products of activations."""
        group = set(members)
        for member in members[:-1]:
            if not self._readers[member] or not group.issuperset(self._readers[member]):
                return False
        if not any(_is_softmax(self._ops[member]) for member in members):
            return True
        readers = [self._ops[reader] for reader in self._readers[members[-1]]]
        return bool(readers) and all(_of_activations(reader) for reader in readers)


def _leads(op: Op) -> bool:
    """Whether the kernel of ``op`` can do steps that follow."""
    return isinstance(op, Gemm | Conv2d) or op.operator in _LEADERS


def _of_activations(op: Op) -> bool:
    return isinstance(op, Gemm) and op.weight_operand is None


def _stores(op: Op) -> bool:
    return isinstance(op, Memory) and op.operator in STORES


def _is_softmax(op: Op) -> bool:
    return isinstance(op, Memory) and op.operator == SOFTMAX
