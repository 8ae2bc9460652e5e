"""Norms that older ONNX files spell out: the steps of a layer norm put together, and a root with its reciprocal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stcsim.trace import Memory, Op
from stcsim.trace.edges import readers_of


def join_norms(ops: Sequence[Op]) -> list[Op]:
    """Return the operations with each group that is one kernel in its last step's place, under that one's name.

    A layer norm is x minus its mean, over the root of the mean of that squared plus a constant, times weights, plus a bias.
    """
    for find in (_Steps.reciprocal_root, _Steps.layer_norm):
        steps, joined = _Steps(ops), dict[str, Op | None]()
        for op in ops:
            members = find(steps, op) if isinstance(op, Memory) else None
            if members:
                joined.update(dict.fromkeys((member.name for member in members), None))
                joined[members[-1].name] = _one(members, "layer_norm" if len(members) > 2 else "rsqrt")
        ops = [op for op in (joined.get(op.name, op) for op in ops) if op is not None]
    return list(ops)


class _Steps:
    """The operations by name, and who reads whom."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self._ops = {op.name: op for op in ops}
        self._readers = readers_of(ops)

    def reciprocal_root(self, root: Memory) -> list[Memory] | None:
        """Return a root and the reciprocal that alone reads it."""
        reciprocal = self._reader(root, ("reciprocal",)) if root.operator == "sqrt" else None
        return [root, reciprocal] if reciprocal else None

    def layer_norm(self, mean: Memory) -> list[Memory] | None:
        """Return the steps of a layer norm that begins with ``mean``."""
        centred = self._reader(mean, ("sub",)) if mean.operator == "mean" else None
        if centred is None or {*centred.inputs} - {mean.name} != {*mean.inputs}:
            return None
        followers = [self._ops[name] for name in self._readers[centred.name]]
        squares = [op for op in followers if isinstance(op, Memory) and op.operator in ("pow", "mul") and len(op.inputs) == 1]
        members = [mean, centred, *squares]
        for operators in (("mean",), ("add",), ("sqrt", "rsqrt"), ("div", "mul")):
            step = self._reader(members[-1], operators)
            if step is None:
                return None
            members.append(step)
        scaled = members[-1]
        if len(squares) != 1 or {*scaled.inputs} != {centred.name, members[-2].name} or len(followers) != 2:
            return None
        for operator in ("mul", "add"):
            step = self._reader(members[-1], (operator,))
            if step is None or len(step.inputs) > 1 or not step.constant_elements:
                break
            members.append(step)
        return members

    def _reader(self, op: Op, operators: Iterable[str]) -> Memory | None:
        """Return the one step that reads ``op``, if there is but one and it is of these operators."""
        readers = [self._ops[name] for name in self._readers[op.name]]
        only = readers[0] if len(readers) == 1 else None
        return only if isinstance(only, Memory) and only.operator in operators else None


def _one(members: Sequence[Memory], operator: str) -> Memory:
    """Return one step for several: it reads what the first does and all constants, and writes what the last does."""
    first, last = members[0], members[-1]
    constants = sum(member.constant_elements for member in members)
    return last.changed(
        operator=operator,
        elements_read=first.elements_read,
        constant_elements=constants,
        inputs=first.inputs,
        origin=first.origin,
    )
