"""Shapes of the operators that most of a network is made of, where a line of arithmetic tells them.

ONNX's inference says the same (``tests`` hold every row against it over onnx's backend tests), but each question to it costs a
trip to another process. What does not fit a row here is asked there, and refused there.
"""

from __future__ import annotations

import numpy as np

from stcsim.capture.onnx_import.known import Known, NotKnown, Rule
from stcsim.capture.onnx_import.values import Shape

Shapes = list[Shape | None]


def _unary(known: Known) -> Shapes:
    return [known.shape(0)]


def _broadcast(known: Known) -> Shapes:
    if known.attributes:  # of old opsets, which say along which axis
        raise NotKnown
    return [np.broadcast_shapes(*(known.shape(index) for index in range(len(known.inputs))))]


def _matmul(known: Known) -> Shapes:
    first, second = known.shape(0), known.shape(1)
    if len(first) < 2 or len(second) < 2 or first[-1] != second[-2]:
        raise NotKnown
    return [(*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1])]


def _gemm(known: Known) -> Shapes:
    first, second = known.shape(0, axes=2), known.shape(1, axes=2)
    (rows, inner) = first[::-1] if known.number("transA", 0) else first
    (same, columns) = second[::-1] if known.number("transB", 0) else second
    if inner != same or (known.has(2) and np.broadcast_shapes(known.shape(2), (rows, columns)) != (rows, columns)):
        raise NotKnown
    return [(rows, columns)]


def _conv(known: Known) -> Shapes:
    (batch, channels, *size), (outputs, inner, *taps) = known.shape(0), known.shape(1)
    axes, ones = len(size), [1] * len(size)
    given = [known.attributes.get(name, ones) for name in ("strides", "dilations")]
    pads, said = known.attributes.get("pads", [0] * 2 * axes), known.attributes.get("kernel_shape", taps)
    automatic = known.attributes.get("auto_pad", b"NOTSET") != b"NOTSET"
    if automatic or not axes or len(pads) != 2 * axes or list(said) != taps or inner * known.number("group", 1) != channels:
        raise NotKnown
    shape = [batch, outputs]
    for length, tap, stride, dilation, before, after in zip(size, taps, *given, pads[:axes], pads[axes:], strict=True):
        shape.append((length + before + after - dilation * (tap - 1) - 1) // stride + 1)
    if min(*shape, *taps, *given[0], *given[1]) < 1 or min(pads) < 0:
        raise NotKnown
    return [tuple(shape)]


def _transpose(known: Known) -> Shapes:
    shape = known.shape(0)
    order = known.attributes.get("perm", range(len(shape))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise NotKnown
    return [tuple(shape[axis] for axis in order)]


def _pooled(known: Known) -> Shapes:
    batch, channels, first, *rest = known.shape(0)
    return [(batch, channels, *[1] * len([first, *rest]))]


def _concat(known: Known) -> Shapes:
    shapes = [known.shape(index) for index in range(len(known.inputs))]
    axis = _axis(known.number("axis"), len(shapes[0]))
    others = {(len(shape), shape[:axis], shape[axis + 1 :]) for shape in shapes}
    if len(others) != 1:
        raise NotKnown
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _gather(known: Known) -> Shapes:
    shape = known.shape(0)
    axis = _axis(known.number("axis", 0), len(shape))
    return [(*shape[:axis], *known.shape(1), *shape[axis + 1 :])]


def _unsqueeze(known: Known) -> Shapes:
    axes = known.numbers(1)
    shape, rank = [*known.shape(0)], len(known.shape(0)) + len(axes)
    for axis in sorted({_axis(axis, rank) for axis in axes}):
        shape.insert(axis, 1)
    if len(shape) != rank:
        raise NotKnown
    return [tuple(shape)]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise NotKnown
    return axis % rank


def _constant(known: Known) -> Shapes:
    if "value" not in known.attributes:  # a number or a list, of which the schema tells the type too
        raise NotKnown
    return [tuple(known.attributes["value"].dims)]


_UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Identity InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax Mish Neg Reciprocal Relu Round "
    "Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
).split()

#: What an operator with one output returns.
PLAIN: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, Rule(_unary)),
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"), Rule(_broadcast)),
    **dict.fromkeys(("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or"), Rule(_broadcast, ("BOOL",))),
    "Cast": Rule(_unary, ("@to",)),
    "Concat": Rule(_concat),
    "Constant": Rule(_constant, ("@value",)),
    "Conv": Rule(_conv),
    "Gather": Rule(_gather),
    "Gemm": Rule(_gemm),
    "GlobalAveragePool": Rule(_pooled),
    "GlobalMaxPool": Rule(_pooled),
    "MatMul": Rule(_matmul),
    "Transpose": Rule(_transpose),
    "Unsqueeze": Rule(_unsqueeze),
    "Where": Rule(_broadcast, (1,)),
}
