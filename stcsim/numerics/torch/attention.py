"""Attention as a fused kernel computes it: Q . K^T and softmax in fp32, then its result, rounded to the operands' type, times V.

The products are those of FlashAttention; its softmax is taken in one piece here, and divides before it is rounded, not after.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from stcsim.errors import StcsimError
from stcsim.numerics.torch import layouts
from stcsim.numerics.torch.operands import Factor
from stcsim.numerics.torch.products import Product
from stcsim.numerics.torch.session import Session


def attention(
    session: Session,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return ``F.scaled_dot_product_attention``.

    Raises:
        StcsimError: for dropout, which only training has.
    """
    if dropout_p:
        raise StcsimError("scaled_dot_product_attention", "dropout_p = 0, as in evaluation", str(dropout_p))
    shared = query.shape[-3] // key.shape[-3] if enable_gqa else 1
    q, k, v = _grouped(query, shared), key, value
    turned = k.transpose(-1, -2)
    scores = session.run(_product("qk", q, turned, lambda: q.float() @ turned.float(), True), alone=False)
    scores = scores.float().reshape(*query.shape[:-1], key.shape[-2])
    weights = _softmax(scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), attn_mask, is_causal)
    p = _grouped(weights, shared)
    result = session.run(_product("pv", p, v, lambda: p @ v.float(), False), alone=False)
    return result.reshape(*query.shape[:-1], value.shape[-1]).to(query.dtype)


def _product(part: str, left: Tensor, right: Tensor, exact: Callable[[], Tensor], in_fp32: bool) -> Product:
    return Product(
        kind="attention",
        part=f"attention.{part}",
        left=Factor(left, layouts.as_they_lie),
        right=Factor(right, layouts.as_they_lie),
        channels=left.shape[-1],
        exact=exact,
        finish=lambda sums: sums,
        in_fp32=in_fp32,
    )


def _grouped(tensor: Tensor, shared: int) -> Tensor:
    """Return (..., heads, rows, columns) with the heads that share a key below each other, as rows of one matrix."""
    if shared == 1:
        return tensor
    *lead, heads, rows, columns = tensor.shape
    return tensor.reshape(*lead, heads // shared, shared * rows, columns)


def _softmax(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Return softmax over the last dimension in fp32; a row that is masked altogether is zero."""
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask.float()
    hidden = (scores == -math.inf).all(-1, keepdim=True)
    return torch.softmax(scores, -1).masked_fill(hidden, 0.0)
