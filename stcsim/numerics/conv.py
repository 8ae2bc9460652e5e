"""Convolutions through the datapath, as implicit GEMMs: filters times image patches.

The reduction runs over (r, s, c), c fastest, as in kernels on NHWC images, unless ``channel_block`` says otherwise. A Hopper
kernel of cuDNN was seen to take 64 of 256 channels through all taps, then the next 64 (``tests/validation/h200/README.md``).
Assumed: c is not padded within a filter tap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, quoted
from stcsim.numerics.codes import Codes, alike, held, to_codes
from stcsim.numerics.epilogue import Epilogue
from stcsim.numerics.matmul import gemm, input_types
from stcsim.numerics.sparse.sparse24 import Sparse24, check_form
from stcsim.words import size


def conv2d(
    x: npt.ArrayLike,
    w: npt.ArrayLike | Sparse24,
    c: npt.ArrayLike | None = None,
    *,
    filter_shape: tuple[int, int] | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    channel_block: int | None = None,
    epilogue: Epilogue | None = None,
    **options: Any,
) -> Codes:
    """Return the convolution of images with filters, (batch, filters, p, q), through an implicit GEMM.

    The groups of four of 2:4 lie along input channels, of which a sparse convolution has a multiple of four.

    Args:
        x: (batch, c, h, w) raw codes, or the matching numpy, ml_dtypes or torch array.
        w: (filters, c / groups, r, s), likewise, or a compressed ``filter_matrix`` of it.
        c: (batch, filters, p, q), as ``gemm`` takes it; ``None`` is zero.
        filter_shape: (r, s), needed with a compressed ``w``.
        stride, padding, dilation: one number or (rows, columns); padding is zeros on both sides.
        groups: independent parts of the channels.
        channel_block: channels that go through all taps before the next ones do, k being (c / block, r, s, c mod block);
            a multiple of eight that divides the channels of a group. By default all: k is (r, s, c).
        epilogue: of ``gemm``; a row is a filter here, a column a pixel of the output (image, row, column).
        options: of ``gemm``: arch, dtype, sparsity, order, engine and so on.

    Raises:
        StcsimError: when types or shapes do not fit.
    """
    types = input_types(w, options.get("dtype"), options.get("b_dtype"))
    image, groups = to_codes(x, types[1], "conv2d: x"), size(groups, "groups")
    steps, borders, spread = _pair(stride, "stride"), _pair(padding, "padding", 0), _pair(dilation, "dilation")
    if isinstance(w, Sparse24):
        if filter_shape is None:
            raise StcsimError("conv2d", "filter_shape (r, s) beside a compressed w", "none")
        check_form(w)
        matrix: Any = Sparse24(_grouped(w.values, groups), _grouped(w.metadata, groups), w.dtype, w.k)
        shape = _pair(filter_shape, "filter_shape")
    else:
        filters = to_codes(w, types[0], "conv2d: w")
        matrix, shape = _grouped(filter_matrix(filters), groups), (int(filters.shape[2]), int(filters.shape[3]))
    pixels = im2col(image, shape, steps, borders, spread, groups)
    batch, p, q = pixels.shape[2:]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    if channel_block is not None:
        matrix, flat = _in_blocks(matrix, flat, shape[0] * shape[1], channel_block)
    d = gemm(matrix, flat, _addend(c, (groups, batch, p, q)), epilogue=_by_group(epilogue, groups), **options)
    return np.ascontiguousarray(d.reshape(-1, batch, p, q).transpose(1, 0, 2, 3))


def filter_matrix(w: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return filters (filters, c, r, s) as the A of the implicit GEMM, (filters, r * s * c) with c fastest.

    Raises:
        StcsimError: when ``w`` has not four dimensions, or is empty.
    """
    if w.ndim != 4 or not w.size:
        raise StcsimError("conv2d: w", "shape (filters, c / groups, r, s), none of them 0", str(w.shape))
    return np.ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(w.shape[0], -1)


def im2col(
    x: npt.NDArray[Any],
    shape: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> npt.NDArray[Any]:
    """Return images (batch, c, h, w) as the B of the implicit GEMM, (groups, r * s * c / groups, batch, p, q).

    Raises:
        StcsimError: when ``x`` has not four dimensions, or the filter does not fit into the padded image.
    """
    if x.ndim != 4 or x.shape[1] % groups:
        raise StcsimError("conv2d: x", f"shape (batch, c, h, w) with c a multiple of {groups} groups", str(x.shape))
    extent = [x.shape[2 + at] + 2 * padding[at] for at in (0, 1)]
    reach = [dilation[at] * (shape[at] - 1) + 1 for at in (0, 1)]
    if extent[0] < reach[0] or extent[1] < reach[1]:
        expected = f"an image of at least {reach[0]} x {reach[1]} with its padding"
        raise StcsimError("conv2d: x", expected, f"{extent[0]} x {extent[1]}")
    try:
        return _windows(x, reach, stride, padding, dilation, groups)
    except (MemoryError, ValueError, OverflowError):  # numpy's words for an array beyond all memory
        raise StcsimError("conv2d: x", "an image that fits in memory with its padding", f"{extent[0]} x {extent[1]}") from None


def _windows(
    x: npt.NDArray[Any],
    reach: list[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> npt.NDArray[Any]:
    """Return what each pixel of the output sees, as ``im2col`` does."""
    wide = np.pad(x, [(0, 0), (0, 0), *((each, each) for each in padding)])
    windows = np.lib.stride_tricks.sliding_window_view(wide, reach, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    batch, channels, p, q, r, s = windows.shape
    parts = windows.reshape(batch, groups, channels // groups, p, q, r, s).transpose(1, 5, 6, 2, 0, 3, 4)
    return np.ascontiguousarray(parts).reshape(groups, r * s * (channels // groups), batch, p, q)


def _in_blocks(matrix: Any, pixels: npt.NDArray[Any], taps: int, channel_block: object) -> tuple[Any, npt.NDArray[Any]]:
    """Return A and B of the implicit GEMM with k = (tap, c) as (c / block, tap, c mod block)."""
    channels, block = pixels.shape[1] // taps, size(channel_block, "channel_block")
    if channels % block or block % 8:  # whole groups of every type
        raise StcsimError("channel_block", f"a multiple of 8 that divides {channels} channels", str(block))

    def moved(array: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        each = array.shape[axis] * block // (taps * channels)
        cut = (*array.shape[:axis], taps, channels // block, each, *array.shape[axis + 1 :])
        return np.ascontiguousarray(array.reshape(cut).swapaxes(axis, axis + 1)).reshape(array.shape)

    if isinstance(matrix, Sparse24):
        return replace(matrix, values=moved(matrix.values, 2), metadata=moved(matrix.metadata, 2)), moved(pixels, 1)
    return moved(matrix, 2), moved(pixels, 1)


def _addend(c: npt.ArrayLike | None, shape: tuple[int, int, int, int]) -> Any:
    """Return (batch, filters, p, q) as the C of the implicit GEMM, (groups, filters / groups, batch * p * q), in its type."""
    if c is None:
        return None
    groups, batch, p, q = shape
    array = held(c).array
    if array.ndim != 4 or (array.shape[0], *array.shape[2:]) != (batch, p, q) or array.shape[1] % groups:
        raise StcsimError("conv2d: c", f"shape ({batch}, filters, {p}, {q})", str(array.shape))
    return alike(np.ascontiguousarray(array.transpose(1, 0, 2, 3)).reshape(groups, -1, batch * p * q), c)


def _by_group(epilogue: Any, groups: int) -> Any:
    """Return an epilogue whose arrays of a number for each filter are (groups, filters / groups)."""
    if groups == 1 or not isinstance(epilogue, Epilogue):
        return epilogue
    rows = {"row_scale": epilogue.row_scale, "bias": epilogue.bias if epilogue.bias_along == "row" else None}
    parts = {
        name: alike(_grouped(held(each).array.reshape(-1, 1), groups)[..., 0], each)
        for name, each in rows.items()
        if each is not None
    }
    return replace(epilogue, **parts)


def _grouped(matrix: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """Return (rows, columns) as (groups, rows / groups, columns)."""
    if matrix.shape[0] % groups:
        raise StcsimError("conv2d: w", f"a multiple of {groups} filters, one for each group", str(matrix.shape[0]))
    return matrix.reshape(groups, -1, matrix.shape[-1])


def _pair(value: object, argument: str, least: int = 1) -> tuple[int, int]:
    """Return (rows, columns) of one number or of two."""
    both = list(value) if isinstance(value, tuple | list) else [value, value]
    if len(both) != 2:
        raise StcsimError(argument, "one number, or two for rows and columns", quoted(value))
    return size(both[0], argument, least), size(both[1], argument, least)
