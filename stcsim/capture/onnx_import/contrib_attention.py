"""Attention as ONNX Runtime's own operators write it: packed, grouped, with a cache, with the projections inside."""

from __future__ import annotations

from collections.abc import Callable

from stcsim.capture.onnx_import.layers import Op, attend, heads_of
from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.products import gemm
from stcsim.capture.onnx_import.values import Shape


def multi_head_attention(node: Node) -> list[Op]:
    """Return com.microsoft.MultiHeadAttention, its queries, keys and values apart or packed, its keys new or from a cache.

    Raises:
        Unread: shapes that are not known, or not of that many heads.
    """
    heads, (q, queries) = node.attribute("num_heads"), node.tensor(0)
    k, v = node.input(1), node.input(2)
    if len(queries) == 5:
        whole = _unpacked(queries)
        shapes = whole, whole, whole
    elif k is not None and k.shape is not None and len(k.shape) == 5:
        shapes = heads_of(queries, heads), _unpacked(k.shape), _unpacked(k.shape)
    else:
        shapes = heads_of(queries, heads), heads_of(node.tensor(1)[1], heads), heads_of(node.tensor(2)[1], heads)
    values = v if v is not None else k if k is not None else q
    return attend(node, shapes, cached(node, 6, 8, shapes[1][2]), (sources(q, k), sources(values)), node.input(5))


def _unpacked(shape: Shape) -> Shape:
    """Return (batch, heads, tokens, size) of (batch, tokens, heads, 2 or 3, size)."""
    batch, tokens, heads, _, size = shape
    return batch, heads, tokens, size


def cached(node: Node, past: int, length: int, tokens: int) -> int:
    """Return how many tokens were there before: what a cache holds, or what a length says of one that has room for more.

    Args:
        node: with a cache of (..., tokens, size), or without.
        past: input that is the cache.
        length: input that counts the tokens in it; a cache that has one has room for the new ``tokens`` too.
        tokens: new ones.
    """
    if node.input(past) is None:
        return 0
    holds, counted = node.tensor(past)[1][-2], node.input(length)
    if counted is None:
        return holds
    return int(counted.data.reshape(-1)[0]) if counted.data is not None else max(holds - tokens, 0)


def grouped_query_attention(node: Node) -> list[Op]:
    """Return com.microsoft.GroupQueryAttention over everything its cache holds and the new tokens."""
    (q, (batch, tokens, width)), heads, kv_heads = node.tensor(0), node.attribute("num_heads"), node.attribute("kv_num_heads")
    size = width // heads if node.input(1) is not None else width // (heads + 2 * kv_heads)
    total = node.input(6)
    known = total is not None and total.data is not None and node.input(3) is not None
    before = max(int(total.data.reshape(-1)[0]) - tokens, 0) if known and total is not None else _held(node)
    keys = (batch, kv_heads, tokens, size)
    shapes = (batch, heads, tokens, size), keys, keys
    return attend(node, shapes, before, (sources(q, node.input(1)), sources(node.input(2) or q)))


def _held(node: Node) -> int:
    past = node.input(3)
    return 0 if past is None or past.shape is None else past.shape[2]


def projected_attention(node: Node) -> list[Op]:
    """Return com.microsoft.Attention: one product for queries, keys and values, then attention."""
    (x, (batch, tokens, inner)), (w, (_, columns)), heads = node.tensor(0), node.tensor(1), node.attribute("num_heads")
    widths = node.attribute("qkv_hidden_sizes", [columns // 3] * 3)
    ahead = gemm(node, (columns, batch * tokens, inner, 1), w, inputs=sources(x, w), part="qkv")
    if node.input(4) is None:
        before = 0
    else:
        room = node.attribute("past_present_share_buffer", 0)
        before = cached(node, 4, 6, tokens) if not room or node.input(6) is not None else max(node.tensor(4)[1][3] - tokens, 0)
    q, k, v = (heads_of((batch, tokens, width), heads) for width in widths)
    read = tuple(op.name for op in ahead)
    return [*ahead, *attend(node, (q, k, v), before, (read, read), node.input(5))]


def packed_attention(node: Node) -> list[Op]:
    """Return com.microsoft.PackedAttention: tokens without padding are projected, and attend as if all sequences were full."""
    (x, (rows, inner)), (w, (_, columns)), heads = node.tensor(0), node.tensor(1), node.attribute("num_heads")
    _, (batch, tokens) = node.tensor(3)
    widths = node.attribute("qkv_hidden_sizes", [columns // 3] * 3)
    ahead = gemm(node, (columns, rows, inner, 1), w, inputs=sources(x, w), part="qkv")
    q, k, v = (heads_of((batch, tokens, width), heads) for width in widths)
    read = tuple(op.name for op in ahead)
    return [*ahead, *attend(node, (q, k, v), 0, (read, read), node.input(5))]


def packed_multi_head_attention(node: Node) -> list[Op]:
    """Return com.microsoft.PackedMultiHeadAttention, all sequences taken to be full."""
    (q, queries), heads, (_, (batch, tokens)) = node.tensor(0), node.attribute("num_heads"), node.tensor(4)
    if len(queries) == 4:
        whole = (batch, queries[1], tokens, queries[3])
        return attend(node, (whole, whole, whole), 0, (sources(q), sources(q)), node.input(6))
    (k, keys), (v, values) = node.tensor(1), node.tensor(2)
    shapes = tuple(heads_of((batch, tokens, shape[1]), heads) for shape in (queries, keys, values))
    return attend(node, shapes, 0, (sources(q, k), sources(v)), node.input(6))


def ordered_attention(node: Node) -> list[Op]:
    """Return com.microsoft.QOrderedAttention: three products for queries, keys and values, then attention.

    Raises:
        Unread: a cache, whose layout is not told.
    """
    x, (batch, tokens, inner) = node.tensor(0)
    if node.input(18) is not None:
        raise Unread("a cache of 8-bit numbers")
    heads, ahead, shapes = node.attribute("num_heads"), [], []
    for part, place in (("q", 5), ("k", 6), ("v", 7)):
        weight, (_, columns) = node.tensor(place)
        ahead += gemm(node, (columns, batch * tokens, inner, 1), weight, inputs=sources(x), part=part)
        shapes.append(heads_of((batch, tokens, columns), heads))
    names = tuple(op.name for op in ahead)
    return [*ahead, *attend(node, shapes, 0, (names[:2], names[2:]))]


CONTRIB_ATTENTION: dict[str, Callable[[Node], list[Op]]] = {
    "com.microsoft.Attention": projected_attention,
    "com.microsoft.GroupQueryAttention": grouped_query_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
    "com.microsoft.PackedAttention": packed_attention,
    "com.microsoft.PackedMultiHeadAttention": packed_multi_head_attention,
    "com.microsoft.QOrderedAttention": ordered_attention,
}
