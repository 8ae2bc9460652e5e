"""What a kernel does with its sums before it writes them: scales, bias, source, activation, output type. Exports ``Epilogue``.

All of it is fp32 outside the tensor core: FMUL, FADD and FFMA, IEEE 754 to nearest even with subnormals, and ``cvt.rn`` at the
end (``cvt.rni.sat`` to integers). Which operations are fused was read in CUTLASS and vLLM (nothing copied):

- ``"cutlass-3"`` (the default): ``beta * C + (alpha * acc + bias)``, two FFMA, as ``Sm90LinCombPerRowBias`` in
  ``sm90_callbacks_tma_warpspecialized.hpp``; without a bias ``alpha * acc`` is rounded by itself. Several scales are multiplied
  one by one, the columns' first, then the rows', then alpha, and the last of them is fused, as in vLLM's ``ScaledEpilogueBias``.
- ``"cutlass-2"``: ``alpha * acc + (beta * C)``, the product with beta rounded by itself, as in ``linear_combination.h``; a bias
  is added to that and rounded once more, as in ``linear_combination_bias_elementwise.h``. Without a C both styles are one.

A compiler that does not fuse (``-fmad=false``) gives other last bits. Assumed: activations are the exact function of the fp32
number, rounded once to fp32. Kernels use ``tanhf`` and ``expf`` or hardware approximations, which differ by some units of
the last place of fp32; those bits are not published. relu is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, quoted
from stcsim.isa import DTYPES, DType, code_dtype
from stcsim.numerics.codes import Codes, held, values
from stcsim.numerics.encoding import encode
from stcsim.numerics.formats import Floats
from stcsim.words import flag, text, word

Singles = npt.NDArray[np.float32]


class Activation(StrEnum):
    """A function of each element."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    GELU = "gelu"
    GELU_TANH = "gelu-tanh"
    SILU = "silu"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    HARDSWISH = "hardswish"


class Style(StrEnum):
    """Whose operations are fused."""

    CUTLASS_3 = "cutlass-3"
    CUTLASS_2 = "cutlass-2"


class Bias(StrEnum):
    """What a bias has one number for."""

    ROW = "row"
    COLUMN = "column"


@dataclass(frozen=True, slots=True, eq=False)
class Epilogue:
    """D = convert(out_scale * activation(beta * C + (alpha * row_scale * column_scale * sum + bias))).

    Arrays are floats in any type (numpy, ``ml_dtypes``, torch), or signed integers; they are brought to fp32, to nearest even.

    Attributes:
        alpha: a number for all of D.
        beta: factor of C, where a C is given; 0 does not read it.
        c_dtype: element type of C; by default that of D.
        bias: (..., m), a number for each row (an output channel where A is the weight), or (..., n) with ``bias_along="column"``.
        bias_along: ``"row"`` or ``"column"``.
        row_scale: (..., m) factors, e.g. the scales of the channels of a quantised weight A.
        column_scale: (..., n) factors, e.g. the scales of the tokens of B.
        activation: ``"none"``, ``"relu"``, ``"relu6"``, ``"gelu"`` (by erf), ``"gelu-tanh"``, ``"silu"``, ``"sigmoid"``,
            ``"tanh"`` or ``"hardswish"``.
        out_scale: factor before the conversion, e.g. the inverse of the scale of a quantised output.
        out_dtype: element type of D, any that has codes.
        saturate: as in ``encode``: by default the largest number stands for larger ones in types of 8 bits and less.
        style: ``"cutlass-3"`` or ``"cutlass-2"``, which operations are fused: see the module.

    Raises:
        UnsupportedError: for a word or a type that is none.
        StcsimError: for arrays that hold no numbers.
    """

    alpha: float = 1.0
    beta: float = 1.0
    c_dtype: str | None = None
    bias: npt.ArrayLike | None = None
    bias_along: str = "row"
    row_scale: npt.ArrayLike | None = None
    column_scale: npt.ArrayLike | None = None
    activation: str = "none"
    out_scale: float = 1.0
    out_dtype: str = "fp32"
    saturate: bool | None = None
    style: str = "cutlass-3"

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("alpha", "beta", "out_scale"):
            if not np.isscalar(getattr(self, name)) or _singles(getattr(self, name), f"epilogue: {name}").ndim:
                raise StcsimError(f"epilogue: {name}", "a number", quoted(getattr(self, name)))
        for name in ("bias", "row_scale", "column_scale"):
            if getattr(self, name) is not None and not _singles(getattr(self, name), f"epilogue: {name}").ndim:
                raise StcsimError(
                    f"epilogue: {name}", "an array, with a number for each row or column", quoted(getattr(self, name))
                )
        code_dtype(text(self.out_dtype, "out_dtype", "the name of an element type"), "out_dtype")
        if self.c_dtype is not None:
            code_dtype(text(self.c_dtype, "c_dtype", "the name of an element type"), "c_dtype")
        word(Activation, self.activation, "activation")
        word(Bias, self.bias_along, "bias_along")
        word(Style, self.style, "style")
        if self.saturate is not None:
            encode(0.0, self.out_dtype, saturate=flag(self.saturate, "saturate"))

    @property
    def out(self) -> DType:
        """The type of D."""
        return code_dtype(self.out_dtype, "out_dtype")

    @property
    def source(self) -> DType:
        """The type of C."""
        return self.out if self.c_dtype is None else code_dtype(self.c_dtype, "c_dtype")

    def finished(self, sums: list[Codes], form: DType, c: Codes | None) -> Codes:
        """Return D, codes of its type (int32 as numbers).

        Args:
            sums: (..., m, n) sums of slices of k: one, or those of serial split-k, each of which reads the D of the one before.
            form: their type: fp32, fp16 or int32.
            c: codes of C, or ``None``.
        """
        with np.errstate(all="ignore"):
            source, beta, d = None if c is None else _numbers(c, self.source), self.beta, sums[0]
            for at, part in enumerate(sums):
                x = self._combined(_numbers(part, form), source, beta, with_bias=at == 0)
                if at == len(sums) - 1:
                    x = _activated(x, word(Activation, self.activation, "activation")) * np.float32(self.out_scale)
                d = encode(x, self.out_dtype, saturate=self.saturate)
                source, beta = _numbers(d, self.out), 1.0
        return d.view(np.int32) if self.out is DTYPES["int32"] else d

    def _combined(self, x: Singles, c: Singles | None, beta: float, with_bias: bool) -> Singles:
        """Return the sums with scales, bias and source, in fp32."""
        bias = self._spread("bias", self.bias_along) if with_bias else None
        scales = [self._spread("column_scale", Bias.COLUMN), self._spread("row_scale", Bias.ROW), np.float32(self.alpha)]
        factors = [each for each in scales[:-1] if each is not None]
        factors += [scales[-1]] if self.alpha != 1 or not factors else []  # a factor of 1 changes nothing
        for factor in factors[:-1]:
            x = x * factor
        c = None if c is None or beta == 0 else c
        if c is not None and word(Style, self.style, "style") is Style.CUTLASS_2:
            x = fused(factors[-1], x, np.float32(beta) * c)
            return x if bias is None else x + bias
        x = factors[-1] * x if bias is None else fused(factors[-1], x, bias)
        return x if c is None else fused(np.float32(beta), c, x)

    def _spread(self, name: str, along: str) -> Any:
        """Return a field as an array that broadcasts to D, or ``None``."""
        given = getattr(self, name)
        if given is None:
            return None
        numbers = _singles(given, f"epilogue: {name}")
        return numbers[..., :, None] if word(Bias, along, "bias_along") is Bias.ROW else numbers[..., None, :]

    def check(self, m: int, n: int) -> None:
        """Refuse arrays that do not fit an m x n product.

        Raises:
            StcsimError: naming the array.
        """
        for name, along in (("bias", self.bias_along), ("row_scale", Bias.ROW), ("column_scale", Bias.COLUMN)):
            given = getattr(self, name)
            count = m if word(Bias, along, "bias_along") is Bias.ROW else n
            if given is not None and np.shape(given)[-1] != count:
                raise StcsimError(
                    f"epilogue: {name}", f"shape (..., {count}), a number for each {along}", str(tuple(np.shape(given)))
                )


def fused(a: Any, b: Any, c: Any) -> Singles:
    """Return a * b + c of float32 numbers, rounded once, to nearest even.

    The product is exact in float64; the sum is rounded to odd there, which keeps what the second rounding has to know.
    """
    product, addend = np.broadcast_arrays(np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64))
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)  # exactly what the sum lost (Knuth's two-sum)
    bits = np.atleast_1d(total).view(np.int64).reshape(total.shape)
    inexact = (error != 0) & np.isfinite(total) & np.isfinite(error) & (bits & 1 == 0)
    odd = bits + np.where(inexact, np.where((error > 0) == (total > 0), 1, -1), 0)
    return np.atleast_1d(odd).view(np.float64).reshape(total.shape).astype(np.float32)


def _activated(x: Singles, activation: Activation) -> Singles:
    """Return the function of each number, rounded once to fp32."""
    return x if activation is Activation.NONE else _FUNCTIONS[activation](x.astype(np.float64)).astype(np.float32)


def _gelu(x: Floats) -> Floats:
    from stcsim.numerics import epilogue_fast

    out = np.empty(x.shape)
    epilogue_fast.gelu(np.ascontiguousarray(x).reshape(-1), out.reshape(-1))
    return out


def _clamped(x: Floats, most: float) -> Floats:
    """Return numbers from 0 to ``most``; NaN stays."""
    return np.minimum(np.where(x <= 0, 0.0, x), most)


_FUNCTIONS: dict[Activation, Callable[[Floats], Floats]] = {
    Activation.RELU: lambda x: _clamped(x, np.inf),
    Activation.RELU6: lambda x: _clamped(x, 6.0),
    Activation.GELU: _gelu,
    Activation.GELU_TANH: lambda x: x / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))),  # 1 + tanh loses digits
    Activation.SILU: lambda x: x / (1 + np.exp(-x)),
    Activation.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    Activation.TANH: np.tanh,
    Activation.HARDSWISH: lambda x: x * _clamped(x + 3, 6.0) / 6,
}


def _numbers(codes: Codes, form: DType) -> Singles:
    """Return codes, or int32 numbers, as fp32; integers are rounded to nearest even."""
    if form is DTYPES["fp32"]:
        return codes.view(np.float32)
    return values(codes, form.name).astype(np.float32)


def _singles(given: Any, where: str) -> Singles:
    """Return what a caller gave as fp32 numbers."""
    array, name = held(given)
    if array.dtype.kind == "u" and array.dtype.name != name:
        return values(array, name).astype(np.float32)
    if array.dtype.kind in "fi" or (array.dtype.kind == "V" and name in {row.numpy for row in DTYPES.values()}):
        return array.astype(np.float32)
    raise StcsimError(where, "floats or signed integers", f"an array of {name}")
