"""Operators of ONNX Runtime's own domain, com.microsoft, which ONNX has no shape inference for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from stcsim.capture.onnx_import.values import Shape, Value

DOMAIN = "com.microsoft"

#: A standard operator that does the same, and which inputs it reads (all by default): scales and zero points are left out.
SAME_AS: dict[str, tuple[str, Sequence[int] | slice]] = {
    "FusedConv": ("Conv", slice(None)),
    "FusedGemm": ("Gemm", slice(None)),
    "Gelu": ("Gelu", slice(None)),
    "QGemm": ("Gemm", (0, 3, 6)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearSigmoid": ("Sigmoid", (0,)),
    "QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "DequantizeLinear": ("DequantizeLinear", slice(None)),
    "QuantizeLinear": ("QuantizeLinear", slice(None)),
}

#: Operators whose first output has the shape of the first input.
LIKE_FIRST = (
    "BiasGelu", "FastGelu", "QuickGelu", "SkipLayerNormalization", "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization", "RotaryEmbedding", "GroupNorm", "SkipGroupNorm",
)  # fmt: skip

Inputs = Sequence[Value | None]


def as_standard(node: NodeProto) -> NodeProto:
    """Return the standard node that does the same as one of com.microsoft, or ``node`` itself."""
    if node.domain != DOMAIN or node.op_type not in SAME_AS:
        return node
    operator, chosen = SAME_AS[node.op_type]
    names = list(node.input)
    inputs = names[chosen] if isinstance(chosen, slice) else [names[index] for index in chosen if index < len(names)]
    return NodeProto(
        op_type=operator,
        name=node.name,
        input=inputs,
        output=node.output,
        attribute=node.attribute,
        metadata_props=node.metadata_props,
    )


def contrib_shapes(operator: str, attributes: Mapping[str, Any], inputs: Inputs) -> list[Shape]:
    """Return the shapes of the first outputs of an operator that ONNX has no schema of; none when they are not known."""
    first = inputs[0].shape if inputs and inputs[0] is not None else None
    if first is None:
        return []
    if operator in LIKE_FIRST:
        return [first]
    if operator in _SHAPES:
        return _SHAPES[operator](attributes, inputs, first)
    return []


def _packed_attention(attributes: Mapping[str, Any], inputs: Inputs, first: Shape) -> list[Shape]:
    weight = _shape(inputs, 1)
    if weight is None:
        return []
    return [(*first[:2], attributes.get("qkv_hidden_sizes", [weight[1] // 3])[-1])]


def _multi_head(_: Mapping[str, Any], inputs: Inputs, first: Shape) -> list[Shape]:
    values = _shape(inputs, 2)
    return [] if values is None or len(values) != 3 else [(*first[:2], values[2])]


def _grouped_query(attributes: Mapping[str, Any], inputs: Inputs, first: Shape) -> list[Shape]:
    heads, kv_heads, past = attributes["num_heads"], attributes["kv_num_heads"], _shape(inputs, 3)
    size = first[2] // (heads if _shape(inputs, 1) is not None else heads + 2 * kv_heads)
    cache = (first[0], kv_heads, first[1] + (past[2] if past is not None else 0), size)
    return [(*first[:2], heads * size), cache, cache]


def _matmul(attributes: Mapping[str, Any], inputs: Inputs, first: Shape) -> list[Shape]:
    second = _shape(inputs, 1)
    if second is None or len(first) < 2 or len(second) < 2:
        return []
    rows = first[-1] if attributes.get("transA") else first[-2]
    columns = second[-2] if attributes.get("transB") else second[-1]
    return [(*np.broadcast_shapes(first[:-2], second[:-2]), rows, columns)]


def _embedding(_: Mapping[str, Any], inputs: Inputs, first: Shape) -> list[Shape]:
    table = _shape(inputs, 2)
    return [] if table is None else [(*first, table[1]), first[:1]]


def _packed_weight(attributes: Mapping[str, Any], _: Inputs, first: Shape) -> list[Shape]:
    return [(*first[:-1], attributes["N"])]


def _shape(inputs: Inputs, index: int) -> Shape | None:
    value = inputs[index] if index < len(inputs) else None
    return None if value is None else value.shape


_SHAPES: dict[str, Callable[[Mapping[str, Any], Inputs, Shape], list[Shape]]] = {
    "Attention": _packed_attention,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _grouped_query,
    "FusedMatMul": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "EmbedLayerNormalization": _embedding,
    "MatMulIntegerToFloat": _matmul,
    "MatMulNBits": _packed_weight,
}
