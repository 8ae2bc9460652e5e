"""Mixtures of experts of ONNX Runtime: each token goes through the k experts that a router picks for it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.products import gemm
from stcsim.capture.onnx_import.values import UINT8, Value
from stcsim.trace import Conv2d, Gemm, Memory

Op = Gemm | Conv2d | Memory


def experts(first: int, second: int, third: int, bits: str = "") -> Callable[[Node], list[Op]]:
    """Return the reader of a mixture of experts whose tokens are taken to be spread evenly over all experts.

    Args:
        first, second, third: inputs with the weights that widen, narrow, and widen once more, where there is a gate; each of
            (experts, rows, columns).
        bits: of a weight, the attribute that tells them; several lie in one byte then.
    """

    def read(node: Node) -> list[Op]:
        (x, (*tokens, hidden)), picked = node.tensor(0), prod(node.tensor(0)[1][:-1]) * node.attribute("k", 1)
        count = node.tensor(first)[1][0]
        wide = _elements(node, first, bits) // hidden
        inner = _elements(node, second, bits) // hidden
        ops: list[Op] = []
        for index, part in ((first, "fc1"), (third, "fc3")):
            if node.input(index) is not None:
                ops += _grouped(node, node.tensor(index)[0], (wide, picked, hidden, count), sources(x, node.input(1)), part)
        ops.append(_step(node, "act", "silu", sum(op.output_elements for op in ops if isinstance(op, Gemm)), picked * inner, ops))
        narrow = _grouped(node, node.tensor(second)[0], (hidden, picked, inner, count), (ops[-1].name,), "fc2")
        whole = prod(tokens) * hidden
        return [*ops, *narrow, _step(node, "combine", "sum", picked * hidden, whole, narrow)]

    return read


def packed_experts(node: Node) -> list[Op]:
    """Return com.microsoft.MoEPacked, whose rows of weights are packed beyond recognition; their number is not."""
    (x, (*tokens, hidden)), (gate, (count, wide, _)) = node.tensor(0), node.tensor(2)
    picked, read = prod(tokens) * node.attribute("k", 1), sources(x, node.input(1))
    up, down = node.input(3), node.tensor(4)[0]
    ops: list[Op] = [*_grouped(node, gate, (wide, picked, hidden, count), read, "gate")]
    if up is not None:
        ops += _grouped(node, up, (wide, picked, hidden, count), read, "up")
    inner = wide if up is not None else wide // 2
    ops.append(_step(node, "act", "silu", len(ops) * wide * picked, picked * inner, ops))
    return [*ops, *_grouped(node, down, (hidden, picked, inner, count), (ops[-1].name,), "down")]


def _elements(node: Node, index: int, bits: str) -> int:
    """Return how many weights one expert has."""
    weight, (_, *shape) = node.tensor(index)
    if not bits or weight.element != UINT8:
        return prod(shape)
    own = {2: "fc1", 5: "fc2", 8: "fc3"}.get(index, "")
    size = node.attribute(f"{own}_{bits}", node.attribute(bits, 4)) or node.attribute(bits, 4)
    if size not in (1, 2, 4, 8):
        raise Unread(f"weights of {size} bits")
    return prod(shape) * (8 // int(size))


def _grouped(node: Node, weight: Value, sizes: tuple[int, int, int, int], read: tuple[str, ...], part: str) -> list[Gemm]:
    """Return (rows of a weight, tokens, inner size, experts) as products of as many tokens for each expert.

    Where they cannot be shared out evenly, some experts have one token more.
    """
    m, picked, k, count = sizes
    each, over = divmod(picked, count)
    more = gemm(node, (m, each + 1, k, over), weight, inputs=read, part=f"{part}.more" if each else part)
    return [*more, *gemm(node, (m, each, k, count - over), weight, inputs=read, part=part)]


def _step(node: Node, part: str, operator: str, read: int, written: int, behind: list[Op] | list[Gemm]) -> Memory:
    names = tuple(op.name for op in behind)
    return Memory(
        name=f"{node.name}.{part}",
        operator=operator,
        elements_read=read,
        elements_written=written,
        inputs=names,
        origin=node.origin,
    )


EXPERTS: dict[str, Callable[[Node], list[Op]]] = {
    "com.microsoft.MoE": experts(2, 4, 6),
    "com.microsoft.QMoE": experts(2, 5, 8, "expert_weight_bits"),
    "com.microsoft.MoEPacked": packed_experts,
}
