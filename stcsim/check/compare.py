"""Counting differences: integers and formats bit for bit, floating-point products against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.check import torch_side
from stcsim.check.result import ULP_BINS, Errors
from stcsim.isa import DType
from stcsim.isa.instructions import Instruction
from stcsim.numerics.codes import sparse_type
from stcsim.numerics.formats import encoded, float_format
from stcsim.numerics.rules import datapath
from stcsim.numerics.sparse.cutlass_layouts import cutlass_layout
from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_TINY = 2.0**-120
"""What underflow may add to the error of one block, far above it."""
_FINITE = 2.0**127
"""Sums of magnitudes below this cannot overflow fp32."""


def error_bound(instruction: Instruction, arch: str, k: int) -> float:
    """Return the largest error of an element, as a share of the sum of the products of its operands' ``magnitudes``.

    Of a block of L products each of L + 1 terms loses less than 2^-F of the largest, and the sum less than one unit in the
    last place when it is rounded; an emulated instruction rounds once more.
    """
    rule = datapath(instruction, arch).rule
    assert rule is not None
    products = instruction.products * -(-k // instruction.k)
    length = min(rule.block_length, instruction.products)
    block = (length + 1) * 2.0**-rule.fraction_bits + 2 * 2.0**-rule.rounding.fraction_bits
    return 1.01 * block * (products // length)  # the 1 %: the running value, too, has errors


def magnitudes(values: Floats, dtype: str) -> Floats:
    """Return absolute values, where a subnormal counts as the smallest normal number: it aligns others as if it were one."""
    sizes: Floats = np.where(values == 0, 0.0, np.maximum(np.abs(values), 2.0 ** float_format(dtype).min_exponent))
    return sizes


def round_trips(sparse: Sparse24, pruned: Array) -> bool:
    """Say whether the compressed matrix expands to the pruned one; a -0 may come back as +0."""
    row, back = sparse_type(sparse.dtype), expand(sparse)
    both_zero = (back & row.magnitude_mask == 0) & (pruned & row.magnitude_mask == 0)
    return bool(np.all((back == pruned) | both_zero))


def same_as_torch(sparse: Sparse24, pruned: Array) -> bool | str:
    """Say whether values and metadata of a matrix (m, k) are torch's, padded to its shapes, or why torch has none."""
    m, k = pruned.shape
    rows, columns = torch_side.format_multiples(sparse.dtype)
    padded = np.pad(pruned, [(0, -m % rows), (0, -k % columns)])
    theirs = torch_side.compressed(padded, sparse.dtype)
    if isinstance(theirs, str):
        return theirs
    whole = sparse if padded.shape == pruned.shape else compress(padded, sparse.dtype)
    kept, groups = sparse.values.shape[-1], sparse.metadata.shape[-1]
    ours = cutlass_layout(whole)
    return (
        np.array_equal(whole.values[:m, :kept], sparse.values)
        and np.array_equal(whole.metadata[:m, :groups], sparse.metadata)
        and np.array_equal(ours.values, theirs[0])
        and np.array_equal(ours.metadata, theirs[1])
    )


class Tally:
    """Errors of one product, added up part by part.

    Args:
        output: element type of the ulps.
        bound: of ``error_bound``; ``None`` when there is none.
    """

    def __init__(self, output: str, bound: float | None) -> None:
        """Start with nothing counted."""
        self.output, self.bound = float_format(output), bound
        self.ulps = np.zeros(len(ULP_BINS), np.int64)
        self.largest, self.sum, self.count, self.of_magnitudes, self.beyond = 0.0, 0.0, 0, 0.0, 0

    def add(self, product: Floats, exact: Floats, size: Floats) -> None:
        """Count the elements of a part.

        Args:
            product: before rounding to the output type.
            exact: the same in float64.
            size: the product of the operands' ``magnitudes``.
        """
        with np.errstate(all="ignore"):
            error = np.abs(product - exact)
            relative = (error / np.abs(exact))[(exact != 0) & np.isfinite(error)]
            of_magnitudes = (error / size)[(size != 0) & np.isfinite(error)]
        distance = np.abs(_ordered(product, self.output) - _ordered(exact, self.output))
        self.ulps += np.bincount(np.digitize(distance, (1, 2, 3, 5)).reshape(-1), minlength=len(ULP_BINS))
        self.largest = max(self.largest, float(relative.max(initial=0.0)))
        self.of_magnitudes = max(self.of_magnitudes, float(of_magnitudes.max(initial=0.0)))
        self.sum, self.count = self.sum + float(relative.sum()), self.count + relative.size
        if self.bound is not None:
            within = error <= self.bound * size + _TINY  # false for NaN
            self.beyond += int(np.count_nonzero(~within & (size < _FINITE)))

    def errors(self) -> Errors:
        """Return what was counted."""
        mean = self.sum / self.count if self.count else 0.0
        beyond = None if self.bound is None else self.beyond
        return Errors(tuple(int(each) for each in self.ulps), self.largest, mean, self.of_magnitudes, beyond)


def _ordered(values: Floats, form: DType) -> npt.NDArray[np.int64]:
    """Return integers that count the numbers of a format from zero up and down; neighbours differ by 1, -0 is 0."""
    codes = encoded(values, form).astype(np.int64) >> form.dropped_bits
    sign = np.int64(1) << (form.bits - form.dropped_bits - 1)
    return np.where(codes & sign, -(codes ^ sign), codes)
