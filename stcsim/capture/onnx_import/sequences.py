"""Sequences and optional values of ONNX graphs: lists of tensors, which are put together and taken apart without any work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from stcsim.capture.onnx_import.node import Node
from stcsim.capture.onnx_import.values import Shape, Value
from stcsim.capture.onnx_import.views import contiguous

UNKNOWN = Value(None)

MAX_ITEMS = 4096
"""Pieces that a tensor is cut into at most."""


def sequence_of(items: Sequence[Value]) -> Value:
    """Return a sequence of these tensors."""
    sources = tuple(dict.fromkeys(name for item in items for name in item.sources))
    return Value(None, items=tuple(items), sources=sources)


def scalar(number: int, element: int = TensorProto.INT64) -> Value:
    """Return one number that the file alone decides."""
    return Value((), element, data=np.asarray(number, bool if element == TensorProto.BOOL else np.int64), role="constant")


def _empty(_: Node) -> Value:
    return sequence_of([])


def _construct(node: Node) -> Value:
    return sequence_of([value for value in node.inputs if value is not None])


def _at(node: Node) -> Value:
    items, place = _items(node), _place(node.input(1))
    if items is None or not items:
        return UNKNOWN
    if place is not None:
        return items[place] if -len(items) <= place < len(items) else UNKNOWN
    first = replace(items[0], data=None, parameter="", sources=sequence_of(items).sources)
    return first if all((item.shape, item.element) == (first.shape, first.element) for item in items) else UNKNOWN


def _insert(node: Node) -> Value:
    items, value, place = _items(node), node.input(1), node.input(2)
    if items is None or value is None:
        return UNKNOWN
    at = len(items) if place is None else _place(place)
    return UNKNOWN if at is None else sequence_of([*items[:at], value, *items[at:]])


def _erase(node: Node) -> Value:
    items, place = _items(node), node.input(1)
    at = -1 if place is None else _place(place)
    if items is None or at is None or not -len(items) <= at < len(items):
        return UNKNOWN
    return sequence_of([item for index, item in enumerate(items) if index != at % len(items)])


def _length(node: Node) -> Value:
    items = _items(node)
    return Value((), TensorProto.INT64, role="index") if items is None else scalar(len(items))


def _split(node: Node) -> Value:
    """Return the pieces of a tensor, which are views of it."""
    base = node.input(0)
    if base is None or base.shape is None or not base.shape:
        return UNKNOWN
    axis = node.attribute("axis", 0) % len(base.shape)
    sizes = _piece_sizes(node.input(1), base.shape[axis])
    if sizes is None:
        return UNKNOWN
    drops = node.input(1) is None and not node.attribute("keepdims", 1)
    strides, items, start = base.strides or contiguous(base.shape), [], 0
    for size in sizes:
        shape = (*base.shape[:axis], *(() if drops else (size,)), *base.shape[axis + 1 :])
        steps = (*strides[:axis], *(() if drops else (strides[axis],)), *strides[axis + 1 :])
        data = None if base.data is None else np.take(base.data, range(start, start + size), axis).reshape(shape)
        plain = None if steps == contiguous(shape) else steps
        whole = f"{base.parameter} [{start}]" if base.parameter else ""
        items.append(replace(base, shape=shape, strides=plain, data=data, parameter=whole))
        start += size
    return sequence_of(items)


def _piece_sizes(split: Value | None, length: int) -> list[int] | None:
    """Return the lengths of the pieces of an axis, ``None`` when they depend on data, or there are too many."""
    if split is not None and split.data is None:
        return None
    if split is not None and split.data is not None and split.shape != ():
        return [int(size) for size in split.data]
    size = 1 if split is None or split.data is None else max(int(split.data), 1)
    if length > size * MAX_ITEMS:
        return None
    return [min(size, length - start) for start in range(0, length, size)]


def _passed(node: Node) -> Value:
    """Return what an optional value holds."""
    return node.input(0) or UNKNOWN


def _has(node: Node) -> Value:
    return scalar(int(node.input(0) is not None), TensorProto.BOOL)


def _items(node: Node) -> tuple[Value, ...] | None:
    value = node.input(0)
    return None if value is None else value.items


def _place(value: Value | None) -> int | None:
    return None if value is None or value.data is None or value.elements != 1 else int(value.data.item())


#: What each operator returns that makes, changes or reads a sequence or an optional value.
SEQUENCES: dict[str, Callable[[Node], Value]] = {
    "SequenceEmpty": _empty,
    "SequenceConstruct": _construct,
    "SequenceAt": _at,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceLength": _length,
    "SplitToSequence": _split,
    "Optional": _passed,
    "OptionalGetElement": _passed,
    "OptionalHasElement": _has,
}


def joined(node: Node) -> Node:
    """Return ConcatFromSequence as the Concat that it is, of items whose number is known; else with an output of no shape."""
    items, axis, stacks = _items(node), node.attribute("axis", 0), node.attribute("new_axis", 0)
    shapes = [item.shape for item in items or ()]
    if not items or None in shapes:
        return replace(node, operator="Concat", outputs=(UNKNOWN,))
    known = [shape for shape in shapes if shape is not None]
    roles = {item.role for item in items}
    role = "activation" if "activation" in roles else "index" if "index" in roles else "constant"
    output = Value(_joined_shape(known, axis, bool(stacks)), items[0].element, role=role)  # type: ignore[arg-type]
    if all(item.data is not None for item in items) and output.shape is not None:
        arrays = [item.data for item in items]
        output = replace(output, data=np.stack(arrays, axis) if stacks else np.concatenate(arrays, axis))
    return replace(node, operator="Concat", inputs=items, outputs=(output,))


def _joined_shape(shapes: Sequence[Shape], axis: int, stacks: bool) -> Shape | None:
    first = shapes[0]
    rank = len(first) + stacks
    if not rank or any(len(shape) != len(first) for shape in shapes):
        return None
    axis %= rank
    if stacks:
        return (*first[:axis], len(shapes), *first[axis:])
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
