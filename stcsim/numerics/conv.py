"""Convolutions through the datapath, as implicit GEMMs: filters times image patches.

The reduction runs over (r, s, c), c fastest, as in kernels on NHWC images. Assumed: c is not padded within a filter tap.
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
from stcsim.numerics.sparse.sparse24 import Sparse24
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
        matrix: Any = Sparse24(_grouped(w.values, groups), _grouped(w.metadata, groups), w.dtype, w.k)
        shape = _pair(filter_shape, "filter_shape")
    else:
        filters = to_codes(w, types[0], "conv2d: w")
        matrix, shape = _grouped(filter_matrix(filters), groups), (int(filters.shape[2]), int(filters.shape[3]))
    pixels = im2col(image, shape, steps, borders, spread, groups)
    batch, p, q = pixels.shape[2:]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    d = gemm(matrix, flat, _addend(c, (groups, batch, p, q)), epilogue=_by_group(epilogue, groups), **options)
    return np.ascontiguousarray(d.reshape(-1, batch, p, q).transpose(1, 0, 2, 3))


def filter_matrix(w: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return filters (filters, c, r, s) as the A of the implicit GEMM, (filters, r * s * c) with c fastest.

    Raises:
        StcsimError: when ``w`` has not four dimensions.
    """
    if w.ndim != 4:
        raise StcsimError("conv2d: w", "shape (filters, c / groups, r, s)", str(w.shape))
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
    wide = np.pad(x, [(0, 0), (0, 0), *((each, each) for each in padding)])
    reach = [dilation[at] * (shape[at] - 1) + 1 for at in (0, 1)]
    if wide.shape[2] < reach[0] or wide.shape[3] < reach[1]:
        raise StcsimError(
            "conv2d: x", f"an image of at least {reach[0]} x {reach[1]} with its padding", f"{wide.shape[2]} x {wide.shape[3]}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(wide, reach, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    batch, channels, p, q, r, s = windows.shape
    parts = windows.reshape(batch, groups, channels // groups, p, q, r, s).transpose(1, 5, 6, 2, 0, 3, 4)
    return np.ascontiguousarray(parts).reshape(groups, r * s * (channels // groups), batch, p, q)


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
