"""Random operands of dot products in seven classes, and the rows of the rule table to run them through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.isa import DType, instructions
from stcsim.isa.capabilities import ARCHS
from stcsim.numerics.formats import code_type, encoded
from stcsim.numerics.rules import RUNS_AS, Datapath, datapath

Codes = npt.NDArray[Any]
CLASSES = ("normal", "wide exponent", "cancelling", "subnormal", "overflowing", "special", "random bits")


def rows() -> Iterator[tuple[str, Datapath]]:
    """Yield one label and datapath for each different (rule, types, products) of the dense floating-point table.

    Rows that compute the same, such as sm_80 and sm_86, come once; fp8 comes with every mix of e4m3 and e5m2.
    """
    seen = set()
    for arch in ARCHS:
        for instruction in instructions.available(arch):
            if instruction.sparse or instruction.d == "int32" or instruction.n != 8 or instruction.kind in RUNS_AS:
                continue
            path = datapath(instruction, arch)
            key = (path.rule, path.a.name, path.b.name, path.c.name, path.d.name, path.products)
            if key not in seen:
                seen.add(key)
                yield f"{arch} {instruction.name}", path


def main_rows() -> list[tuple[str, Datapath]]:
    """Return the rows without mixes of fp8, and of each rule and types only the longest instruction."""
    longest: dict[Any, tuple[str, Datapath]] = {}
    for label, path in rows():
        key = (path.rule, path.a.name, path.c.name)
        if path.a is path.b and (key not in longest or longest[key][1].products < path.products):
            longest[key] = label, path
    return list(longest.values())


def operands(path: Datapath, name: str, batch: int, m: int, n: int, seed: int) -> tuple[Codes, Codes, Codes]:
    """Return A, B and C codes of the class called ``name``; k is two instructions, or one if D cannot be the next C."""
    rng = np.random.default_rng([seed, CLASSES.index(name)])
    k = path.products * (2 if path.c is path.d else 1)
    shapes = ((batch, m, k), (batch, k, n), (batch, m, n))
    forms = [form for form in (path.a, path.b, path.c) if form.is_float]
    if name == "cancelling":
        return cancelling(forms, shapes, rng)
    d = path.d
    factor = d.min_exponent // 2, d.max_exponent // 2  # products of such factors just reach the ends of D's range
    ranges = (factor, factor, (d.min_exponent, d.max_exponent))
    a, b, c = (draw(name, form, reach, shape, rng) for form, reach, shape in zip(forms, ranges, shapes, strict=True))
    return a, b, c


def draw(name: str, form: DType, reach: tuple[int, int], shape: tuple[int, ...], rng: np.random.Generator) -> Codes:
    """Return codes of one class; ``reach``: the exponents between which results are neither subnormal nor infinite."""
    normal = rng.standard_normal(shape)
    low, high = max(reach[0], form.min_exponent), min(reach[1], form.max_exponent)
    if name == "normal":
        return encoded(normal, form)
    if name == "wide exponent":
        return encoded(np.ldexp(normal, rng.integers(low - form.fraction_bits, high - 1, shape)), form)
    if name == "subnormal":
        near = np.where(rng.random(shape) < 0.5, low, form.min_exponent)
        return encoded(np.ldexp(normal, near - rng.integers(-3, form.fraction_bits + 1, shape)), form)
    if name == "overflowing":
        large = np.ldexp(1.0 + rng.random(shape), high - rng.integers(0, 4, shape))
        return encoded(np.copysign(np.minimum(large, (2 - 2.0**-form.fraction_bits) * 2.0**high), normal), form)
    if name == "random bits":
        return rng.integers(0, 1 << form.bits, shape).astype(code_type(form))
    return np.where(rng.random(shape) < 0.05, rng.choice(special_codes(form), shape), encoded(normal, form))


def special_codes(form: DType) -> Codes:
    """Return the codes at every edge of the format, with both signs: zeros, subnormals, normals, infinities, NaN."""
    fraction, top = 1 << form.fraction_bits, ((1 << form.exponent_bits) - 1) << form.fraction_bits
    edges = [0, 1, fraction // 2, fraction - 1, fraction, fraction + 1, top // 2, top - 1, top, top + 1, top + fraction - 1]
    sign = 1 << (form.exponent_bits + form.fraction_bits)
    codes = np.array([*edges, *(edge | sign for edge in edges)], np.int64) << form.dropped_bits
    return codes.astype(code_type(form))


def cancelling(forms: list[DType], shapes: tuple[tuple[int, ...], ...], rng: np.random.Generator) -> tuple[Codes, Codes, Codes]:
    """Return operands whose products cancel in pairs, at a distance, but for a last bit here and there."""
    (form_a, form_b, form_c), (shape_a, shape_b, shape_c) = forms, shapes
    k = shape_a[-1]
    half_a = encoded(rng.standard_normal((*shape_a[:-1], k // 2)) * 2.0 ** rng.integers(-3, 4, (*shape_a[:-1], k // 2)), form_a)
    half_b = encoded(rng.standard_normal((shape_b[0], k // 2, shape_b[2])), form_b)
    flips = (rng.random(half_a.shape) < 0.1).astype(half_a.dtype) << half_a.dtype.type(form_a.dropped_bits)
    minus = half_b.dtype.type(1 << (form_b.bits - 1))
    order = rng.permutation(k)
    a, b = np.concatenate([half_a, half_a ^ flips], -1)[..., order], np.concatenate([half_b, half_b ^ minus], -2)[:, order]
    c = encoded(rng.standard_normal(shape_c) * 2.0 ** rng.integers(-14, 3, shape_c) * (rng.random(shape_c) < 0.7), form_c)
    return np.ascontiguousarray(a), np.ascontiguousarray(b), c
