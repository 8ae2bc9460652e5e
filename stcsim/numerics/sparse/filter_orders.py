"""Convolutions as matrices: in which order a filter's weights lie along the reduction, and in which order they are 2:4.

Exports ``ORDERS``, ``reduction_order``, ``crowded_groups``, ``as_matrix`` and ``from_matrix``. A filter (K, C, R, S) becomes
a row of K by one of two orders:

- ``rsc``: R, S, C with C fastest, as GEMM kernels on NHWC images reduce. Four neighbours are four input channels under one
  tap. apex ASP and ModelOpt's magnitude pruning cut filters (R, S, K) x C, which gives the same groups, since they only
  prune where C is a multiple of 16; TensorRT asks for the same.
- ``crs``: C, R, S with S fastest, as PyTorch stores filters and ``unfold`` lays out patches. SparseGPT, in its authors' code
  and in ModelOpt, flattens filters so. No kernel for sparse tensor cores runs convolutions in this order.

Filters of one tap, and linear layers, are the same in both.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError
from stcsim.numerics.codes import held
from stcsim.words import ConvOrder, size, word

Found = Literal["rsc", "crs", "both", "neither"]

ORDERS = tuple(ConvOrder)
"""The order of kernels, and the order of memory."""


def reduction_order(w: npt.ArrayLike, *, kept: int = 2, group: int = 4) -> Found:
    """Return in which order a weight holds at most ``kept`` non-zeros in each ``group`` along its reduction.

    Args:
        w: (K, C, R, S), with one or three dimensions of taps alike; (m, k) is a filter without taps. Numbers, or a mask of
            what is kept. Raw codes of floats count a -0 as a non-zero.
        kept: N of N:M.
        group: M of N:M.

    ``"both"`` is the answer for filters of one tap that hold the pattern, and for others where the zeros happen to fit both
    (all weights zero, whole channels zero); ``"neither"`` where no order fits, or C·R·S is not a multiple of ``group``.

    Raises:
        StcsimError: when ``w`` has fewer than two dimensions.
    """
    nonzero = _nonzero(w)
    fits = [order.value for order in ORDERS if crowded_groups(nonzero, order, kept=kept, group=group) == 0]
    return "both" if len(fits) == 2 else fits[0] if fits else "neither"  # type: ignore[return-value]


def crowded_groups(w: npt.ArrayLike, order: str, *, kept: int = 2, group: int = 4) -> int | None:
    """Return how many groups of ``w``, in one order, hold more than ``kept`` non-zeros; ``None`` where groups are not whole.

    Raises:
        StcsimError: when ``w`` has fewer than two dimensions, or the order is not known.
    """
    kept, group = size(kept, "kept", 0), size(group, "group")
    matrix = as_matrix(_nonzero(w), order)
    if matrix.shape[1] % group:
        return None
    counts = matrix.reshape(-1, group).sum(axis=1, dtype=np.uint8 if group < 256 else np.int64)
    return int(np.count_nonzero(counts > kept))


def as_matrix(w: npt.NDArray[Any], order: str) -> npt.NDArray[Any]:
    """Return filters (K, C, taps…) as the matrix (K, C·taps) of a GEMM; without a copy where they lie so in memory.

    Raises:
        StcsimError: when ``w`` has fewer than two dimensions, or the order is not known.
    """
    _check(w.ndim, order)
    return (np.moveaxis(w, 1, -1) if order == "rsc" else w).reshape(w.shape[0], -1)


def from_matrix(matrix: npt.NDArray[Any], shape: tuple[int, ...], order: str) -> npt.NDArray[Any]:
    """Return the filters of ``shape`` (K, C, taps…) of a matrix. Inverse of ``as_matrix``.

    Raises:
        StcsimError: when ``shape`` has fewer than two dimensions, or the order is not known.
    """
    _check(len(shape), order)
    if order == "crs":
        return matrix.reshape(shape)
    return np.ascontiguousarray(np.moveaxis(matrix.reshape(shape[0], *shape[2:], shape[1]), -1, 1))


def _nonzero(w: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return where weights are not 0."""
    array, name = held(w)
    try:
        if array.dtype.kind in "biufV":
            return np.asarray(array != 0)
    except TypeError:  # fields, or bytes without a meaning
        pass
    raise StcsimError("weights", "an array of numbers", f"one of {name}")


def _check(dimensions: int, order: str) -> None:
    word(ConvOrder, order, "conv_order")
    if dimensions < 2:
        raise StcsimError("filters", "at least two dimensions (K, C, R, S)", f"{dimensions}")
