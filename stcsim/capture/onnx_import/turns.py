"""Turns of a loop in an ONNX graph: what one hands to the next, and turns with the same operations put together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from stcsim.capture.onnx_import.layers import Op
from stcsim.capture.onnx_import.values import Value
from stcsim.capture.onnx_import.views import contiguous
from stcsim.trace import Gemm, Memory

MAX_COUNT = 2**31 - 1
"""The largest count that an operation of a trace may have."""

MAX_TURNS = 1024
"""Turns that are walked where they differ."""


def carried(value: Value) -> Value:
    """Return a value as the next turn, or what follows the loop, gets it: no constant, in an array of its own."""
    role = "index" if value.is_integer and value.role != "activation" else "activation"
    return replace(value, role=role, strides=None, parameter="", turn="")  # type: ignore[arg-type]


def steady(before: Value, after: Value) -> bool:
    """Whether two values are the same as far as sizes go."""
    if before.items is not None or after.items is not None:
        same = len(before.items or ()) == len(after.items or ())
        return same and all(map(steady, before.items or (), after.items or ()))
    return before.shape is not None and (before.shape, before.element) == (after.shape, after.element)


def from_outside(value: Value, ops: Sequence[Op]) -> Value:
    """Return what a body made whose operations are not counted, as if what the body read had come straight out of it."""
    inside, found = {op.name: op.inputs for op in ops}, list[str]()
    waiting = [*value.sources]
    while waiting:
        name = waiting.pop()
        waiting.extend(inside.pop(name)) if name in inside else found.append(name)
    known = {op.name for op in ops}
    return replace(value, data=None, sources=tuple(dict.fromkeys(name for name in found if name not in known)))


def times(ops: Sequence[Op], turns: int, counted: int = 1) -> list[Op] | None:
    """Return the operations of ``counted`` turns that are the same as those of ``turns``; ``None`` if no trace holds them."""
    counts = [op.count // counted * turns for op in ops]
    if max(counts, default=0) > MAX_COUNT:
        return None
    return [op.changed(count=count) for op, count in zip(ops, counts, strict=True)]


def put_together(ops: Sequence[Op], starts: Sequence[int]) -> tuple[list[Op], Callable[[Value], Value]]:
    """Return the operations with each turn that is as the one before counted there, and what renames their results.

    Args:
        ops: of all turns.
        starts: where each turn begins among them.
    """
    kept: list[list[Op]] = []
    names: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], len(ops)], strict=True):
        turn = [_renamed(op, names) for op in ops[start:end]]
        if kept and len(kept[-1]) == len(turn) and all(map(_alike, kept[-1], turn)):
            names.update({op.name: first.name for op, first in zip(turn, kept[-1], strict=True)})
            kept[-1] = [first.changed(count=first.count + op.count) for first, op in zip(kept[-1], turn, strict=True)]
        else:
            kept.append(turn)

    def renamed(value: Value) -> Value:
        items = None if value.items is None else tuple(map(renamed, value.items))
        return replace(value, sources=tuple(dict.fromkeys(names.get(name, name) for name in value.sources)), items=items)

    return [op for turn in kept for op in turn], renamed


def _renamed(op: Op, names: Mapping[str, str]) -> Op:
    return op.changed(inputs=tuple(dict.fromkeys(names.get(name, name) for name in op.inputs)))


def _alike(first: Op, op: Op) -> bool:
    """Whether two operations do the same to other numbers, with the same weight."""
    common: dict[str, Any] = {"name": first.name, "inputs": first.inputs}
    if isinstance(first, Memory) or isinstance(op, Memory):
        return isinstance(op, Memory) and op.changed(**common, count=first.count) == first
    has_weight = not isinstance(op, Gemm) or op.weight_operand is not None
    if has_weight and op.weight_of not in {first.name, first.weight_of} - {""}:
        return False
    return op.kind == first.kind and op.changed(**common, weight_of=first.weight_of, count=first.count) == first


def unchanged(body: onnx.GraphProto, names: Sequence[str], offset: int) -> set[int]:
    """Return which states each turn hands on as it got them, as exporters do with weights.

    Args:
        body: of the loop.
        names: of the states inside of it.
        offset: outputs of the body before the states.
    """
    same = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity" and node.input and node.output}
    found = set()
    for place, (name, entry) in enumerate(zip(names, body.output[offset:], strict=False)):
        origin = entry.name
        for _ in range(len(same)):
            origin = same.get(origin, origin)
        if origin == name:
            found.add(place)
    return found


class States:
    """What one turn hands to the next.

    Args:
        first: before the first turn.
        fixed: places of those that no turn changes, which stay weights where they are weights.
    """

    def __init__(self, first: Sequence[Value], fixed: Collection[int]) -> None:
        """Keep the first."""
        self.first, self._fixed = first, fixed

    def begin(self, known: bool = True) -> list[Value]:
        """Return the states as the first turn gets them; their values are ``known`` only where one turn is meant."""
        return self._handed(self.first, known)

    def split(self, results: Sequence[Value], known: bool = True) -> tuple[list[Value], list[Value]]:
        """Return the states after a turn, and what else it returned."""
        count = len(self.first)
        return self._handed(results[:count], known), [*results[count:]]

    def _handed(self, values: Sequence[Value], known: bool) -> list[Value]:
        handed = [self.first[place] if place in self._fixed else carried(value) for place, value in enumerate(values)]
        return [value if known or place in self._fixed else replace(value, data=None) for place, value in enumerate(handed)]


class Slices:
    """What a Scan goes along, cut into one slice for each turn.

    Args:
        values: the inputs it goes along.
        attributes: of the Scan; without axes the first of each.
    """

    def __init__(self, values: Sequence[Value], attributes: Mapping[str, Any]) -> None:
        """Find the axes."""
        axes = attributes.get("scan_input_axes") or [0] * len(values)
        self._values = [(value, axis % len(value.shape) if value.shape else 0) for value, axis in zip(values, axes, strict=True)]
        self._backwards = attributes.get("scan_input_directions") or [0] * len(values)

    @property
    def turns(self) -> int | None:
        """Length of the axis they share; ``None`` when it is not known."""
        lengths = {value.shape[axis] if value.shape else None for value, axis in self._values}
        return lengths.pop() if len(lengths) == 1 else None

    def at(self, place: int | None) -> list[Value]:
        """Return the slices of a turn; with ``None`` those of any turn."""
        return [self._slice(*pair, place, back) for pair, back in zip(self._values, self._backwards, strict=True)]

    @staticmethod
    def _slice(value: Value, axis: int, place: int | None, backwards: int) -> Value:
        if not value.shape:
            return Value(None, value.element)
        shape, strides = value.shape, value.strides or contiguous(value.shape)
        cut, steps = (*shape[:axis], *shape[axis + 1 :]), (*strides[:axis], *strides[axis + 1 :])
        index = None if place is None else shape[axis] - 1 - place if backwards else place
        data = None if value.data is None or index is None else np.take(value.data, index, axis)
        named = f"{value.parameter} [{index}]" if value.parameter and index is not None else ""
        plain = None if steps == contiguous(cut) else steps
        turn = "" if index is None or not value.is_constant else f"[{index}]"
        return replace(value, shape=cut, strides=plain, data=data, parameter=named, turn=turn)
