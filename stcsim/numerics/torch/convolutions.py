"""Convolutions as implicit GEMMs: filters times patches of images, in the order (r, s, c) with c fastest, as ``conv2d``.

A transposed convolution is a convolution of the image with zeros between its neighbours, with flipped filters: what it multiplies
with these zeros is part of its reduction here. Kernels that leave them out block the other products differently (assumed).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from stcsim.numerics.codes import Codes
from stcsim.numerics.torch import layouts
from stcsim.numerics.torch.operands import Factor, owner_of
from stcsim.numerics.torch.products import Product
from stcsim.numerics.torch.session import Session


def convolution(
    session: Session,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """Return ``aten.convolution`` of one to three dimensions."""
    taps = weight.shape[2:]
    dims = len(taps)
    steps, borders, spreads, more = (_each(value, dims) for value in (stride, padding, dilation, output_padding))

    def exact() -> Tensor:
        wide = None if bias is None else bias.float()
        return torch.convolution(x.float(), weight.float(), wide, stride, padding, dilation, transposed, output_padding, groups)

    if transposed:
        edges = [
            (far * (tap - 1) - pad, far * (tap - 1) - pad + extra)
            for far, tap, pad, extra in zip(spreads, taps, borders, more, strict=True)
        ]
        sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], steps, strict=True)]
        strides, matrix = (1,) * dims, _flipped_matrix(weight, groups)
    else:
        edges, sizes, strides, matrix = [(pad, pad) for pad in borders], list(x.shape[2:]), steps, _matrix(weight, groups)
    pixels = layouts.out_sizes(sizes, taps, strides, edges, spreads)

    def arrange(codes: Codes) -> Codes:
        image = layouts.spread(codes, steps) if transposed else codes
        image, kept = _cut(image, edges)
        return layouts.patches(image, taps, strides, kept, spreads, groups)

    def finish(sums: Tensor) -> Tensor:
        return sums.reshape(-1, x.shape[0], *pixels).transpose(0, 1)

    product = Product(
        kind=f"conv{'_transpose' if transposed else ''}{dims}d",
        part="conv",
        left=Factor(matrix, layouts.as_they_lie, owner_of(weight, weight)),
        right=Factor(x, arrange),
        channels=matrix.shape[-1] // prod(taps),
        exact=exact,
        finish=finish,
        bias=None if bias is None else bias.reshape(groups, -1),
    )
    return session.run(product).to(x.dtype).contiguous()


def _matrix(weight: Tensor, groups: int) -> Tensor:
    """Return filters (filters, c / groups, ...) as A, (groups, filters / groups, taps * c / groups)."""
    return weight.movedim(1, -1).reshape(groups, weight.shape[0] // groups, -1)


def _flipped_matrix(weight: Tensor, groups: int) -> Tensor:
    """Return filters of a transposed convolution, (c, filters / groups, ...), as A, likewise, each filter turned around."""
    turned = weight.flip(tuple(range(2, weight.dim())))
    parts = turned.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return parts.movedim(1, -1).reshape(groups, weight.shape[1], -1)


def _cut(image: Codes, edges: Sequence[tuple[int, int]]) -> tuple[Codes, list[tuple[int, int]]]:
    """Return an image without what negative padding takes off, and the padding that is left."""
    sizes = zip(edges, image.shape[2:], strict=True)
    cuts: list[Any] = [slice(max(0, -before), size - max(0, -after)) for (before, after), size in sizes]
    return image[(..., *cuts)], [(max(0, before), max(0, after)) for before, after in edges]


def _each(value: Sequence[int], dims: int) -> tuple[int, ...]:
    """Return one number for each dimension; a single one stands for all."""
    return tuple(value) * dims if len(value) == 1 else tuple(value)
