"""What of a trace is computed: which layers, how much of each, and the operands, synthetic where the user gives none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.check import torch_side
from stcsim.errors import StcsimError
from stcsim.isa import DType
from stcsim.numerics.conv import filter_matrix, im2col
from stcsim.numerics.sparse.pruning import prune
from stcsim.tensors import torch_bridge
from stcsim.trace import Conv2d, Gemm, Trace
from stcsim.trace.choose import chosen

Array = npt.NDArray[Any]

_LEAST_COLUMNS = 8
"""Computed however large a layer is: the n of one instruction."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one layer is computed: columns of n, and multiply-accumulates."""

    max_columns: int
    max_macs: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a check.

    Attributes:
        number: place among the GEMMs and convolutions of the trace, from 1.
        op: the layer as the trace has it.
        part: the same layer with as much of n and batch as is computed.
        not_sparse_because: why it may not be pruned, else ``None``.
    """

    number: int
    op: Gemm | Conv2d
    part: Gemm | Conv2d
    not_sparse_because: str | None

    @property
    def whole_product(self) -> Gemm:
        """The layer as a GEMM."""
        return _as_gemm(self.op)

    @property
    def product(self) -> Gemm:
        """The computed part as a GEMM."""
        return _as_gemm(self.part)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights as PyTorch has them: (filters, c / groups, r, s), or (m, k) after the batch if any."""
        if isinstance(self.op, Conv2d):
            return (self.op.k, self.op.c // self.op.groups, self.op.r, self.op.s)
        return (self.op.m, self.op.k) if self.op.batch == 1 else (self.op.batch, self.op.m, self.op.k)


@dataclass(frozen=True, slots=True)
class Operands:
    """Raw codes of A (batch, m, k) and B (batch, k, n): k in the order of the kernel, and in torch's.

    They differ for convolutions: (r, s, c) here, c fastest; (c, r, s) in torch.
    """

    a: Array
    b: Array
    torch_a: Array
    torch_b: Array


def code_name(element: DType) -> str:
    """Return what the numerics wing calls the raw codes of an element type."""
    return element.codes or element.name


def layers_of(trace: Trace, element: DType, limits: Limits, layers: str | None) -> list[Layer]:
    """Return the layers to check, in the order of the trace.

    Args:
        trace, element, limits: what is run, in which type, and how much of it.
        layers: numbers, ranges and patterns with commas between, e.g. ``"1,4-6,*.fc*"``; all when ``None``.

    Raises:
        StcsimError: when a word of ``layers`` fits none.
    """
    ops = [_computed(op) for op in trace.ops if isinstance(op, Gemm | Conv2d)]
    if not ops:
        raise StcsimError(trace.name, "a GEMM or convolution to check", "none")
    kept = None if layers is None else set(chosen(trace.ops, layers, "layers", ops))
    return [
        Layer(number, op, _part(op, limits), why_not_sparse(op, element))
        for number, op in enumerate(ops, start=1)
        if kept is None or op.name in kept
    ]


def why_not_sparse(op: Gemm | Conv2d, element: DType) -> str | None:
    """Return why a layer may not be pruned, or ``None`` if it may."""
    if isinstance(op, Gemm) and op.weight_operand is None:
        return "no weight operand"
    if _as_gemm(op).k % element.sparse_k_multiple:
        return f"reduction no multiple of {element.sparse_k_multiple}"
    if isinstance(op, Conv2d) and op.c // op.groups % element.sparse_group:
        return f"channels of a group no multiple of {element.sparse_group}"
    return None


def synthetic_weights(layer: Layer, element: DType, rng: np.random.Generator) -> Array:
    """Return raw codes of seeded weights: normal with He's deviation sqrt(2 / k), fp8 with 1; int8 uniform over all codes."""
    deviation = 1.0 if element.needs_scale else float(np.sqrt(2 / layer.product.k))
    return _draw(layer.weight_shape if layer.op.weight_elements else _activation_shape(layer, "a"), element, rng, deviation)


def operands(layer: Layer, element: DType, weights: Array, rng: np.random.Generator) -> Operands:
    """Return A, pruned where the layer may be, and B, seeded: standard normal, int8 uniform over all codes.

    Args:
        layer: the layer.
        element: its element type.
        weights: raw codes of ``layer.weight_shape``.
        rng: where the activations come from.

    Raises:
        StcsimError: at a NaN among the weights.
    """
    a = weights if layer.not_sparse_because else _pruned(weights, element, axis=1 if isinstance(layer.op, Conv2d) else -1)
    x = _draw(_activation_shape(layer, "b"), element, rng, 1.0)
    g, name = layer.product, code_name(element)
    if isinstance(layer.part, Gemm):
        a = a.reshape(-1, g.m, g.k)
        return Operands(a, x, a, x)
    part = layer.part
    b = im2col(x, (part.r, part.s), part.stride, part.padding, part.dilation, part.groups).reshape(g.batch, g.k, g.n)
    kernel_order = filter_matrix(a).reshape(g.batch, g.m, g.k)
    return Operands(kernel_order, b, a.reshape(g.batch, g.m, g.k), torch_side.patches(part, x, name))


def _pruned(weights: Array, element: DType, axis: int) -> Array:
    """Return weights pruned by magnitude along the input channels; where torch reads a float as bytes, a -0 becomes +0."""
    name = code_name(element)
    kept = prune(weights, f"{element.sparse_kept}:{element.sparse_group}", axis=axis, dtype=name)
    if not torch_side.converts_as_bytes(name):
        return kept
    return np.where(kept & element.magnitude_mask, kept, 0).astype(kept.dtype)


def _draw(shape: tuple[int, ...], element: DType, rng: np.random.Generator, deviation: float) -> Array:
    if not element.is_float:
        return rng.integers(0, 1 << element.bits, shape, np.uint8)
    rows = [rng.standard_normal(shape[1:], np.float32) * np.float32(deviation) for _ in range(shape[0])]
    return np.stack([torch_bridge.encode(each, code_name(element)) for each in rows])


def _activation_shape(layer: Layer, operand: str) -> tuple[int, ...]:
    """Return the shape of an operand that is made of activations."""
    part = layer.part
    if isinstance(part, Conv2d):
        return (part.batch, part.c, part.h, part.w)
    return (part.batch, part.m, part.k) if operand == "a" else (part.batch, part.k, part.n)


def _computed(op: Gemm | Conv2d) -> Gemm | Conv2d:
    """Return what is multiplied: a transposed convolution is checked as its GEMM, without image patches."""
    return op.gemm() if isinstance(op, Conv2d) and op.transposed else op


def _as_gemm(op: Gemm | Conv2d) -> Gemm:
    return op.gemm() if isinstance(op, Conv2d) else op


def _part(op: Gemm | Conv2d, limits: Limits) -> Gemm | Conv2d:
    """Return the layer cut in n, and in the batch where that shares no weights, to what the limits allow."""
    g = _as_gemm(op)
    products = 1 if g.weight_operand is None else g.batch
    columns = min(limits.max_columns, max(_LEAST_COLUMNS, limits.max_macs // (g.m * g.k * products)), g.n)
    if isinstance(op, Conv2d):
        return _part_of_images(op, columns)
    if op.weight_operand is None:
        return op.changed(n=columns, batch=min(op.batch, max(1, limits.max_macs // (op.m * op.k * columns))))
    return op.changed(n=columns)


def _part_of_images(op: Conv2d, columns: int) -> Conv2d:
    """Return a convolution with fewer images, or fewer rows of the first, or a part of its first row."""
    if columns >= op.p * op.q:
        return op.changed(batch=min(op.batch, columns // (op.p * op.q)))
    rows, width = max(1, columns // op.q), min(op.q, columns)
    return op.changed(batch=1, h=_input_size(op, 0, rows, op.h), w=_input_size(op, 1, width, op.w))


def _input_size(op: Conv2d, axis: int, outputs: int, whole: int) -> int:
    """Return how much of an image makes ``outputs`` rows or columns."""
    if outputs == (op.p, op.q)[axis]:
        return whole
    reach = op.dilation[axis] * ((op.r, op.s)[axis] - 1) + 1
    return max(1, (outputs - 1) * op.stride[axis] + reach - 2 * op.padding[axis])
