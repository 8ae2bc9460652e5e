"""Pruning: which weights a structured pattern keeps. Exports ``prune``, ``keep_mask`` and ``check_mask``.

Methods: the largest magnitudes of each group (apex's ``m4n2_1d``, any N:M), and two that keep at most two weights in
every row and every column of each 4x4 tile, so that the transposed matrix is 2:4 as well: the best of the 90 patterns
(``m4n2_2d_best``) and a greedy choice (``m4n2_2d_greedy``). Scores, where given, decide in the place of magnitudes.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES
from stcsim.numerics.codes import Codes, alike, held, magnitude_keys, magnitudes, place, shape_of, values
from stcsim.words import Method, size, text, word

METHODS = tuple(Method)
PAIRS = "4:8-pairs"


def prune(
    w: npt.ArrayLike,
    pattern: str = "2:4",
    method: str = "magnitude",
    axis: int = -1,
    *,
    row_axis: int | None = None,
    dtype: str | None = None,
    scores: npt.ArrayLike | None = None,
) -> npt.NDArray[Any]:
    """Return a copy of ``w``, of the same type, in which every weight that the pattern drops is +0.

    Args:
        w: weights of any number of dimensions: numpy floats or integers, ``ml_dtypes``, or a torch tensor, which gives one back.
        pattern: ``"N:M"``, N of each M consecutive weights along ``axis`` are kept (``"1:2"`` is what tf32 wants); or
            ``"4:8-pairs"``, two of each four pairs of neighbours, which the 4-bit types want.
        method: ``"magnitude"``, or for 2:4 ``"2d-best"`` or ``"2d-greedy"``.
        axis: the dimension that a GEMM reduces (k): -1 for a linear layer, 1 for a convolution's (K, C, R, S).
        row_axis: the other dimension of the 4x4 tiles of the 2-D methods; the last one that is not ``axis`` when None.
            For a convolution give 0.
        dtype: the element type when ``w`` holds raw codes, e.g. ``"bf16"``; unsigned integers are numbers without it.
        scores: numbers of the shape of ``w`` that decide in the place of its magnitudes, the largest being kept: saliencies of
            SparseGPT, Wanda or a Hessian, made elsewhere. They may be negative; every rule below holds for them.

    Ties. Of equal magnitudes the lowest index is kept first. 2d-greedy visits a tile by descending magnitude, equal ones
    row by row, and keeps a weight when its row and its column hold fewer than two; it may keep fewer than eight.
    2d-best takes the first largest sum of magnitudes (in float64) of the patterns in lexicographic order of the kept
    columns of row 0, then 1, 2, 3; 4:8-pairs compares the sum of magnitudes of each pair. Infinities are the largest weights.

    Raises:
        UnsupportedError: when the pattern or the method is not known.
        StcsimError: at a NaN among weights or scores or a score of minus infinity, when the shapes differ, or when a dimension is
            not a multiple of the group.
    """
    keep = keep_mask(w, pattern, method, axis, row_axis=row_axis, dtype=dtype, scores=scores)
    array = np.ascontiguousarray(held(w).array).reshape(keep.shape)
    codes = array.view(f"u{array.itemsize}")
    kept: npt.NDArray[Any] = alike((codes * keep).view(array.dtype), w)
    return kept


def keep_mask(
    w: npt.ArrayLike,
    pattern: str = "2:4",
    method: str = "magnitude",
    axis: int = -1,
    *,
    row_axis: int | None = None,
    dtype: str | None = None,
    scores: npt.ArrayLike | None = None,
) -> npt.NDArray[np.bool_]:
    """Return the mask, of the shape of ``w``, of the weights that ``prune`` keeps; same arguments, ties and errors.

    Raises:
        UnsupportedError: when the pattern or the method is not known.
        StcsimError: at a NaN, or when a dimension is not a multiple of the group.
    """
    method = word(Method, method, "pruning method")
    kept, group = _parse(pattern)
    shape = shape_of(w)
    along = _axis("axis of prune", axis, len(shape))
    _whole(shape, along, group)
    if method == "magnitude" and pattern == PAIRS:
        return np.moveaxis(_keep_pairs(np.moveaxis(_sizes(w, dtype, scores), along, -1)), -1, along)
    if method == "magnitude":
        return np.moveaxis(_keep_largest(np.moveaxis(_keys(w, dtype, scores), along, -1), kept, group), -1, along)
    if pattern != "2:4":
        raise UnsupportedError(f"pruning method '{method}'", "pattern 2:4", f"'{pattern}'")
    across = _row_axis(row_axis, along, len(shape))
    _whole(shape, across, 4)
    weights = _keys(w, dtype, scores) if method == "2d-greedy" else _sizes(w, dtype, scores)
    moved = (across, along), (-2, -1)
    return np.moveaxis(_keep_tiles(np.moveaxis(weights, *moved), method), *moved[::-1])


def check_mask(mask: npt.ArrayLike, pattern: str = "2:4", axis: int = -1) -> npt.NDArray[np.bool_]:
    """Return ``mask`` as booleans when it keeps at most N of each M consecutive weights along ``axis``.

    Args:
        mask: of any number of dimensions: booleans, or integers 0 and 1; 1 keeps a weight. Numpy or torch.
        pattern: ``"N:M"``, or ``"4:8-pairs"``, which keeps something in at most two of each four pairs of neighbours.
        axis: the dimension that a GEMM reduces.

    Raises:
        UnsupportedError: when the pattern is not known.
        StcsimError: for a mask of something else, for a dimension that is not a multiple of the group, and for the first group
            with too many; row and group are named.
    """
    kept, group = _parse(pattern)
    array, name = held(mask)
    along = _axis("axis of check_mask", axis, array.ndim, "a mask that has")
    _whole(array.shape, along, group, "mask")
    if array.dtype.kind not in "biu" or array.dtype.name != name or (array.size and not ((array == 0) | (array == 1)).all()):
        raise StcsimError("mask", "booleans, or integers 0 and 1", f"an array of {name}, or another number in it")
    keep = array.astype(np.bool_)
    moved = np.moveaxis(keep, along, -1)
    units = moved.reshape(*moved.shape[:-1], moved.shape[-1] // group, group)
    counts = (units[..., 0::2] | units[..., 1::2]).sum(axis=-1) if pattern == PAIRS else units.sum(axis=-1)
    most, what = (2, "pairs with a kept weight") if pattern == PAIRS else (kept, "kept weights")
    if counts.size and counts.max() > most:
        at = tuple(int(each) for each in np.unravel_index(int(np.argmax(counts > most)), counts.shape))
        raise StcsimError(f"mask, {place(at, counts.shape, 'group')}", f"at most {most} {what}", str(int(counts[at])))
    return keep


def _keys(w: npt.ArrayLike, dtype: str | None, scores: npt.ArrayLike | None) -> npt.NDArray[Any]:
    """Return numbers that are ordered as magnitudes or scores are."""
    keys = magnitude_keys(w, dtype)  # finds a NaN, whatever decides
    return keys if scores is None else _decisive(scores, keys.shape)


def _sizes(w: npt.ArrayLike, dtype: str | None, scores: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """Return magnitudes or scores as float64, to be added."""
    return magnitudes(w, dtype) if scores is None else _keys(w, dtype, scores).astype(np.float64)


def _decisive(scores: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return scores as integers, float32 or float64."""
    array, name = held(scores)
    if array.shape != shape:
        raise StcsimError("scores", f"shape {shape}, that of the weights", str(array.shape))
    numbers = array if array.dtype.name == name else values(array, name)
    if numbers.dtype.kind == "b":
        return numbers.view(np.uint8)
    if numbers.dtype.kind in "iu":
        return numbers
    if numbers.dtype.kind == "V" and name in {row.numpy for row in DTYPES.values()}:
        numbers = numbers.astype(np.float32)
    if numbers.dtype.kind != "f":
        raise StcsimError("scores", "numbers", f"an array of {name}")
    lost = ~(numbers > -np.inf)  # true for NaN
    if lost.any():
        at = tuple(int(each) for each in np.unravel_index(int(np.argmax(lost)), shape))
        raise StcsimError(f"score at {place(at, shape)}", "a number above minus infinity", str(numbers[at]))
    return numbers.astype(np.float32 if numbers.itemsize <= 4 else np.float64, copy=False)


def _keep_largest(keys: Codes, kept: int, group: int) -> npt.NDArray[np.bool_]:
    """Keep ``kept`` of each ``group`` keys along the last axis."""
    from stcsim.numerics.sparse import pruning_fast

    keep = np.empty(keys.shape, np.bool_)
    pruning_fast.keep_largest(np.ascontiguousarray(keys).reshape(-1, group), kept, keep.reshape(-1, group))
    return keep


def _keep_pairs(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Keep the two largest of each four pairs of neighbours along the last axis."""
    return np.repeat(_keep_largest(weights[..., 0::2] + weights[..., 1::2], 2, 4), 2, axis=-1)


def _keep_tiles(weights: Codes, method: str) -> npt.NDArray[np.bool_]:
    """Keep at most two of every row and column of the 4x4 tiles of the last two axes."""
    from stcsim.numerics.sparse import pruning_fast

    shape = weights.shape
    cut = (*shape[:-2], shape[-2] // 4, 4, shape[-1] // 4, 4)
    tiles = np.ascontiguousarray(weights.reshape(cut).swapaxes(-3, -2))
    keep = np.zeros(tiles.shape, np.bool_)
    kernel = pruning_fast.keep_best if method == "2d-best" else pruning_fast.keep_greedy
    kernel(tiles.reshape(-1, 16), keep.reshape(-1, 16))
    return keep.swapaxes(-3, -2).reshape(shape)


def _parse(pattern: str) -> tuple[int, int]:
    """Return N and M."""
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})(-pairs)?", text(pattern, "pattern", f"N:M, or {PAIRS}"))
    kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= kept < group or (found and found[3] and pattern != PAIRS):
        raise UnsupportedError("pruning pattern", f"N:M with 1 <= N < M, or {PAIRS}", f"'{pattern}'")
    return kept, group


def _axis(where: str, axis: int, ndim: int, what: str = "weights that have") -> int:
    """Return ``axis`` counted from the front."""
    if not -ndim <= size(axis, where.split()[0], -ndim) < ndim:
        raise StcsimError(where, f"a dimension of {what} {ndim}", f"{axis}")
    return axis % ndim


def _row_axis(row_axis: int | None, along: int, ndim: int) -> int:
    """Return the dimension of the rows of 4x4 tiles."""
    if ndim < 2:
        raise StcsimError("weights for a 2-D method", "at least two dimensions", f"{ndim}")
    across = (
        max(each for each in range(ndim) if each != along) if row_axis is None else _axis("row_axis of prune", row_axis, ndim)
    )
    if across == along:
        raise StcsimError("row_axis of prune", f"another dimension than axis {along}", f"{row_axis}")
    return across


def _whole(shape: tuple[int, ...], axis: int, group: int, what: str = "weights") -> None:
    """Refuse a dimension that is not whole groups."""
    if shape[axis] % group:
        raise StcsimError(f"{what} of shape {shape}", f"dimension {axis} to be a multiple of {group}", f"{shape[axis]}")
