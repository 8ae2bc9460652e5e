"""Shapes of what the operators of ONNX Runtime's own domains return, which ONNX has no shape inference for.

One row for each, as ONNX Runtime's ``docs/ContribOperators.md`` states them. Operators that are standard ones with something
fused to them, or with their axes in another order, are in ``rewriting.py``; products are in ``products.py`` and ``layers.py``.
"""

from __future__ import annotations

from math import prod

import numpy as np

from stcsim.capture.onnx_import.known import Known, NotKnown, Rule
from stcsim.capture.onnx_import.products import multiplied
from stcsim.capture.onnx_import.values import Shape

Shapes = list[Shape | None]


def _like(*inputs: int) -> Rule:
    """Return the rule of an operator whose outputs have the shapes and types of these inputs."""
    return Rule(lambda known: [known.shape(index) for index in inputs], inputs)


def _broadcast(known: Known) -> Shapes:
    return [np.broadcast_shapes(known.shape(0), known.shape(1))]


def _skip_norm(known: Known) -> Shapes:
    shape = known.shape(0)
    mean = (*shape[:-1], 1)
    return [shape, mean, mean, shape]


def _embedding(known: Known) -> Shapes:
    ids, table = known.shape(0), known.shape(2, axes=2)
    summed = (*ids, table[1])
    return [summed, ids[:1], summed]


def _packed_qkv(known: Known) -> Shapes:
    (batch, tokens, _), (_, columns), heads = known.shape(0, axes=3), known.shape(1, axes=2), known.count("num_heads")
    widths = known.attributes.get("qkv_hidden_sizes", [columns // 3] * 3)
    past = known.shape(4, axes=5)[3] if known.has(4) else 0
    total = past if known.number("past_present_share_buffer", 0) else past + tokens
    return [(batch, tokens, widths[-1]), (2, batch, heads, total, widths[1] // heads)]


def _multi_head(known: Known) -> Shapes:
    queries, heads = known.shape(0), known.count("num_heads")
    batch, tokens = queries[:2]
    if len(queries) == 5:  # queries, keys and values in one: (batch, tokens, heads, 3, size)
        keys, size = tokens, queries[4]
        width = queries[2] * size
    elif not known.has(2):  # keys and values in one: (batch, tokens, heads, 2, size)
        _, keys, _, _, size = known.shape(1, axes=5)
        width = heads * size
    else:
        value = known.shape(2)
        keys, size = (value[1], value[2] // heads) if len(value) == 3 else (value[2], value[3])
        width = heads * size
    crossed = known.has(2) and len(known.shape(2)) == 4
    past = known.shape(6, axes=4)[2] if known.has(6) else 0
    total = past if crossed or known.has(8) else keys + past
    cache = (batch, heads, total or keys, size)
    return [(batch, tokens, width), cache, cache, (batch, heads, tokens, total or keys)]


def _grouped_query(known: Known) -> Shapes:
    (batch, tokens, width), heads, kv_heads = known.shape(0, axes=3), known.count("num_heads"), known.count("kv_num_heads")
    size = width // (heads if known.has(1) else heads + 2 * kv_heads)
    past = known.shape(3, axes=4)[2] if known.has(3) else 0
    cache = (batch, kv_heads, past + tokens, size)
    return [(batch, tokens, heads * size), cache, cache]


def _packed_tokens(known: Known) -> Shapes:
    (tokens, _), (_, columns) = known.shape(0, axes=2), known.shape(1, axes=2)
    return [(tokens, known.attributes.get("qkv_hidden_sizes", [columns // 3])[-1])]


def _packed_heads(known: Known) -> Shapes:
    queries = known.shape(0)
    return [(queries[0], queries[1] * queries[3])] if len(queries) == 4 else [(queries[0], known.shape(2, axes=2)[1])]


def _decoder(known: Known) -> Shapes:
    (tokens, batch, width), (others, *_), heads = known.shape(0, axes=3), known.shape(1, axes=3), known.count("num_heads")
    cache = (batch, heads, others, width // heads)
    return [(tokens, batch, width), cache, cache]


def _paged(known: Known) -> Shapes:
    width, heads = known.shape(0)[-1], known.count("num_heads")
    if not known.has(1):
        width = width // (heads + 2 * known.count("kv_num_heads")) * heads
    return [(*known.shape(0)[:-1], width), known.shape(3), known.shape(4) if known.has(4) else None]


def _linear_attention(known: Known) -> Shapes:
    (batch, tokens, _), (*_, values) = known.shape(0, axes=3), known.shape(2, axes=3)
    heads, kv_heads = known.count("q_num_heads"), known.count("kv_num_heads")
    keys = known.shape(1, axes=3)[2]
    return [(batch, tokens, max(heads, kv_heads) * (values // kv_heads)), (batch, kv_heads, keys // kv_heads, values // kv_heads)]


def _matmul(known: Known) -> Shapes:
    first, second = known.shape(0), known.shape(1)
    if len(first) == 1 or len(second) == 1:
        return [np.matmul(np.broadcast_to(np.int8(0), first), np.broadcast_to(np.int8(0), second)).shape]
    first, second = multiplied(first, known.attributes, "A"), multiplied(second, known.attributes, "B")
    return [(*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1])]


def _times(name: str) -> Rule:
    """Return the rule of a product whose columns an attribute counts."""
    return Rule(lambda known: [(*known.shape(0)[:-1], known.count(name))])


def _mlp(known: Known) -> Shapes:
    return [(*known.shape(0)[:-1], known.count("N")), known.shape(0)]


def _qkv(known: Known) -> Shapes:
    *rows, _ = known.shape(0)
    queries, keys = (*rows, known.count("Nq")), (*rows, known.count("Nkv"))
    return [queries, keys, keys, known.shape(0)]


def _rows_of_weight(known: Known) -> Shapes:
    return [(*known.shape(0)[:-1], known.shape(1, axes=2)[0])]


def _router(known: Known) -> Shapes:
    (*rows, _), columns, router = known.shape(0), known.shape(1, axes=2)[0], known.count("router_size")
    return [(*rows, router), (*rows, (columns - router) // 2)]


def _half(known: Known) -> Shapes:
    *rows, width = known.shape(0)
    return [(*rows, width if known.has(1) and known.shape(1) == known.shape(0) else width // 2)]


def _halved(known: Known) -> Shapes:
    *rows, width = known.shape(0)
    return [(*rows, width // 2)]


def _spectrum(known: Known) -> Shapes:
    *rows, points = known.shape(0)
    return [(*rows, points // 2 + 1 if known.number("onesided", 1) else points, 2)]


def _signal(known: Known) -> Shapes:
    *rows, points, _ = known.shape(0)
    return [(*rows, 2 * (points - 1) if known.number("onesided", 1) else points)]


def _distances(known: Known) -> Shapes:
    return [(known.shape(0, axes=2)[0], known.shape(1, axes=2)[0])]


def _position_bias(known: Known) -> Shapes:
    (queries,), (keys,) = known.numbers(1), known.numbers(2)
    return [(1, known.shape(0, axes=2)[1], queries, keys)]


def _gated_bias(known: Known) -> Shapes:
    batch = (known.shape(6, axes=2) if known.has(6) else known.shape(0))[0]
    return [(batch, *known.shape(2, axes=4)[1:])]


def _table(known: Known) -> Shapes:
    return [(*known.shape(1), *known.shape(0)[1:])]


def _quantized_table(known: Known) -> Shapes:
    data, indices = list(known.shape(0)), known.shape(1)
    value, bits = known.inputs[0], known.number("bits", 4)
    if value is not None and value.element == 2 and bits < 8:  # several in one byte
        data[-1] *= 8 // bits
    axis = known.number("gather_axis", 0) % len(data)
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def _cropped(known: Known) -> Shapes:
    rows, columns = known.numbers(3)
    return [(known.shape(1)[0], known.shape(0, axes=4)[1], rows, columns)]


def _unpadded(known: Known) -> Shapes:
    batch, tokens, *rest = known.shape(0)
    return [(batch * tokens, *rest), (batch, tokens), (batch + 1,), (1,)]


def _padded(known: Known) -> Shapes:
    return [(*known.shape(1, axes=2), *known.shape(0)[1:])]


def _expanded(known: Known) -> Shapes:
    shape, (axis,) = list(known.shape(0)), known.numbers(1)
    shape.insert(axis % (len(shape) + 1), 1)
    return [tuple(shape)]


def _unfolded(known: Known) -> Shapes:
    shape, size = list(known.shape(0)), known.count("size")
    axis = known.number("dim", -1) % len(shape)
    shape[axis] = (shape[axis] - size) // known.count("step", 1) + 1
    return [(*shape, size)]


def _reordered(known: Known) -> Shapes:
    batch, _, *size = known.shape(0)
    channels = known.count("channels")
    return [(batch, *size, channels) if known.number("channels_last", 0) else (batch, channels, *size)]


def _words(known: Known) -> Shapes:
    return [(*known.shape(0)[:-1], known.shape(1)[0])]


def _sizes_of(known: Known) -> Shapes:
    columns = known.numbers(2)[-1] if known.has(2) else 0
    if columns < 1 or not prod(known.shape(0)):
        raise NotKnown
    return [(*known.shape(0)[:-1], columns)]


_LIKE_FIRST = (
    "BiasAdd BiasDropout BiasGelu BiasSoftmax BitmaskBiasDropout BitmaskDropout BranchwiseRMSNorm CausalConvWithState FastGelu "
    "GatedAdd GatedRMSNorm Gelu GroupNorm HyperConnectionPreMix Inverse LinearAttentionGate LongformerAttention MRotaryEmbedding "
    "MoE MoEGroupRouter MoEPacked NGramRepeatBlock QMoE QOrderedAttention QOrderedGelu QOrderedLayerNormalization "
    "QOrderedLongformerAttention QuickGelu RotaryEmbedding ScaledSiLU SimplifiedLayerNormalization "
    "VarlenCausalConvWithState DecoderMaskedSelfAttention"
).split()

_ROWS: dict[str, Rule] = {
    **dict.fromkeys(_LIKE_FIRST, _like(0)),
    "Attention": Rule(_packed_qkv, (2, 2)),
    "BiasSplitGelu": Rule(_halved),
    "CDist": Rule(_distances),
    "ComplexMul": Rule(_broadcast),
    "ComplexMulConj": Rule(_broadcast),
    "CropAndResize": Rule(_cropped),
    "DecoderAttention": Rule(_decoder),
    "DynamicQuantizeMatMul": Rule(_matmul),
    "DynamicSparseAttention": Rule(_grouped_query),
    "EmbedLayerNormalization": Rule(_embedding, (2, "INT32", 2)),
    "ExpandDims": Rule(_expanded),
    "FusedMatMul": Rule(_matmul),
    "GatedRelativePositionBias": Rule(_gated_bias),
    "GatherBlockQuantized": Rule(_quantized_table, (2,)),
    "GemmaRotaryEmbedding": _like(1, 3),
    "GroupQueryAttention": Rule(_grouped_query),
    "Irfft": Rule(_signal),
    "LinearAttention": Rule(_linear_attention),
    "MatMulBlockQuantizedFp4Weight": Rule(_rows_of_weight),
    "MatMulBlockQuantizedFp8Weight": Rule(_rows_of_weight),
    "MatMulBnb4": _times("N"),
    "MatMulFpQ4": Rule(_sizes_of),
    "MatMulInteger16": Rule(_matmul, ("INT32",)),
    "MatMulIntegerToFloat": Rule(_matmul, (2,)),
    "MatMulNBits": _times("N"),
    "MatMulNBitsMlp": Rule(_mlp),
    "MatMulNBitsQLoRA": _times("N"),
    "MatMulNBitsQkv": Rule(_qkv),
    "MatMulPacked": _times("N"),
    "MulInteger": Rule(lambda known: [np.broadcast_shapes(known.shape(0), known.shape(2))], ("INT32",)),
    "MultiHeadAttention": Rule(_multi_head),
    "PackedAttention": Rule(_packed_tokens),
    "PackedMultiHeadAttention": Rule(_packed_heads),
    "PagedAttention": Rule(_paged),
    "QEmbedLayerNormalization": Rule(_embedding, (8, "INT32", 8)),
    "QOrderedMatMul": Rule(lambda known: [(*known.shape(0)[:-1], known.shape(2)[-1])]),
    "RelativePositionBias": Rule(_position_bias),
    "RemovePadding": Rule(_unpadded, (0, "INT32")),
    "RestorePadding": Rule(_padded),
    "Rfft": Rule(_spectrum),
    "RouterGateUpProj": Rule(_router),
    "SkipGroupNorm": _like(0, 0),
    "SkipLayerNormalization": Rule(_skip_norm),
    "SkipSimplifiedLayerNormalization": Rule(_skip_norm),
    "SparseAttention": Rule(_grouped_query),
    "SparsePagedAttention": Rule(_paged),
    "SparseToDenseMatMul": Rule(_matmul, (1,)),
    "SwiGLU": Rule(_half),
    "TorchEmbedding": Rule(_table),
    "UnfoldTensor": Rule(_unfolded),
    "WordConvEmbedding": Rule(_words, (1,)),
}

#: By operator, the domain in front; ONNX Runtime also writes some norms into ONNX's own domain.
CONTRIB: dict[str, Rule] = {
    **{f"com.microsoft.{name}": rule for name, rule in _ROWS.items()},
    **{name: _ROWS[name] for name in ("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization", "Inverse")},
    "com.microsoft.nchwc.ReorderOutput": Rule(_reordered),
}
