"""Reads scaled-dot-product attention, of any kernel, as its two products with the softmax between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any
from unittest.mock import patch

import torch

from stcsim.capture.drafts import Call, Draft, gemm, memory


def attention(call: Call) -> list[Draft] | None:
    """Return query . key, softmax, and its product with the values.

    A single query row for each head, as in decoding, is stacked with those of the heads that share its keys.
    """
    if call.operator.endswith("backward"):
        return None
    query, key, value = call.args[:3]
    mask = call.args[3] if len(call.args) > 3 else call.kwargs.get("attn_mask", call.kwargs.get("attn_bias"))
    masks = [mask] if isinstance(mask, torch.Tensor) and mask.is_floating_point() else []
    m, k, n, width = query.shape[-2], query.shape[-1], key.shape[-2], value.shape[-1]
    batch, shared = prod(query.shape[:-2]), prod(key.shape[:-2])
    if m == 1 and shared and batch % shared == 0:
        m, batch = batch // shared, shared
    if min(m, n, k, width, batch) < 1:
        return []
    scores = m * n * batch
    read = scores + sum(call.storages.distinct(each) for each in masks)
    return [
        gemm((m, n, k, batch), [query, key], part="qk"),
        memory("softmax", (read, scores), [0, *masks]),
        gemm((m, width, n, batch), [1, value], part="pv"),
    ]


def attention_output(query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return what attention returns, laid out in memory as kernels for GPUs do: heads beside each other for each token."""
    shape = (*query.shape[:-1], value.shape[-1])
    if len(shape) != 4:
        return query.new_empty(shape)
    batch, heads, rows, width = shape
    return query.new_empty((batch, rows, heads, width)).transpose(1, 2)


def flex_outputs(args: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what flex_attention returns: the values, and for each query the log of the sum and the largest score."""
    query, _, value = args[:3]
    rows = query.new_empty(query.shape[:-1], dtype=torch.float32)
    return attention_output(query, value), rows, torch.empty_like(rows)


@contextmanager
def flex_on_shapes() -> Iterator[None]:
    """Let flex_attention, which compiles itself and knows devices by name, run as one operator on tensors without data."""
    from torch.nn.attention import flex_attention

    names: dict[str, Any] = {"_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG": True, "_validate_device": lambda *_: None}
    with patch.multiple(flex_attention, **{name: value for name, value in names.items() if hasattr(flex_attention, name)}):
        yield
