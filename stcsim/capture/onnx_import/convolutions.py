"""Convolutions of ONNX graphs: 1-D and 2-D as ``Conv2d``, what that cannot say as the implicit GEMM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.products import Product, gemm
from stcsim.capture.onnx_import.values import Shape
from stcsim.trace import Conv2d, Memory

Pads = list[tuple[int, int]]


def convolution(filters_at: int) -> Callable[[Node], list[Product]]:
    """Return the reader of a convolution whose filters are this input.

    Raises:
        Unread: (the reader) when channels do not fit the filters.
    """

    def read(node: Node) -> list[Product]:
        (image, (batch, channels, *size)), (filters, (outputs, inner, *taps)) = node.tensor(0), node.tensor(filters_at)
        groups, result = node.attribute("group", 1), node.output_shape()
        if inner * groups != channels:
            raise Unread(f"{channels} channels for filters of {groups} x {inner}")
        read = sources(filters, image)
        if 0 in (batch, channels, outputs, *size, *taps):
            return []
        sizes = (outputs // groups, batch * prod(result[2:]), inner * prod(taps), groups)
        if len(size) > 2 or not filters.is_constant:
            return [*gemm(node, sizes, filters, inputs=read)]
        pads = padding(node, size, taps)
        grown = [length + abs(before - after) for length, (before, after) in zip(size, pads, strict=True)]
        fields = {
            "stride": (_steps(node, "strides", len(size)), 1),
            "dilation": (_steps(node, "dilations", len(size)), 1),
            "padding": ([min(pair) for pair in pads], 0),
        }
        return [
            _conv2d(
                node, (batch, channels, outputs), (grown, taps), fields, groups=groups, weight_of=filters.parameter, inputs=read
            )
        ]

    return read


def transposed_convolution(node: Node) -> list[Product]:
    """Return a transposed convolution, which spreads each input pixel over the taps of its filters."""
    (image, (batch, channels, *size)), (filters, (_, inner, *taps)) = node.tensor(0), node.tensor(1)
    groups, result = node.attribute("group", 1), node.output_shape()
    strides, dilations = _steps(node, "strides", len(size)), _steps(node, "dilations", len(size))
    read = sources(filters, image)
    if 0 in (batch, channels, inner, *size, *taps):
        return []
    if len(size) > 2 or not filters.is_constant:
        reached, left_over = divmod(prod(taps) * prod(size), prod(result[2:]))
        product = (inner, batch * prod(result[2:]), channels // groups * reached, groups)
        if left_over:  # output pixels that taps reach differently often: columns for each input pixel, which are then added up
            product = (inner * prod(taps), batch * prod(size), channels // groups, groups)
        return [*gemm(node, product, filters, inputs=read)]
    cuts = [
        (length - 1) * stride + dilation * (tap - 1) + 1 - out
        for length, stride, dilation, tap, out in zip(size, strides, dilations, taps, result[2:], strict=True)
    ]
    padding = [max(0, -(-cut // 2)) for cut in cuts]  # both sides; what is too much on one comes back as output padding
    fields = {
        "stride": (strides, 1),
        "dilation": (dilations, 1),
        "padding": (padding, 0),
        "output_padding": ([2 * pad - cut for pad, cut in zip(padding, cuts, strict=True)], 0),
    }
    sizes = (batch, channels, inner * groups)
    more = {"groups": groups, "transposed": True, "weight_of": filters.parameter, "inputs": read}
    return [_conv2d(node, sizes, (size, taps), fields, **more)]


def deformable_convolution(node: Node) -> list[Product | Memory]:
    """Return a deformable convolution: its columns are sampled where offsets say, then multiplied by the filters.

    Raises:
        Unread: when channels do not fit the filters.
    """
    (image, (batch, channels, *_)), (filters, (outputs, inner, *taps)) = node.tensor(0), node.tensor(1)
    offsets, mask, groups = node.tensor(2)[0], node.input(4), node.attribute("group", 1)
    if inner * groups != channels:
        raise Unread(f"{channels} channels for filters of {groups} x {inner}")
    pixels = batch * prod(node.output_shape()[2:])
    product = gemm(node, (outputs // groups, pixels, inner * prod(taps), groups), filters, inputs=(f"{node.name}.sample",))
    if not product:
        return []
    sampled = Memory(
        name=f"{node.name}.sample",
        operator="deform_im2col",
        elements_read=image.distinct + offsets.distinct + (mask.distinct if mask is not None else 0),
        elements_written=channels * prod(taps) * pixels,
        inputs=sources(image, offsets, mask),
        origin=node.origin,
    )
    return [sampled, *product]


def padding(node: Node, size: Sequence[int], taps: Sequence[int]) -> Pads:
    """Return the padding before and after each axis, ``auto_pad`` worked out."""
    axes, mode = len(size), node.attribute("auto_pad", "NOTSET")
    if mode == "VALID":
        return [(0, 0)] * axes
    if mode == "NOTSET":
        pads = node.attribute("pads", [0] * 2 * axes)
        return list(zip(pads[:axes], pads[axes:], strict=True))
    found = []
    steps = zip(size, taps, _steps(node, "strides", axes), _steps(node, "dilations", axes), strict=True)
    for length, tap, stride, dilation in steps:
        total = max(0, (-(-length // stride) - 1) * stride + dilation * (tap - 1) + 1 - length)
        small, large = total // 2, total - total // 2
        found.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return found


def is_asymmetric(node: Node) -> bool:
    """Whether a convolution pads one side of an axis more than the other."""
    (_, image), (_, filters) = node.tensor(0), node.tensor(3 if node.operator == "QLinearConv" else 1)
    return any(before != after for before, after in padding(node, image[2:], filters[2:]))


def _steps(node: Node, name: str, axes: int) -> list[int]:
    return list(node.attribute(name, [1] * axes))


def _conv2d(
    node: Node,
    sizes: tuple[int, int, int],
    image_and_taps: tuple[Sequence[int], Sequence[int]],
    fields: Mapping[str, tuple[Sequence[int], int]],
    **more: Any,
) -> Conv2d:
    """Return the operation; a 1-D convolution is one row high. Its output must have the shape that ONNX infers."""
    (batch, c, k), ((*_, w), (*_, s)) = sizes, image_and_taps
    h, r = (image_and_taps[0][0], image_and_taps[1][0]) if len(image_and_taps[0]) == 2 else (1, 1)
    pairs: dict[str, Any] = {name: _pair(values, row) for name, (values, row) in fields.items()}
    made = Conv2d(name=node.name, batch=batch, c=c, h=h, w=w, k=k, r=r, s=s, **pairs, **more, origin=node.origin)
    expected: Shape = node.output_shape()[2:]
    if (made.p, made.q)[-len(expected) :] != expected:
        raise Unread(f"an output of {'x'.join(map(str, expected))}, where {made.p}x{made.q} follows from its geometry")
    return made


def _pair(values: Sequence[int], row: int) -> tuple[int, int]:
    """Return (rows, columns); ``row`` stands for the rows of a 1-D convolution."""
    return (row, values[0]) if len(values) == 1 else (values[0], values[1])


CONVOLUTIONS: dict[str, Callable[[Node], Sequence[Product | Memory]]] = {
    "Conv": convolution(1),
    "ConvInteger": convolution(1),
    "QLinearConv": convolution(3),
    "ConvTranspose": transposed_convolution,
    "DeformConv": deformable_convolution,
}
