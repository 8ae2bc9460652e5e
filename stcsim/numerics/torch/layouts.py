"""Where codes lie: tensors of a network as the A and B of products. Nothing here looks at a number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from stcsim.numerics.codes import Codes


def as_they_lie(codes: Codes) -> Codes:
    """Return the codes of a matrix that is A or B already."""
    return np.ascontiguousarray(codes)


def transposed(codes: Codes) -> Codes:
    """Return (..., n, k) as (..., k, n)."""
    return np.ascontiguousarray(np.swapaxes(codes, -1, -2))


def rows_to_columns(codes: Codes) -> Codes:
    """Return (..., k) as (k, n): all that is before the last dimension becomes n."""
    return np.ascontiguousarray(codes.reshape(-1, codes.shape[-1]).T)


def batch_to_columns(codes: Codes) -> Codes:
    """Return (..., k, n) as one matrix (k, batch * n)."""
    rows, columns = codes.shape[-2:]
    return np.ascontiguousarray(codes.reshape(-1, rows, columns).transpose(1, 0, 2)).reshape(rows, -1)


def patches(
    codes: Codes,
    taps: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int],
    groups: int,
) -> Codes:
    """Return images (batch, c, ...) as the B of an implicit GEMM, (groups, taps * c / groups, batch * pixels), c fastest.

    The rows of one tap are the image moved, so that they are copied tap by tap.

    Args:
        codes: of one to three dimensions beside batch and c.
        taps: sizes of the filter.
        stride, dilation: one number for each dimension.
        padding: (before, after) of each dimension, filled with zeros.
        groups: independent parts of the channels.
    """
    batch, channels = codes.shape[:2]
    wide = np.pad(codes, [(0, 0), (0, 0), *padding]) if any(map(any, padding)) else codes
    pixels = out_sizes(codes.shape[2:], taps, stride, padding, dilation)
    each = channels // groups
    by_channel = wide.reshape(batch, groups, each, *wide.shape[2:]).swapaxes(0, 1).swapaxes(1, 2)
    out = np.empty((groups, prod(taps), each, batch, *pixels), codes.dtype)
    for at, tap in enumerate(product(*map(range, taps))):
        window: list[Any] = [
            slice(place * far, place * far + (size - 1) * step + 1, step)
            for place, far, size, step in zip(tap, dilation, pixels, stride, strict=True)
        ]
        out[:, at] = by_channel[(..., *window)]
    return out.reshape(groups, prod(taps) * each, batch * prod(pixels))


def out_sizes(
    sizes: Sequence[int], taps: Sequence[int], stride: Sequence[int], padding: Sequence[Sequence[int]], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Return the sizes of the image that a convolution makes."""
    return tuple(
        (size + sum(pad) - far * (tap - 1) - 1) // step + 1
        for size, tap, step, pad, far in zip(sizes, taps, stride, padding, dilation, strict=True)
    )


def spread(codes: Codes, stride: Sequence[int]) -> Codes:
    """Return images (batch, c, ...) with ``stride - 1`` zeros between neighbours, as a transposed convolution reads them."""
    sizes = [(size - 1) * step + 1 for size, step in zip(codes.shape[2:], stride, strict=True)]
    out = np.zeros((*codes.shape[:2], *sizes), codes.dtype)
    places: list[Any] = [slice(None, None, step) for step in stride]
    out[(..., *places)] = codes
    return out
