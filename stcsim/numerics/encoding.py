"""From numbers to raw codes, as software does it before a tensor core sees them. Exports ``encode``.

It rounds to nearest, ties to even, in one step: the ``cvt.rn`` of PTX, and numpy's, torch's and ``ml_dtypes``' conversions from
float32. A tensor core itself does not round its inputs: it reads codes, of tf32 without their low 13 bits.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES, DType, code_dtype
from stcsim.numerics.codes import Codes, code_type, held, place, to_codes, values
from stcsim.words import flag

_SOURCES = (("float32", DTYPES["fp32"]), ("float64", DTYPES["fp64"]))
_SCRATCH = 2048


def encode(x: npt.ArrayLike, dtype: str, *, saturate: bool | None = None) -> Codes:
    """Return the raw codes of the numbers of type ``dtype`` nearest to ``x``, ties to even, in the shape of ``x``.

    The inverse of ``values``: ``encode(values(codes, dtype), dtype)`` gives the codes back, but for NaN, of which each type has
    one here, the one that tensor cores and ``cvt`` write (0x7FFF for fp16 and bf16, 0x7F for fp8, 0x7FFFFFFF for tf32).

    Args:
        x: numbers of any shape: numpy floats or signed integers, ``ml_dtypes`` floats, lists, or torch tensors.
        dtype: any element type, by any of its names; fp8 is e4m3. tf32 is rounded to its 10 fraction bits here, whereas the
            datapath drops the low 13 bits of whatever float32 it is given.
        saturate: whether the largest finite number stands for what is beyond it, infinity included. By default so in types of 8
            bits and less (``cvt.satfinite``, which is the only one that PTX has for fp8), and not in the others, where infinity
            does, as in IEEE 754. ``False`` gives NaN in e4m3 and infinity in e5m2. Integers, e2m1 and every other type without
            infinity and NaN always saturate.

    Raises:
        UnsupportedError: for an unknown type, or ``saturate=False`` in a type that has nothing beyond its range.
        StcsimError: for NaN in a type that has none, and for raw codes, which unsigned integers are.
    """
    form, numbers = code_dtype(dtype, "dtype"), _numbers(x)
    clamps = _saturates(form, saturate)
    if not form.has_nan and np.isnan(numbers).any():
        first = np.unravel_index(int(np.argmax(np.isnan(numbers))), numbers.shape)
        there = f", {place([int(each) for each in first], numbers.shape)}" if numbers.ndim else ""
        raise StcsimError(f"encode{there}", f"a number, as {form.name} has no NaN", "NaN")
    flat, out = np.ascontiguousarray(numbers).reshape(-1), np.empty(numbers.size, code_type(form))
    _fill(flat, form, clamps, out)
    return out.reshape(numbers.shape)


def _numbers(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return ``x`` in float32 when that holds it exactly, else in float64."""
    array, name = held(x)
    known = next(
        (row for row in DTYPES.values() if row.is_float and name in (row.numpy, row.torch) and not row.dropped_bits), None
    )
    if name in dict(_SOURCES):
        return array
    if known is not None:
        return array.astype(np.float32) if array.dtype.name == name else _read(known)[to_codes(array, known, "encode")]
    if array.dtype.kind not in "ib" or (array.dtype.itemsize == 8 and array.size and _widest(array) > 2**53):
        what = "floats or signed integers up to 2**53 (unsigned ones are raw codes, which values() decodes)"
        raise StcsimError("encode", what, f"an array of {name}")
    return array.astype(np.float64)


@cache
def _read(form: DType) -> npt.NDArray[np.float32]:
    """Return the number of every code of a short type."""
    return values(np.arange(1 << form.bits).astype(code_type(form)), form.name).astype(np.float32)


def _widest(array: npt.NDArray[Any]) -> int:
    return max(-int(array.min()), int(array.max()))


def _saturates(form: DType, saturate: bool | None) -> bool:
    """Return whether numbers beyond the range become the largest one."""
    only = not form.has_inf and not form.has_nan
    clamps = only or form.needs_scale if saturate is None else flag(saturate, "saturate")
    if only and not clamps:
        raise UnsupportedError("saturate", f"True for {form.name}, which has neither infinity nor NaN", "False")
    return clamps


def _fill(x: npt.NDArray[Any], form: DType, clamps: bool, out: Codes) -> None:
    """Write the codes of flat float32 or float64 numbers."""
    from stcsim.numerics import encoding_fast

    if not form.is_float:
        low = -(2.0 ** (form.bits - 1)) if form.signed else 0.0
        encoding_fast.encode_integers(x, low, form.largest, (1 << form.bits) - 1, out)
        return
    source = dict(_SOURCES)[x.dtype.name]
    if source.fraction_bits < form.fraction_bits:
        x, source = x.astype(np.float64), DTYPES["fp64"]
    bits = x.view(code_type(source))
    kind, unit = bits.dtype.type, form.min_exponent - form.fraction_bits
    shift = x.dtype.type(math.ldexp(1.0, unit + source.fraction_bits))
    fields = _target(source, form, clamps, int(shift.view(bits.dtype)))
    target, moved = encoding_fast.FloatTarget(*(kind(each) for each in fields)), np.empty(_SCRATCH, x.dtype)
    with np.errstate(all="ignore"):
        encoding_fast.encode_floats(x, bits, shift, target, moved, moved.view(bits.dtype), out)


def _target(source: DType, form: DType, clamps: bool, small: int) -> tuple[int, ...]:
    """Return the fields of ``FloatTarget``."""
    drop, rebias = source.fraction_bits - form.fraction_bits, source.bias - form.bias
    largest = (form.largest_code >> form.dropped_bits) - form.has_inf
    beyond = largest if clamps or not (form.has_inf or form.has_nan) else largest + 1
    return (
        source.magnitude_mask,
        source.largest_code,
        (form.min_exponent + source.bias) << source.fraction_bits,
        drop,
        (1 << drop - 1) - 1 if drop else 0,
        int(drop > 0),
        rebias << form.fraction_bits,
        largest,
        beyond,
        form.nan_code >> form.dropped_bits if form.has_nan else 1 << form.bits,
        source.bits - 1,
        form.exponent_bits + form.fraction_bits,
        form.dropped_bits,
        small,
    )
