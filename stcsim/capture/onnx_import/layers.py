"""Layers that ONNX writes as one node and a GPU runs as several kernels: attention and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.products import gemm
from stcsim.capture.onnx_import.values import Shape, Value
from stcsim.trace import Conv2d, Gemm, Memory

Op = Gemm | Conv2d | Memory

#: Gates of each recurrent cell, states it reads, states it writes.
CELLS = {"LSTM": (4, 1, 2), "GRU": (3, 1, 1), "RNN": (1, 0, 1)}


def recurrent(node: Node) -> list[Op]:
    """Return each direction as one product for the inputs of all steps, and for each step one with the state, and the gates.

    All sequences are taken to be as long as the longest.
    """
    (x, (first, second, inner)), (w, _), (r, (directions, rows, hidden)) = node.tensor(0), node.tensor(1), node.tensor(2)
    steps, batch = (second, first) if node.attribute("layout", 0) else (first, second)
    gates, read, written = CELLS[node.operator]
    ops: list[Op] = []
    for direction in ("", "reverse.")[:directions]:
        sizes = (rows, steps * batch, inner, 1)
        ahead = gemm(node, sizes, _of(w, direction), inputs=sources(x, w), part=f"{direction}input")
        state = gemm(
            node, (rows, batch, hidden, 1), _of(r, direction), inputs=sources(r), part=f"{direction}recurrent", count=steps
        )
        if not ahead or not state:
            return []
        cell = Memory(
            name=f"{node.name}.{direction}cell",
            operator=f"{node.operator.lower()}_cell",
            elements_read=(2 * gates + read) * batch * hidden,
            elements_written=written * batch * hidden,
            inputs=(state[0].name, ahead[0].name),
            count=steps,
            origin=node.origin,
        )
        ops += [*ahead, *state, cell]
    return ops


def interleaved(node: Node, value: Value) -> Value:
    """Return an output; that of all steps of a recurrent layer has both directions beside each other for each step."""
    if node.operator not in CELLS or value.shape is None or len(value.shape) != 4 or node.attribute("layout", 0):
        return value
    _, directions, batch, hidden = value.shape
    return replace(value, strides=(batch * directions * hidden, hidden, directions * hidden, 1))


def _of(weight: Value, direction: str) -> Value:
    """Return the part of a stored tensor that belongs to one direction."""
    return replace(weight, parameter=weight.parameter and f"{weight.parameter} {direction}")


def attention(node: Node) -> list[Op]:
    """Return ONNX's Attention: queries, keys and values of (batch, heads, tokens, size), or (batch, tokens, heads x size)."""
    (q, queries), (k, keys), (v, values) = node.tensor(0), node.tensor(1), node.tensor(2)
    heads, kv_heads = node.attribute("q_num_heads", 0), node.attribute("kv_num_heads", 0)
    past = node.input(4)
    cached = past.shape[2] if past is not None and past.shape is not None else 0
    shapes = heads_of(queries, heads), heads_of(keys, kv_heads), heads_of(values, kv_heads)
    return attend(node, shapes, cached, (sources(q, k), sources(v)), node.input(3))


def attend(
    node: Node, shapes: Sequence[Shape], cached: int, read: tuple[tuple[str, ...], tuple[str, ...]], mask: Value | None = None
) -> list[Op]:
    """Return the two products of attention and the softmax between.

    A single query row for each head, as in decoding, is stacked with those of the heads that share its keys.

    Args:
        node: where the names come from.
        shapes: of queries, keys and values: (batch, heads, tokens, size).
        cached: tokens whose keys and values were there before.
        read: operations that computed queries and keys, and those that computed values.
        mask: what is added before the softmax, if anything.
    """
    (batch, heads, rows, size), keys, values = shapes
    tokens, kernels = keys[2] + cached, batch * heads
    if rows == 1 and heads % keys[1] == 0:
        rows, kernels = heads // keys[1], batch * keys[1]
    scores = gemm(node, (rows, tokens, size, kernels), inputs=read[0], part="qk")
    if not scores:
        return []
    softmax = Memory(
        name=f"{node.name}.softmax",
        operator="softmax",
        elements_read=scores[0].output_elements + (0 if mask is None or mask.is_integer else mask.distinct),
        elements_written=scores[0].output_elements,
        inputs=(scores[0].name,),
        origin=node.origin,
    )
    return [*scores, softmax, *gemm(node, (rows, values[3], tokens, kernels), inputs=(softmax.name, *read[1]), part="pv")]


def heads_of(shape: Shape, heads: int) -> Shape:
    """Return (batch, heads, tokens, size) of a shape that may have heads and sizes in one axis.

    Raises:
        Unread: when it cannot be of that many heads.
    """
    if len(shape) == 4:
        return shape
    if len(shape) != 3 or not heads or shape[2] % heads:
        raise Unread(f"{heads} heads in {'x'.join(map(str, shape))}")
    return shape[0], heads, shape[1], shape[2] // heads


LAYERS: dict[str, Callable[[Node], list[Op]]] = {
    "LSTM": recurrent,
    "GRU": recurrent,
    "RNN": recurrent,
    "Attention": attention,
}
