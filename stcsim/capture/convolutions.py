"""Reads convolutions of one to three axes, transposed ones too, as ``Conv2d`` or, in 3-D, as their implicit GEMM."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from stcsim.capture.drafts import Call, Draft, gemm
from stcsim.trace import Conv2d


def convolution(call: Call) -> list[Draft] | None:
    """Return a convolution (1-D is one row high); with filters computed from the input, its GEMM."""
    image, filters, _, stride, padding, dilation, transposed, output_padding, groups = call.args[:9]
    axes = image.dim() - 2
    if axes not in (1, 2, 3):
        return None
    if image.numel() == 0:
        return []
    weight = call.storages.is_weight(filters)
    reads = [image] if weight else [filters, image]
    if axes == 3:
        return [_implicit_gemm(call, weight, reads)]
    pairs = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
    if transposed:
        pairs["output_padding"] = (output_padding, 0)
    fields: dict[str, Any] = {
        "batch": image.shape[0],
        "c": image.shape[1],
        **dict(zip("hw", _rows_columns(image.shape[2:], axes, 1), strict=True)),
        "k": filters.shape[1] * groups if transposed else filters.shape[0],
        **dict(zip("rs", _rows_columns(filters.shape[2:], axes, 1), strict=True)),
        **{field: _rows_columns(values, axes, row) for field, (values, row) in pairs.items()},
        "groups": groups,
        "transposed": transposed,
    }
    if weight:
        return [Draft("conv2d", fields, "conv", reads, filters)]
    product = Conv2d(name="", **fields).gemm()
    return [gemm((product.m, product.n, product.k, product.batch), reads, part="conv")]


def _implicit_gemm(call: Call, weight: bool, reads: Sequence[torch.Tensor]) -> Draft:
    """Return a 3-D convolution as filters x output voxels x filter size, one for each group."""
    filters, stride, transposed, groups = call.args[1], call.args[3], call.args[6], call.args[8]
    (out,) = call.outputs
    taps = prod(filters.shape[2:])
    inner = filters.shape[0] // groups if transposed else filters.shape[1]
    if transposed:  # an output voxel is reached by one in `stride` taps of each axis
        taps = -(-taps // prod(stride))
    sizes = (out.shape[1] // groups, out.shape[0] * prod(out.shape[2:]), inner * taps, groups)
    return gemm(sizes, reads, filters if weight else None, "conv")


def _rows_columns(values: Sequence[int], axes: int, row: int) -> tuple[int, int]:
    """Return a value for each of two axes: ``row`` stands for the missing one, and one value is for both."""
    if axes == 1:
        return row, int(values[0])
    return int(values[0]), int(values[-1])
