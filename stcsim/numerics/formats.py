"""Number formats of tensor cores as data, and the codes of each: exact in Python integers, and by whole arrays in numpy.

A *code* is the bit pattern of a number, held in an unsigned integer. The scalar functions are the specification that
``reference`` uses; the array functions serve ``fast`` and share nothing with them but the rows of ``FORMATS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, closest

Codes: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)  # compared as objects: the rows of FORMATS are the only ones
class FloatFormat:
    """A binary floating-point format.

    Attributes:
        name: e.g. ``"fp16"``.
        bits: bits of one code.
        exponent_bits, fraction_bits: widths of the two fields; the sign is the top bit.
        has_inf: false when the largest exponent holds numbers, and only the all-ones code is NaN (e4m3; OCP FP8).
        dropped_bits: low bits of the code that the datapath ignores (tf32 is an fp32 without its low 13 bits; PTX ISA, wgmma).
        native: name of the numpy or ml_dtypes type that holds it.
        nan: the code the datapath writes for NaN (MMA-Sim 2.1.1), where it can write this format.
    """

    name: str
    bits: int
    exponent_bits: int
    fraction_bits: int
    native: str
    has_inf: bool = True
    dropped_bits: int = 0
    nan: int = 0

    @property
    def bias(self) -> int:
        """What is added to an exponent to store it."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number and of all subnormals."""
        return 1 - self.bias

    @property
    def max_exponent(self) -> int:
        """Exponent of the largest finite numbers."""
        return self.bias if self.has_inf else self.bias + 1


@dataclass(frozen=True, slots=True)
class IntFormat:
    """A two's-complement (``signed``) or unsigned integer of ``bits`` bits; a code of 4 bits stands in a byte."""

    name: str
    bits: int
    signed: bool
    native: str


Format: TypeAlias = FloatFormat | IntFormat

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        FloatFormat("fp32", 32, 8, 23, "float32", nan=0x7FFFFFFF),
        FloatFormat("fp16", 16, 5, 10, "float16", nan=0x7FFF),
        FloatFormat("bf16", 16, 8, 7, "bfloat16"),
        FloatFormat("tf32", 32, 8, 10, "float32", dropped_bits=13),
        FloatFormat("e4m3", 8, 4, 3, "float8_e4m3fn", has_inf=False),
        FloatFormat("e5m2", 8, 5, 2, "float8_e5m2"),
        IntFormat("int32", 32, True, "int32"),
        IntFormat("int8", 8, True, "int8"),
        IntFormat("uint8", 8, False, "uint8"),
        IntFormat("int4", 4, True, "int4"),
        IntFormat("uint4", 4, False, "uint4"),
    )
}


def number_format(name: str) -> Format:
    """Return the format called ``name``.

    Raises:
        StcsimError: when there is none.
    """
    if name not in FORMATS:
        raise StcsimError("element type", f"one of {', '.join(FORMATS)}", f"'{name}'{closest(name, FORMATS)}")
    return FORMATS[name]


def float_format(name: str) -> FloatFormat:
    """Return the floating-point format called ``name``.

    Raises:
        StcsimError: for an integer type, or a name that is no type.
    """
    row = number_format(name)
    if not isinstance(row, FloatFormat):
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
def decode(code: int, form: FloatFormat) -> Number:
    """Return the number that ``code`` stands for, exactly."""
    code >>= form.dropped_bits
    fraction = code & ((1 << form.fraction_bits) - 1)
    stored = (code >> form.fraction_bits) & ((1 << form.exponent_bits) - 1)
    negative = bool(code >> (form.fraction_bits + form.exponent_bits))
    top = stored == (1 << form.exponent_bits) - 1
    if top and form.has_inf:
        return Number("nan" if fraction else "inf", negative, 0, 0)
    if top and fraction == (1 << form.fraction_bits) - 1:
        return Number("nan", negative, 0, 0)
    if stored == 0:
        return Number("finite", negative, fraction, form.min_exponent)
    return Number("finite", negative, fraction + (1 << form.fraction_bits), stored - form.bias)


def encode(number: Number, form: FloatFormat) -> int:
    """Return the code of a number that ``form`` holds exactly; NaN becomes the one pattern ``form.nan``."""
    if number.kind == "nan":
        return form.nan
    sign = int(number.negative) << (form.exponent_bits + form.fraction_bits)
    if number.kind == "inf":
        return (sign | ((1 << form.exponent_bits) - 1) << form.fraction_bits) << form.dropped_bits
    hidden = 1 << form.fraction_bits
    if number.significand < hidden:
        return (sign | number.significand) << form.dropped_bits
    return (sign | (number.exponent + form.bias) << form.fraction_bits | number.significand - hidden) << form.dropped_bits


def code_type(form: Format) -> np.dtype[Any]:
    """Return the unsigned numpy type that holds the codes of ``form``."""
    return np.dtype(f"uint{max(8, form.bits)}")


def to_codes(array: npt.ArrayLike, form: Format, where: str) -> Codes:
    """Return raw codes of ``array``: unsigned codes as they are, or the bits of the matching numpy or ml_dtypes type.

    Raises:
        StcsimError: when the array has another type, or a 4-bit code is above 15.
    """
    found, wanted = np.asarray(array), code_type(form)
    if found.dtype.name == form.native and form.native in ("int4", "uint4"):
        return (found.astype(np.int8).view(np.uint8) & 15).astype(np.uint8)
    if found.dtype.name == form.native or found.dtype == wanted:
        found = found.view(wanted)
        if form.bits == 4 and found.size and int(found.max()) > 15:
            raise StcsimError(where, "4-bit codes from 0 to 15", str(int(found.max())))
        return found
    names = dict.fromkeys((wanted.name, form.native))
    raise StcsimError(where, f"{form.name} as an array of {' or '.join(names)}", f"an array of {found.dtype.name}")


def values(codes: Codes, name: str) -> Floats:
    """Return what the codes of the type ``name`` stand for, as float64 (exact for every type here)."""
    form = number_format(name)
    raw = to_codes(codes, form, name)
    return integers(raw, form).astype(np.float64) if isinstance(form, IntFormat) else decoded(raw, form)[0]


def decoded(codes: Codes, form: FloatFormat) -> tuple[Floats, Floats]:
    """Return the values of ``codes`` and, for each, ``2^exponent`` (0 for zero, NaN and infinity), both as float64."""
    if form.bits <= 16:
        value, power = _table(form)
        return value[codes], power[codes]
    return _decoded(codes, form)


def integers(codes: Codes, form: IntFormat) -> npt.NDArray[np.int64]:
    """Return the integers that ``codes`` stand for."""
    wide = codes.astype(np.int64)
    return wide - ((wide >> (form.bits - 1)) << form.bits) if form.signed else wide


def encoded(values: Floats, form: FloatFormat) -> Codes:
    """Return the codes nearest to ``values``, ties to even; beyond the range infinity, or NaN where there is none."""
    with np.errstate(all="ignore"):
        magnitude = np.abs(values)
        exponent = np.clip(np.frexp(magnitude)[1] - 1, form.min_exponent, form.max_exponent + 1)
        steps = np.rint(np.ldexp(magnitude, form.fraction_bits - exponent))  # in units of the last place; may reach 2 * hidden
        finite = np.where(np.isfinite(steps), steps, 0).astype(np.int64)
    hidden = 1 << form.fraction_bits
    code = finite + np.where(finite >= hidden, (exponent.astype(np.int64) + form.bias - 1) << form.fraction_bits, 0)
    top = ((1 << form.exponent_bits) - 1) << form.fraction_bits
    beyond, nan = (top, top + hidden // 2) if form.has_inf else (top + hidden - 1, top + hidden - 1)
    code = np.where(np.isnan(values), nan, np.where(np.isinf(values), beyond, np.minimum(code, beyond)))
    signed = code | np.signbit(values).astype(np.int64) << (form.exponent_bits + form.fraction_bits)
    return (signed << form.dropped_bits).astype(code_type(form))


@cache
def _table(form: FloatFormat) -> tuple[Floats, Floats]:
    """Return ``decoded`` of every code of a format of 8 or 16 bits."""
    return _decoded(np.arange(1 << form.bits), form)


def _decoded(codes: Codes, form: FloatFormat) -> tuple[Floats, Floats]:
    fields = codes.astype(np.int64) >> form.dropped_bits
    fraction = fields & ((1 << form.fraction_bits) - 1)
    stored = (fields >> form.fraction_bits) & ((1 << form.exponent_bits) - 1)
    sign = np.where(fields >> (form.fraction_bits + form.exponent_bits), -1.0, 1.0)
    exponent = np.maximum(stored, 1) - form.bias
    significand = fraction + np.where(stored > 0, 1 << form.fraction_bits, 0)
    value = np.ldexp(significand.astype(np.float64), exponent - form.fraction_bits)
    top = stored == (1 << form.exponent_bits) - 1
    if form.has_inf:
        special = top
        value = np.where(top, np.where(fraction > 0, np.nan, np.inf), value)
    else:
        special = top & (fraction == (1 << form.fraction_bits) - 1)
        value = np.where(special, np.nan, value)
    power = np.where(special | (significand == 0), 0.0, np.ldexp(1.0, exponent))
    return value * sign, power
