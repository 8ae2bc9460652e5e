"""Matrix products of ONNX graphs as GEMMs: MatMul and Gemm with their integer forms.

D[m x n] = A[m x k] . B[k x n] with the weight as A: a product with the weight on its right is read transposed, as in every
linear layer. What no operation can be made of raises ``Unread``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod

import numpy as np

from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.values import Shape, Value
from stcsim.trace import Conv2d, Gemm

Product = Gemm | Conv2d


def product(node: Node, left: tuple[Value, Shape], right: tuple[Value, Shape], extra: Value | None = None) -> list[Gemm]:
    """Return left . right, each one matrix or a batch of them, broadcast as ``numpy.matmul`` does.

    Args:
        node: where the name comes from.
        left, right: the operands, each with its shape as multiplied: [..., rows, inner] and [..., inner, columns].
        extra: what is added to the product on the way.

    Raises:
        Unread: when the inner sizes differ.
    """
    (a, (*a_batch, rows, inner)), (b, (*b_batch, b_inner, columns)) = left, right
    if inner != b_inner:
        raise Unread(f"inner sizes {inner} and {b_inner}")
    batch = prod(np.broadcast_shapes(tuple(a_batch), tuple(b_batch)))
    read = sources(a, b, extra)
    if b.is_constant:
        return _weighted(node, b, (columns, rows, inner, batch), prod(b_batch), read)
    if a.is_constant:
        return _weighted(node, a, (rows, columns, inner, batch), prod(a_batch), read)
    if prod(b_batch) == 1:  # one right factor for all: its batch is rows
        return gemm(node, (rows * batch, columns, inner, 1), inputs=read)
    if prod(a_batch) == 1:
        return gemm(node, (rows, columns * batch, inner, 1), inputs=read)
    return gemm(node, (rows, columns, inner, batch), inputs=read)


def _weighted(node: Node, weight: Value, sizes: tuple[int, int, int, int], matrices: int, read: tuple[str, ...]) -> list[Gemm]:
    """Return a product with a weight; one that is the same for the whole batch is one GEMM with more columns."""
    m, n, k, batch = sizes
    distinct = weight.distinct // max(m * k, 1) or matrices
    if distinct and batch % distinct == 0:
        n, batch = n * (batch // distinct), distinct
    return gemm(node, (m, n, k, batch), weight, inputs=read)


def gemm(
    node: Node,
    sizes: tuple[int, int, int, int],
    weight: Value | None = None,
    *,
    inputs: tuple[str, ...],
    part: str = "",
    count: int = 1,
) -> list[Gemm]:
    """Return the operation of (m, n, k, batch), or none for an empty product, which launches nothing.

    An operand that is no constant is no weight. ``weight_of`` is the parameter's name until the whole graph is known.
    """
    m, n, k, batch = sizes
    if min(m, n, k, batch, count) < 1:
        return []
    has_weight = weight is not None and weight.is_constant
    return [
        Gemm(
            name=f"{node.name}.{part}" if part else node.name,
            m=m,
            n=n,
            k=k,
            batch=batch,
            weight_operand="a" if has_weight else None,
            weight_of=weight.parameter if weight is not None and has_weight else "",
            inputs=inputs,
            count=count,
            origin=node.origin,
        )
    ]


def matmul(first: int, second: int) -> Callable[[Node], list[Gemm]]:
    """Return the reader of a matrix product whose factors are these inputs."""

    def read(node: Node) -> list[Gemm]:
        (a, left), (b, right) = node.tensor(first), node.tensor(second)
        left = (1, *left) if len(left) == 1 else left
        right = (*right, 1) if len(right) == 1 else right
        left, right = (multiplied(shape, node.attributes, side) for shape, side in ((left, "A"), (right, "B")))
        return product(node, (a, left), (b, right))

    return read


def multiplied(shape: Shape, attributes: Mapping[str, object], side: str) -> Shape:
    """Return a factor's shape as it is multiplied: com.microsoft.FusedMatMul may have its axes in another order.

    ``transBatchA`` says that the rows come first, ``transA`` that the last two axes change places; B alike.
    """
    if attributes.get(f"transBatch{side}") and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if attributes.get(f"trans{side}") else shape


def linear(node: Node) -> list[Gemm]:
    """Return a Gemm node, whose bias is added by the same kernel."""
    (a, left), (b, right) = node.tensor(0), node.tensor(1)
    left = left[::-1] if node.attribute("transA", 0) else left
    right = right[::-1] if node.attribute("transB", 0) else right
    return product(node, (a, left), (b, right), node.input(2))


#: Reader of each operator that is one matrix product.
PRODUCTS: dict[str, Callable[[Node], Iterable[Product]]] = {
    "MatMul": matmul(0, 1),
    "Gemm": linear,
    "MatMulInteger": matmul(0, 1),
    "QLinearMatMul": matmul(0, 3),
    "com.microsoft.FusedMatMul": matmul(0, 1),
    "com.microsoft.DynamicQuantizeMatMul": matmul(0, 1),
    "com.microsoft.MatMulIntegerToFloat": matmul(0, 1),
}
