"""A weight in slabs: some rows at a time, permuted as asked, as the matrix of a GEMM, with the mask of what stays.

A slab is a range of the first dimension of the tensor as stored, of whole groups where that is the reduction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from math import lcm, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint.roles import Kind
from stcsim.checkpoint.stored import Codes, StoredTensor
from stcsim.checkpoint.weights import GemmWeight
from stcsim.errors import StcsimError
from stcsim.numerics.codes import values
from stcsim.numerics.sparse.filter_orders import as_matrix, from_matrix
from stcsim.numerics.sparse.pruning import keep_mask
from stcsim.pruning.settings import Settings

Places = Mapping[int, npt.NDArray[np.int64]]
"""By axis of a tensor: the old place of what each new place holds."""

_SLAB_ELEMENTS = 1 << 22
"""A slab of 4 Mi elements takes 32 MiB as float64, which its magnitudes are summed in."""


def slab_ranges(shape: tuple[int, ...], multiple: int = 1) -> Iterator[tuple[int, int]]:
    """Yield ranges of the first dimension, of whole multiples but for the last."""
    if not shape:
        yield 0, 1
        return
    rows = max(_SLAB_ELEMENTS // max(prod(shape[1:]), 1) // multiple, 1) * multiple
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])


def read_slab(tensor: StoredTensor, start: int, stop: int, places: Places) -> Codes:
    """Return ``start:stop`` of the first dimension of a tensor whose places were permuted."""
    if not tensor.shape:
        return tensor.codes()
    first = places.get(0)
    slab = tensor.slab(start, stop) if first is None else tensor.codes()[first[start:stop]]
    for axis, order in places.items():
        if axis:
            slab = np.take(slab, order, axis)
    return slab


def plain_slabs(tensor: StoredTensor, places: Places) -> Iterator[Codes]:
    """Yield a tensor that is not pruned."""
    for start, stop in slab_ranges(tensor.shape):
        yield read_slab(tensor, start, stop, places)
        tensor.release()


def matrix_of(slab: Codes, weight: GemmWeight, order: str) -> Codes:
    """Return a slab as rows of outputs and columns of the reduction."""
    if weight.kind is Kind.CONV:
        return as_matrix(slab, order)
    turned = slab.swapaxes(-1, -2) if weight.transposed else slab
    return turned.reshape(-1, turned.shape[-1])


def stored_as(matrix: Codes, slab: Codes, weight: GemmWeight, order: str) -> Codes:
    """Return a matrix as the slab lies in the file. Inverse of ``matrix_of``."""
    if weight.kind is Kind.CONV:
        return from_matrix(matrix, slab.shape, order)
    if not weight.transposed:
        return matrix.reshape(slab.shape)
    return matrix.reshape(*slab.shape[:-2], slab.shape[-1], slab.shape[-2]).swapaxes(-1, -2)


def multiple_of(weight: GemmWeight, wanted: Settings) -> int:
    """Return what the rows of a slab are a multiple of, so that no group and no tile is cut."""
    across = 4 if wanted.two_dimensional else 1
    return lcm(wanted.group, across) if weight.transposed and weight.kind is Kind.LINEAR else across


def keep_of(matrix: Codes, dtype: str, wanted: Settings, scores: Codes | None = None) -> npt.NDArray[np.bool_]:
    """Return which elements of rows stay, chosen by magnitude or by scores of the same shape.

    Raises:
        StcsimError: at a NaN.
    """
    return keep_mask(matrix, wanted.pattern, wanted.method, dtype=_code_type(matrix, dtype), scores=scores)


def sums_of(slab: Codes, dtype: str, keep: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the sum of all magnitudes, and of those that stay, in float64.

    Raises:
        StcsimError: at a NaN.
    """
    from stcsim.pruning import sums_fast

    flat, stays = np.ascontiguousarray(slab).reshape(-1), np.ascontiguousarray(keep).reshape(-1)
    if flat.itemsize > 2:
        total, kept = sums_fast.sum_numbers(flat, stays)
    else:
        codes = flat.view(f"u{flat.itemsize}")
        total, kept = sums_fast.sum_codes(codes, _magnitude_table(dtype, codes.itemsize), stays)
    if np.isnan(total):
        raise StcsimError("weights", "numbers", "NaN")
    return float(total), float(kept)


@cache
def _magnitude_table(dtype: str, code_bytes: int) -> npt.NDArray[np.float64]:
    """Return the magnitude of every code of a type of one or two bytes."""
    return np.abs(values(np.arange(256**code_bytes, dtype=f"u{code_bytes}"), dtype))


def zeroed(slab: Codes, keep: npt.NDArray[np.bool_]) -> Codes:
    """Return a slab with +0 where nothing is kept."""
    whole = np.ascontiguousarray(slab)
    bits = whole.view(f"u{whole.itemsize}")
    return (bits * keep).view(whole.dtype)


@contextmanager
def naming(*arrays: tuple[str, StoredTensor]) -> Iterator[None]:
    """Let an error about an array say which one, and where in it a NaN stands.

    Args:
        arrays: what was looked at, perhaps in parts and permuted: what an error calls each, and the tensor in its file.

    Raises:
        StcsimError: what the block raised, with the place before it.
    """
    try:
        yield
    except StcsimError as error:
        for where, tensor in arrays:
            if (index := _first_nan(tensor)) is not None:
                raise StcsimError(f"{where}[{', '.join(map(str, index))}]", "a number", "NaN") from None
        raise type(error)(f"{arrays[0][0]}: {error.where}", error.expected, error.found) from None


def numbers_of(codes: Codes, dtype: str) -> Codes:
    """Return numbers that numpy can compare: codes of bf16 and fp8 are read."""
    is_code = codes.dtype.kind == "u" and not dtype.startswith(("uint", "bool"))
    return values(codes, dtype) if is_code else codes


def _first_nan(tensor: StoredTensor) -> tuple[int, ...] | None:
    """Return the index of the first NaN of a tensor."""
    for start, stop in slab_ranges(tensor.shape):
        numbers = numbers_of(tensor.slab(start, stop), tensor.dtype)
        if numbers.dtype.kind == "f" and (lost := np.isnan(numbers)).any():
            first, *rest = (int(each) for each in np.unravel_index(int(np.argmax(lost)), lost.shape))
            return (start + first, *rest)
    return None


def _code_type(array: npt.NDArray[Any], dtype: str) -> str | None:
    """Return the type of raw codes; numbers stand for themselves."""
    return dtype if array.dtype.kind == "u" else None
