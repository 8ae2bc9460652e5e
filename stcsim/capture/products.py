"""Reads the products of a running network: which operators multiply, and the GEMMs and convolutions they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import torch

from stcsim.capture.attention import attention
from stcsim.capture.convolutions import convolution
from stcsim.capture.drafts import Call, Draft, gemm
from stcsim.capture.recurrent import recurrent_layers
from stcsim.capture.storages import Storages
from stcsim.trace.ops import spread

#: Position of the first factor among the arguments of each product of two tensors.
FACTORS = {
    "mm": 0,
    "bmm": 0,
    "mv": 0,
    "dot": 0,
    "vdot": 0,
    "matmul": 0,
    "linear": 0,
    "addmm": 1,
    "_addmm_activation": 1,
    "baddbmm": 1,
    "addmv": 1,
    "_int_mm": 0,
    "_scaled_mm": 0,
}


def read_product(call: Call) -> list[Draft] | None:
    """Return the operations an operator is, none for an empty product, or ``None`` when it cannot be read."""
    reader = READERS.get(call.operator)
    return reader(call) if reader else None


def _two_factors(call: Call) -> list[Draft]:
    """Return left . right, broadcast as by ``torch.matmul``, transposed when the weight stands on the right."""
    first = FACTORS[call.operator]
    left, right = call.args[first : first + 2]
    others = [each for place, each in enumerate(call.args) if place not in (first, first + 1) and isinstance(each, torch.Tensor)]
    if call.operator == "linear" and right.dim() > 1:
        right = right.t()
    rows, inner = (left.shape[-2] if left.dim() > 1 else 1), left.shape[-1]
    columns = right.shape[-1] if right.dim() > 1 else 1
    batch = prod(torch.broadcast_shapes(left.shape[:-2], right.shape[:-2]))
    if min(rows, columns, inner, batch) < 1:
        return []
    if call.storages.is_weight(right):
        return [_weighted(call.storages, right, (columns, rows, inner, batch), [left, *others])]
    if call.storages.is_weight(left):
        return [_weighted(call.storages, left, (rows, columns, inner, batch), [right, *others])]
    if right.dim() <= 2:  # one matrix for the whole batch
        rows, batch = rows * batch, 1
    elif left.dim() <= 2:
        columns, batch = columns * batch, 1
    return [gemm((rows, columns, inner, batch), [left, right, *others])]


def _weighted(storages: Storages, weight: torch.Tensor, sizes: tuple[int, int, int, int], reads: Sequence[torch.Tensor]) -> Draft:
    """Return a product with a weight; one expanded over the batch is one GEMM with more columns."""
    m, n, k, batch = sizes
    shared = batch * m * k // max(1, storages.distinct(weight))
    if shared and batch % shared == 0:
        batch, n = batch // shared, n * shared
    return gemm((m, n, k, batch), reads, weight)


def _experts(call: Call) -> list[Draft] | None:
    """Return a product of rows sorted by expert with one weight for each expert; how many rows each takes depends on values.

    Where they are not constants, assumed is the same for each, a fraction if need be (``spread_rows``); with fewer rows than
    experts, one row for each of as many experts.
    """
    left, right = call.args[:2]
    if (left.dim(), right.dim()) == (2, 3):
        rows, weight, other, experts, features = left.shape[0], right, left, right.shape[0], right.shape[2]
    elif (left.dim(), right.dim()) == (3, 2):
        rows, weight, other, experts, features = right.shape[1], left, right, left.shape[0], left.shape[1]
    else:
        return None
    if min(experts, rows, features, left.shape[-1]) < 1:
        return []
    operand = weight if call.storages.is_weight(weight) else None
    ends = call.args[2] if len(call.args) > 2 else call.kwargs.get("offs")
    known = call.values.known(ends) if isinstance(ends, torch.Tensor) else None
    if known is not None:
        shares = Counter(share for share in known.diff(prepend=known.new_zeros(1)).tolist() if share > 0)
        return [gemm((features, share, left.shape[-1], times), [other], operand) for share, times in shares.items()]
    n, busy = spread(rows, experts)
    draft = gemm((features, n, left.shape[-1], busy), [other], operand)
    return [replace(draft, fields={**draft.fields, "spread_rows": rows, "experts": experts})]


def _bilinear(call: Call) -> list[Draft] | None:
    """Return ``nn.Bilinear``: the first input times the weight, and for each row the result times the second input."""
    first, second, weight = call.args[:3]
    rows, (features, inner, other) = prod(first.shape[:-1]), weight.shape
    if min(rows, features, inner, other) < 1:
        return []
    operand = weight if call.storages.is_weight(weight) else None
    return [
        gemm((features * other, rows, inner, 1), [first], operand),
        gemm((features, 1, other, rows), [0, second], part="rows"),
    ]


def _distances(call: Call) -> list[Draft] | None:
    """Return Euclidean distances of all pairs of rows by their product; others do not multiply pairs."""
    power = call.args[2] if len(call.args) > 2 else call.kwargs.get("p", 2.0)
    if power != 2:
        return None
    left, right = call.args[:2]
    return _two_factors(replace(call, operator="matmul", args=(left, right.transpose(-2, -1))))


_ATTENTION_KERNELS = ("", "flash_", "efficient_", "cudnn_", "fused_")

READERS: dict[str, Callable[[Call], list[Draft] | None]] = {
    **dict.fromkeys(FACTORS, _two_factors),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), convolution),
    **dict.fromkeys(("_grouped_mm", "grouped_mm_fallback"), _experts),
    "bilinear": _bilinear,
    **dict.fromkeys(("cdist", "_cdist_forward", "_euclidean_dist"), _distances),
    "scaled_dot_product_attention": attention,
    **{f"_scaled_dot_product_{kernel}attention": attention for kernel in _ATTENTION_KERNELS},
    "_scaled_dot_product_flash_attention_for_cpu": attention,
    "_scaled_dot_product_fused_attention_overrideable": attention,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent_layers),
}
