"""What raw codes of element types stand for: exact in Python integers, and by whole arrays in numpy.

A *code* is the bit pattern of a number, held in an unsigned integer; its fields stand in the table of ``isa.elements``. The
scalar functions are the specification that ``reference`` uses; the array functions serve ``fast`` and share nothing with them
but the rows of that table.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError
from stcsim.isa import DType, code_dtype

Codes: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]


def float_format(name: str) -> DType:
    """Return the floating-point type called ``name``.

    Raises:
        StcsimError: for an integer type, or a name that is no type.
    """
    row = code_dtype(name)
    if not row.is_float:
        raise StcsimError("element type", "a floating-point type", f"'{name}'")
    return row


class Number(NamedTuple):
    """A decoded code: ``(-1)^negative * significand * 2^(exponent - fraction_bits)``.

    Subnormals keep the format's smallest exponent, with a significand below ``2^fraction_bits``.
    """

    kind: Literal["finite", "inf", "nan"]
    negative: bool
    significand: int
    exponent: int


@lru_cache(maxsize=1 << 17)
def decode(code: int, form: DType) -> Number:
    """Return the number that ``code`` stands for, exactly."""
    code >>= form.dropped_bits
    fraction = code & ((1 << form.fraction_bits) - 1)
    stored = (code >> form.fraction_bits) & ((1 << form.exponent_bits) - 1)
    negative = bool(code >> (form.fraction_bits + form.exponent_bits))
    top = stored == (1 << form.exponent_bits) - 1
    if top and form.has_inf:
        return Number("nan" if fraction else "inf", negative, 0, 0)
    if top and form.has_nan and fraction == (1 << form.fraction_bits) - 1:
        return Number("nan", negative, 0, 0)
    if stored == 0:
        return Number("finite", negative, fraction, form.min_exponent)
    return Number("finite", negative, fraction + (1 << form.fraction_bits), stored - form.bias)


def encode(number: Number, form: DType) -> int:
    """Return the code of a number that ``form`` holds exactly; NaN becomes the one pattern ``form.nan_code``."""
    if number.kind == "nan":
        return form.nan_code
    sign = int(number.negative) << (form.exponent_bits + form.fraction_bits)
    if number.kind == "inf":
        return (sign | ((1 << form.exponent_bits) - 1) << form.fraction_bits) << form.dropped_bits
    hidden = 1 << form.fraction_bits
    if number.significand < hidden:
        return (sign | number.significand) << form.dropped_bits
    return (sign | (number.exponent + form.bias) << form.fraction_bits | number.significand - hidden) << form.dropped_bits


def code_type(form: DType) -> np.dtype[Any]:
    """Return the unsigned numpy type that holds the codes of ``form``."""
    return np.dtype(f"uint{form.code_bits}")


def decoded(codes: Codes, form: DType) -> tuple[Floats, Floats]:
    """Return the values of ``codes`` and, for each, ``2^exponent`` (0 for zero, NaN and infinity), both as float64."""
    if form.bits <= 16:
        value, power = _table(form)
        return value[codes], power[codes]
    return _decoded(codes, form)


def integers(codes: Codes, form: DType) -> npt.NDArray[np.int64]:
    """Return the integers that ``codes`` stand for."""
    wide = codes.astype(np.int64)
    return wide - ((wide >> (form.bits - 1)) << form.bits) if form.signed else wide


def encoded(values: Floats, form: DType) -> Codes:
    """Return the codes nearest to ``values``, ties to even.

    Beyond the range stands infinity, in types without it NaN, and in types without either (e2m1) the largest number, which
    stands for NaN too.
    """
    with np.errstate(all="ignore"):
        magnitude = np.abs(values)
        exponent = np.clip(np.frexp(magnitude)[1] - 1, form.min_exponent, form.max_exponent + 1)
        hidden = 1 << form.fraction_bits
        steps = np.rint(np.ldexp(magnitude, form.fraction_bits - exponent))  # in units of the last place; may reach 2 * hidden
        finite = np.where(np.isfinite(steps), np.minimum(steps, 2 * hidden), 0).astype(np.int64)  # far beyond the range is that
    code = finite + np.where(finite >= hidden, (exponent.astype(np.int64) + form.bias - 1) << form.fraction_bits, 0)
    top = ((1 << form.exponent_bits) - 1) << form.fraction_bits
    beyond, nan = (top, top + hidden // 2) if form.has_inf else (top + hidden - 1, top + hidden - 1)  # all ones
    code = np.where(np.isnan(values), nan, np.where(np.isinf(values), beyond, np.minimum(code, beyond)))
    signed = code | np.signbit(values).astype(np.int64) << (form.exponent_bits + form.fraction_bits)
    return (signed << form.dropped_bits).astype(code_type(form))


@cache
def _table(form: DType) -> tuple[Floats, Floats]:
    """Return ``decoded`` of every code of a type of at most 16 bits."""
    return _decoded(np.arange(1 << form.bits), form)


def _decoded(codes: Codes, form: DType) -> tuple[Floats, Floats]:
    fields = codes.astype(np.int64) >> form.dropped_bits
    fraction = fields & ((1 << form.fraction_bits) - 1)
    stored = (fields >> form.fraction_bits) & ((1 << form.exponent_bits) - 1)
    sign = np.where(fields >> (form.fraction_bits + form.exponent_bits), -1.0, 1.0)
    exponent = np.maximum(stored, 1) - form.bias
    significand = fraction + np.where(stored > 0, 1 << form.fraction_bits, 0)
    with np.errstate(over="ignore"):  # an infinity of fp64, which gets its value below
        value = np.ldexp(significand.astype(np.float64), exponent - form.fraction_bits)
        power = np.where(significand == 0, 0.0, np.ldexp(1.0, exponent))
    top = stored == (1 << form.exponent_bits) - 1
    special = top if form.has_inf else top & (fraction == (1 << form.fraction_bits) - 1) & form.has_nan
    value = np.where(special, np.where((fraction > 0) | (not form.has_inf), np.nan, np.inf), value)
    return value * sign, np.where(special, 0.0, power)
