"""Steps of ONNX graphs that move data and hardly compute: element-wise, norm, softmax, pooling, look-up, copy."""

from __future__ import annotations

import re
from math import prod

from stcsim.capture.onnx_import.node import Node, sources
from stcsim.capture.onnx_import.values import Value
from stcsim.trace import Memory

#: The field's word for what an operator does, where it is not the operator's name in small letters.
WORDS = {
    "ArgMax": "argmax",
    "ArgMin": "argmin",
    "AveragePool": "avg_pool",
    "BatchNormalization": "batch_norm",
    "BiasAdd": "add",
    "BiasDropout": "add",
    "BiasGelu": "gelu",
    "BiasSoftmax": "softmax",
    "BiasSplitGelu": "gelu",
    "Cast": "cast",
    "CastLike": "cast",
    "Clip": "clamp",
    "Concat": "cat",
    "CumSum": "cumsum",
    "DepthToSpace": "pixel_shuffle",
    "DynamicQuantizeLinear": "quantize",
    "Einsum": "mul",
    "EmbedLayerNormalization": "embedding",
    "Expand": "copy",
    "FastGelu": "gelu",
    "Flatten": "copy",
    "Gather": "index_select",
    "GatherBlockQuantized": "embedding",
    "GatherElements": "gather",
    "GatherND": "index",
    "GlobalAveragePool": "avg_pool",
    "GlobalMaxPool": "max_pool",
    "GroupNorm": "group_norm",
    "GroupNormalization": "group_norm",
    "HardSigmoid": "hardsigmoid",
    "HardSwish": "hardswish",
    "InstanceNormalization": "instance_norm",
    "LRN": "local_response_norm",
    "LayerNormalization": "layer_norm",
    "LogSoftmax": "log_softmax",
    "LpNormalization": "norm",
    "Max": "maximum",
    "MaxPool": "max_pool",
    "Mean": "mean",
    "Min": "minimum",
    "OneHot": "one_hot",
    "PRelu": "prelu",
    "QEmbedLayerNormalization": "embedding",
    "QuantizeLinear": "cast",
    "QuickGelu": "silu",
    "RMSNormalization": "rms_norm",
    "ReduceL2": "norm",
    "ReduceMax": "amax",
    "ReduceMean": "mean",
    "ReduceMin": "amin",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReorderOutput": "copy",
    "Reshape": "copy",
    "Resize": "upsample",
    "RotaryEmbedding": "rope",
    "MRotaryEmbedding": "rope",
    "ScatterElements": "scatter",
    "ScatterND": "index_put",
    "SimplifiedLayerNormalization": "rms_norm",
    "SkipGroupNorm": "group_norm",
    "SkipLayerNormalization": "layer_norm",
    "SkipSimplifiedLayerNormalization": "rms_norm",
    "SpaceToDepth": "pixel_unshuffle",
    "Squeeze": "copy",
    "Sum": "add",
    "Swish": "silu",
    "Tile": "copy",
    "TopK": "topk",
    "TorchEmbedding": "embedding",
    "Transpose": "copy",
    "Unsqueeze": "copy",
    "Upsample": "upsample",
}

#: Operators whose name in small letters is the word: those of numpy and torch.
PLAIN = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Ceil Celu Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual "
    "Identity LeakyRelu Less LessOrEqual Log Mish Mod Mul Neg NonZero Not Or Pad Pow Reciprocal Relu Round Selu "
    "Sigmoid Sign Sin Sinh Softmax Softplus Softsign Split Slice Sqrt Sub Tan Tanh ThresholdedRelu Trilu Where Xor "
    "GridSample RoiAlign MaxRoiAlign NonMaxSuppression MeanVarianceNormalization ReduceL1 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare"
).split()

#: Look-ups read of their first input only what they return.
LOOKUPS = (
    *("Gather", "GatherElements", "GatherND", "EmbedLayerNormalization", "QEmbedLayerNormalization"),
    *("GatherBlockQuantized", "TorchEmbedding"),
)

#: The other inputs of these are sizes and factors.
RESIZES = ("Resize", "Upsample")

#: Writes into an array in place: what is written is the last input.
SCATTERS = ("ScatterND", "ScatterElements")


def word(node: Node) -> str:
    """Return what a step is called in a trace: ``"add"``; its ONNX name where there is no word for it."""
    name = node.operator.rpartition(".")[2]
    if name == "ReduceMean" and _axes(node) == {2, 3}:  # what exporters make of global pooling
        return "avg_pool"
    if name in PLAIN:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return WORDS.get(name, name)


def memory_step(node: Node) -> Memory | None:
    """Return the step a node is, or ``None`` when its sizes depend on data or it moves nothing."""
    name, operator = node.operator.rpartition(".")[2], word(node)
    inputs = list({id(value): value for value in node.inputs if value is not None}.values())  # a square reads its operand once
    activations = [value for value in inputs if value.role == "activation" or (value.role == "index" and not value.is_integer)]
    results = [value for value in node.outputs if not value.is_integer] or node.outputs
    written, constants = sum(value.elements for value in results), 0
    if name in LOOKUPS:
        read = written
        operator = "embedding" if name == "Gather" and inputs[0].is_constant else operator
    elif name in SCATTERS:
        read = written = inputs[-1].elements
    elif name in RESIZES:
        read = inputs[0].distinct
    else:
        read = sum(value.distinct for value in activations)
        constants = sum(value.elements for value in inputs if _is_parameter(value))
    if read + written == 0 or any(value.shape is None for value in (*activations, *results)):
        return None
    return Memory(
        name=node.name,
        operator=operator,
        elements_read=read,
        elements_written=written,
        constant_elements=constants,
        inputs=sources(*node.inputs),
        origin=node.origin,
    )


def _axes(node: Node) -> set[int]:
    """Return the axes of images that a reduction goes over, counted from the front; none of other values."""
    value, given = node.input(0), node.input(1)
    if value is None or value.shape is None or len(value.shape) != 4:
        return set()
    axes = node.attribute("axes", ()) if given is None or given.data is None else given.data
    return {int(axis) % 4 for axis in axes}


def _is_parameter(value: Value) -> bool:
    """Whether a constant is read from memory: not one number, and no sizes or axes."""
    return value.is_constant and not value.is_integer and prod(value.shape or ()) > 1
