"""Raw codes of the element types of 2:4 weights: which arrays hold them, what is zero, what is NaN, how they compare.

A raw code is the bit pattern of one element, as an unsigned integer. Exports ``CODES``, ``Code``, ``code_of``,
``as_codes``, ``magnitude_keys``, ``magnitudes`` and ``place``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, closest

Codes = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Code:
    """One element type.

    Attributes:
        name: as in ``Sparse24.dtype``.
        array: name of the numpy or ``ml_dtypes`` type that holds it.
        bits: of one element; 4-bit types still take one byte each in an array.
        magnitude: mask of the bits that are all zero in a zero: a float's sign is left out, so -0 is a zero.
        largest: the largest magnitude that is a number, infinity included; None for integers, which have no NaN.
        pair: elements that one index of the metadata stands for: 2 for the 4-bit types (4:8 in pairs), else 1.
        group: elements in one group of the metadata (PTX ISA, "Sparse matrix storage").
    """

    name: str
    array: str
    bits: int
    magnitude: int
    largest: int | None
    pair: int = 1
    group: int = 4

    @property
    def kept(self) -> int:
        """Elements kept in a group."""
        return self.group // 2

    @property
    def container(self) -> np.dtype[Any]:
        """The unsigned integer type of raw codes."""
        return np.dtype(f"uint{max(self.bits, 8)}")


CODES: dict[str, Code] = {
    row.name: row
    for row in (
        Code("fp16", "float16", 16, 0x7FFF, 0x7C00),
        Code("bf16", "bfloat16", 16, 0x7FFF, 0x7F80),
        Code("tf32", "float32", 32, 0x7FFFFFFF, 0x7F800000, group=2),
        Code("int8", "int8", 8, 0xFF, None),
        Code("uint8", "uint8", 8, 0xFF, None),
        Code("int4", "int4", 4, 0xF, None, pair=2, group=8),
        Code("uint4", "uint4", 4, 0xF, None, pair=2, group=8),
        Code("e4m3", "float8_e4m3fn", 8, 0x7F, 0x7E),
        Code("e5m2", "float8_e5m2", 8, 0x7F, 0x7C),
    )
}
BY_ARRAY = {row.array: row for row in CODES.values()} | {"float64": Code("float64", "float64", 64, 2**63 - 1, 0x7FF << 52)}


def code_of(name: str) -> Code:
    """Return the element type called ``name``.

    Raises:
        UnsupportedError: when no such type is known.
    """
    if name not in CODES:
        raise UnsupportedError("dtype", f"one of {', '.join(CODES)}", f"'{name}'{closest(name, CODES)}")
    return CODES[name]


def as_codes(w: npt.ArrayLike, dtype: str) -> Codes:
    """Return ``w`` as raw codes of ``dtype``: (..., m, k) unsigned integers, C-contiguous, not copied if they were.

    Args:
        w: raw codes (``uint8``, ``uint16``, ``uint32``) or an array of the matching numpy or ``ml_dtypes`` type.
        dtype: the element type, a key of ``CODES``.

    Raises:
        StcsimError: when the array is of another type, has no columns, or holds a 4-bit code above 15.
    """
    row, array = code_of(dtype), _native(w)
    if array.dtype.name not in (row.array, row.container.name):
        raise StcsimError(f"{dtype} matrix", _accepted(row), f"an array of {array.dtype.name}")
    if array.ndim == 0:
        raise StcsimError(f"{dtype} matrix", "at least one dimension", "a single number")
    codes = np.ascontiguousarray(array).view(row.container)
    if row.bits == 4:
        if array.dtype == row.container and codes.size and codes.max() > 0xF:
            at = place(_first(codes > 0xF), codes.shape)
            raise StcsimError(f"{dtype} matrix, {at}", "a code of 4 bits", f"{int(codes[codes > 0xF][0])}")
        codes = codes & 0xF
    return codes


def magnitude_keys(w: npt.ArrayLike, dtype: str | None = None) -> Codes:
    """Return unsigned integers of the shape of ``w`` that are ordered as its magnitudes are.

    Args:
        w: numbers in any numpy or ``ml_dtypes`` type of ``CODES``, or any numpy integer type.
        dtype: the element type when ``w`` holds raw codes; without it unsigned integers are numbers.

    Raises:
        StcsimError: at a NaN, which has no magnitude, or when the type of the array is not known.
    """
    array = _native(w)
    row = _row(array, dtype)
    if row is None or (row.largest is None and row.bits >= 8):  # plain integers; of the codes only int8 has a sign
        numbers = array.view(np.int8) if row and row.name == "int8" else array
        integers: Codes = np.abs(numbers).view(f"u{numbers.itemsize}")  # abs(-128) wraps to the code 128, which is right
        return integers
    codes = array.view(f"u{array.itemsize}")
    if row.largest is None:  # 4 bits, two's complement or none
        low = codes & 0xF
        return np.minimum(low, (16 - low) & 0xF) if row.name == "int4" else low
    keys: Codes = codes & codes.dtype.type(row.magnitude)
    if keys.size and keys.max() > row.largest:
        raise StcsimError(f"weight at {place(_first(keys > row.largest), keys.shape)}", "a number", "NaN")
    return keys


def magnitudes(w: npt.ArrayLike, dtype: str | None = None) -> npt.NDArray[np.float64]:
    """Return the magnitudes of ``w`` as float64, exact but for integers above 2**53; arguments as ``magnitude_keys``."""
    keys, row = magnitude_keys(w, dtype), _row(np.asarray(w), dtype)
    if row is None or row.largest is None:
        return keys.astype(np.float64)
    if row.name == "bf16":
        return (keys.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if row.name == "e5m2":
        return (keys.astype(np.uint16) << 8).view(np.float16).astype(np.float64)
    if row.name == "e4m3":  # bias 7, three fraction bits
        significand = ((keys & 7) + 8 * (keys > 7)).astype(np.float64)
        return np.asarray(np.ldexp(significand, np.maximum(keys >> 3, 1).astype(np.int32) - 10), np.float64)
    return np.asarray(keys.view(f"f{keys.itemsize}"), np.float64)


def place(index: Sequence[int], shape: Sequence[int], column: str = "column") -> str:
    """Return ``"row 3, column 17"`` for an index into an array; leading dimensions are named before as ``matrix (1, 0)``."""
    if len(shape) == 1:
        return f"{column} {index[0]}"
    matrix = f"matrix ({', '.join(str(each) for each in index[:-2])}), " if len(shape) > 2 else ""
    return f"{matrix}row {index[-2]}, {column} {index[-1]}"


def _native(w: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return ``w`` as an array in the byte order of this machine."""
    array = np.asarray(w)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _accepted(row: Code) -> str:
    """Return the arrays that hold the type, in words."""
    raw = f"raw codes in {row.container.name}"
    return raw if row.array == row.container.name else f"{raw} or an array of {row.array}"


def _row(array: npt.NDArray[Any], dtype: str | None) -> Code | None:
    """Return the element type of an array, or None for integers that stand for themselves."""
    if dtype is not None:
        row = code_of(dtype)
        if array.dtype.name not in (row.array, row.container.name):
            raise StcsimError(f"{dtype} weights", _accepted(row), f"an array of {array.dtype.name}")
        return row
    if array.dtype.name in BY_ARRAY:
        return BY_ARRAY[array.dtype.name]
    if array.dtype.kind in "iu":
        return None
    raise StcsimError("weights", f"integers or one of {', '.join(BY_ARRAY)}", f"an array of {array.dtype.name}")


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the index of the first True."""
    return tuple(int(each) for each in np.unravel_index(int(np.argmax(where)), where.shape))
