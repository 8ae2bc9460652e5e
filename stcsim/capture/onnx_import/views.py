"""Views of an ONNX value: operators that rename axes or cut pieces out without moving data, as strides tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stcsim.capture.onnx_import.node import Node
from stcsim.capture.onnx_import.values import Shape, Value

#: Same elements, same order; a dequantized integer is a number of the run's type, and so is one cast from float to float.
SAME = ("Identity", "Dropout", "DequantizeLinear", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze")

VIEWS = (*SAME, "Transpose", "Expand", "Slice", "Split", "Gather")


def views_of(node: Node) -> tuple[Value, ...] | None:
    """Return the outputs of ``node`` as views of its first input, or ``None`` when it is no view of it."""
    base = node.inputs[0] if node.inputs else None
    if node.operator not in VIEWS or base is None or base.shape is None:
        return None
    outputs = []
    for place, output in enumerate(node.outputs):
        if node.operator == "Dropout" and place > 0:  # a mask, which only training makes
            outputs.append(output)
            continue
        strides = None if output.shape is None else _strides(node, base, base.shape, output)
        if strides is None:
            return None
        plain = None if strides == contiguous(output.shape or ()) else strides
        whole = base.parameter if output.elements == base.elements else ""
        outputs.append(replace(output, sources=base.sources, strides=plain, parameter=whole))
    return tuple(outputs)


def scaled(node: Node) -> tuple[Value, ...] | None:
    """Return the output of ``node`` as its input, if all it does is to multiply by one number, or divide by it."""
    if node.operator not in ("Mul", "Div") or len(node.inputs) != 2:
        return None
    first, second = node.inputs
    if first is None or second is None:
        return None
    number, base = (first, second) if first.is_constant and node.operator == "Mul" else (second, first)
    (output,) = node.outputs
    if not number.is_constant or number.elements != 1 or base.shape is None or base.shape != output.shape:
        return None
    return (replace(base, data=None, parameter=""),)


def contiguous(shape: Shape) -> Shape:
    """Return the strides of an array in row-major order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def view_strides(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Return the strides that show an array as ``new`` without moving data, or ``None`` when there are none.

    Neighbouring axes that lie evenly in memory count as one run; ``new`` must cut each run into axes of its own.
    """
    if 0 in shape or 0 in new:
        return contiguous(new)
    runs: list[tuple[int, int]] = []  # (elements, distance)
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    found: list[int] = []
    left, step = 1, 1
    for size in reversed(new):
        if size == 1:
            found.append(step)
            continue
        if left == 1:
            if not runs:
                return None
            left, step = runs.pop()
        if left % size:
            return None
        found.append(step)
        left, step = left // size, step * size
    return tuple(reversed(found))


def _strides(node: Node, base: Value, shape: Shape, output: Value) -> Shape | None:
    """Return the strides of one output, or ``None`` when data must move."""
    strides, new = base.strides or contiguous(shape), output.shape or ()
    if node.operator in SAME:
        changes_kind = node.operator in ("Cast", "CastLike") and base.is_integer != output.is_integer
        return None if changes_kind else strides if new == shape else view_strides(shape, strides, new)
    if node.operator == "Transpose":
        return tuple(strides[axis] for axis in node.attribute("perm", range(len(shape))[::-1]))
    if node.operator == "Expand":
        padded = (1,) * (len(new) - len(shape)) + shape
        steps = (0,) * (len(new) - len(shape)) + strides
        return tuple(0 if old == 1 and size > 1 else step for size, old, step in zip(new, padded, steps, strict=True))
    if node.operator == "Gather":
        return _picked(node, strides, len(new))
    return _cut(node, strides)


def _picked(node: Node, strides: Shape, rank: int) -> Shape | None:
    """Return the strides after one constant index took an axis away; other look-ups move data."""
    index = node.input(1)
    if index is None or not index.is_constant or index.shape != () or rank != len(strides) - 1:
        return None
    axis = node.attribute("axis", 0) % len(strides)
    return strides[:axis] + strides[axis + 1 :]


def _cut(node: Node, strides: Shape) -> Shape:
    """Return the strides of a piece: those of the whole, times the step of a slice."""
    steps, axes = node.input(4), node.input(3)
    if node.operator != "Slice" or steps is None or steps.data is None:
        return strides
    chosen: Sequence[int] = range(len(strides)) if axes is None or axes.data is None else [int(axis) for axis in axes.data]
    found = list(strides)
    for axis, step in zip(chosen, steps.data, strict=False):
        found[axis] *= int(step)
    return tuple(found)
