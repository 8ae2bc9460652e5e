"""Products that only ONNX Runtime's own operators write: several with one input, packed weights, distances, position gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from stcsim.capture.onnx_import.node import Node, sources
from stcsim.capture.onnx_import.products import gemm, matmul, product
from stcsim.trace import Gemm


def packed(weight_at: int, output: int = 0) -> Callable[[Node], list[Gemm]]:
    """Return the reader of a product whose weight is packed, so that its sizes are those of the input and of an output."""

    def read(node: Node) -> list[Gemm]:
        (a, shape), columns = node.tensor(0), node.output_shape(output)[-1]
        weight = replace(node.tensor(weight_at)[0], shape=None)
        return product(node, (a, (1, *shape) if len(shape) == 1 else shape), (weight, (shape[-1], columns)))

    return read


def several(parts: Sequence[tuple[str, int, str]]) -> Callable[[Node], list[Gemm]]:
    """Return the reader of products of one input with several packed weights.

    Args:
        parts: the name of each, the input that is its weight, and the attribute that counts its columns.
    """

    def read(node: Node) -> list[Gemm]:
        x, (*rows, inner) = node.tensor(0)
        found: list[Gemm] = []
        for part, at, columns in parts:
            sizes = (node.attribute(columns), prod(rows), inner, 1)
            found += gemm(node, sizes, node.tensor(at)[0], inputs=sources(x), part=part)
        return found

    return read


def adapted(node: Node) -> list[Gemm]:
    """Return com.microsoft.MatMulNBitsQLoRA: a packed weight, and beside it two narrow ones."""
    x, (*rows, inner) = node.tensor(0)
    columns, tokens, narrow = node.attribute("N"), prod(rows), node.tensor(4)[1][0]
    base = gemm(node, (columns, tokens, inner, 1), node.tensor(1)[0], inputs=sources(x))
    if 0 in node.tensor(3)[1]:  # an adapter that was emptied
        return base
    down = gemm(node, (narrow, tokens, inner, 1), node.tensor(3)[0], inputs=sources(x), part="lora_a")
    read = tuple(op.name for op in down)
    return [*base, *down, *gemm(node, (columns, tokens, narrow, 1), node.tensor(5)[0], inputs=read, part="lora_b")]


def transposed(node: Node) -> list[Gemm]:
    """Return a product of the rows of both inputs: com.microsoft.CDist, whose distances come out of it, and RouterGateUpProj."""
    (a, left), (b, (*batch, rows, inner)) = node.tensor(0), node.tensor(1)
    return product(node, (a, left), (b, (*batch, inner, rows)))


def position_gate(node: Node) -> list[Gemm]:
    """Return com.microsoft.GatedRelativePositionBias, which multiplies each head of the queries with one small matrix."""
    (queries, shape), (weight, (size, columns)) = node.tensor(0), node.tensor(3)
    return gemm(node, (columns, prod(shape) // size, size, 1), weight, inputs=sources(queries))


CONTRIB_PRODUCTS: dict[str, Callable[[Node], list[Gemm]]] = {
    "com.microsoft.CDist": transposed,
    "com.microsoft.GatedRelativePositionBias": position_gate,
    "com.microsoft.MatMulBlockQuantizedFp4Weight": packed(1),
    "com.microsoft.MatMulBlockQuantizedFp8Weight": packed(1),
    "com.microsoft.MatMulBnb4": packed(1),
    "com.microsoft.MatMulFpQ4": packed(1),
    "com.microsoft.MatMulInteger16": matmul(0, 1),
    "com.microsoft.MatMulNBits": packed(1),
    "com.microsoft.MatMulNBitsMlp": several([("gate", 3, "N"), ("up", 6, "N")]),
    "com.microsoft.MatMulNBitsQLoRA": adapted,
    "com.microsoft.MatMulNBitsQkv": several([("q", 3, "Nq"), ("k", 6, "Nkv"), ("v", 9, "Nkv")]),
    "com.microsoft.MatMulPacked": packed(1),
    "com.microsoft.QOrderedMatMul": matmul(0, 2),
    "com.microsoft.RouterGateUpProj": transposed,
}
