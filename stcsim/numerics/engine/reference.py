"""The arithmetic of tensor cores in exact Python integers: the specification. Twin of ``fast``; slow, and meant to be read.

A dot product is a running value to which blocks of L products are added. In a block (``add_block``):

1. Every product is exact and not renormalised: significands are multiplied, exponents are added.
2. The largest exponent among the products and the running value is found; a zero has the exponent ``e_zero``.
3. Each term is shifted to it and truncated toward zero, keeping F fraction bits: no guard bit, no sticky bit.
4. The terms are added exactly, and the sum is converted once (``convert``). That is the next running value.

NaN, inf * 0 and inf - inf give one NaN; infinities keep their sign; a zero result is always +0, and so is a negative sum
that truncates to zero. ``rules`` holds L, F, e_zero and the conversion of each generation, and says how each is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stcsim.isa import DType
from stcsim.numerics.formats import Codes, Number, code_type, decode, encode, float_format
from stcsim.numerics.orders import Cut
from stcsim.numerics.rules import Datapath, DotRule, Rounding, sum_type

NAN, PLUS_ZERO = Number("nan", False, 0, 0), Number("finite", False, 0, 0)


def multiply(
    path: Datapath, a: Codes, b: Codes, c: Codes, columns: npt.NDArray[np.int32] | None = None, cut: Cut | None = None
) -> Codes:
    """Return D = A . B + C as raw codes, (batch, m, n). Twin of ``fast.multiply``; must agree exactly.

    Args:
        path: formats and rule; the products of a row are taken ``path.products`` at a time, one instruction each.
        a: (batch, m, k) codes; of a sparse A the kept elements.
        b: (batch, rows, n) codes; of a dense A rows = k.
        c: (batch, m, n) codes.
        columns: (batch, m, k), the row of B that each element of A selects; ``None``: the k-th row.
        cut: the parts that are summed apart; C and D are fp32 then. ``None``: one chain.
    """
    d = np.empty(c.shape, code_type(path.d if cut is None else sum_type(path)))
    for batch, i, j in np.ndindex(*c.shape):
        rows = range(a.shape[2]) if columns is None else columns[batch, i].tolist()
        column = b[batch, :, j].tolist()
        factors = a[batch, i].tolist(), [column[row] for row in rows], int(c[batch, i, j])
        d[batch, i, j] = dot(path, *factors) if cut is None else cut_dot(path, *factors, cut)
    return d


def cut_dot(path: Datapath, a: Sequence[int], b: Sequence[int], c: int, cut: Cut) -> int:
    """Return the code of a . b + c whose parts are chains from zero, added to nearest even, c last; wrapped for integers."""
    total = 0
    for first, last in cut.slices:
        part, span = 0, cut.promote_every or last - first
        for at in range(first, last, span):
            inside = slice(at * path.products, min(last, at + span) * path.products)
            part = plus(path, part, widened(path, dot(path, a[inside], b[inside], 0)))
        total = plus(path, total, part)
    return plus(path, total, c)


def plus(path: Datapath, x: int, y: int) -> int:
    """Return the code of a sum outside the tensor core."""
    if path.rule is None:
        return (x + y) % 2**32
    form = sum_type(path)
    return encode(add_nearest(decode(x, form), decode(y, form), form), form)


def widened(path: Datapath, code: int) -> int:
    """Return the code of the accumulator in the type of sums, which holds it exactly."""
    number, form = decode(code, path.d), sum_type(path)
    if path.rule is None or path.d is form or number.kind != "finite":
        return encode(number, form) if path.rule else code
    if not number.significand:
        return 0
    exponent = number.exponent + number.significand.bit_length() - 1 - path.d.fraction_bits
    significand = number.significand << (form.fraction_bits + 1 - number.significand.bit_length())
    return encode(Number("finite", number.negative, significand, exponent), form)


def dot(path: Datapath, a: Sequence[int], b: Sequence[int], c: int) -> int:
    """Return the code of c + a . b, ``path.products`` products in each instruction; all arguments are codes."""
    for k in range(0, len(a), path.products):
        part_a, part_b = a[k : k + path.products], b[k : k + path.products]
        c = float_instruction(path, path.rule, part_a, part_b, c) if path.rule else int_instruction(path, part_a, part_b, c)
    return c


def int_instruction(path: Datapath, a: Sequence[int], b: Sequence[int], c: int) -> int:
    """Return the code of the exact sum, wrapped to 32 bits, or clamped when the datapath saturates."""
    exact = integer(c, path.c) + sum(integer(x, path.a) * integer(y, path.b) for x, y in zip(a, b, strict=True))
    if path.saturates:
        exact = max(-(2**31), min(2**31 - 1, exact))
    return exact % 2**32


def integer(code: int, form: DType) -> int:
    """Return the integer that ``code`` stands for."""
    return code - (1 << form.bits) if form.signed and code >> (form.bits - 1) else code


def float_instruction(path: Datapath, rule: DotRule, a: Sequence[int], b: Sequence[int], c: int) -> int:
    """Return the code of one floating-point instruction's result: its blocks, one after the other."""
    form, length = float_format(rule.rounding.form), rule.block_length
    numbers = in_order(rule, [(decode(x, path.a), decode(y, path.b)) for x, y in zip(a, b, strict=True)])
    addend = decode(c, path.c)
    running, running_form = (PLUS_ZERO, form) if rule.adds_c_last else (addend, path.c)
    fraction_bits = path.a.fraction_bits + path.b.fraction_bits
    for k in range(0, len(numbers), length):
        running = add_block(rule, numbers[k : k + length], fraction_bits, running, running_form.fraction_bits)
        running_form = form
    if rule.adds_c_last:
        running = add_nearest(running, addend, form)
    return encode(running, form)


def in_order(rule: DotRule, pairs: list[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    """Return the factors in the order in which the blocks take them."""
    span = len(rule.order)
    if not span or len(pairs) < span:
        return pairs
    return [pairs[k + at] for k in range(0, len(pairs), span) for at in rule.order]


def add_block(rule: DotRule, pairs: list[tuple[Number, Number]], fraction_bits: int, c: Number, c_fraction_bits: int) -> Number:
    """Return c plus a block of products; the fraction bits are those of a product and of c."""
    special = special_sum(pairs, c)
    if special is not None:
        return special
    terms = [(signed(x) * signed(y), x.exponent + y.exponent, fraction_bits) for x, y in pairs]
    terms.append((signed(c), c.exponent, c_fraction_bits))
    top = max(exponent if significand else rule.e_zero for significand, exponent, _ in terms)
    total = sum(align(significand, exponent - bits - (top - rule.fraction_bits)) for significand, exponent, bits in terms)
    return convert(total, top - rule.fraction_bits, rule.rounding)


def signed(x: Number) -> int:
    """Return the significand with its sign."""
    return -x.significand if x.negative else x.significand


def align(significand: int, shift: int) -> int:
    """Return ``significand * 2**shift``, truncated toward zero."""
    magnitude = abs(significand) << shift if shift >= 0 else abs(significand) >> -shift
    return magnitude if significand >= 0 else -magnitude


def special_sum(pairs: list[tuple[Number, Number]], c: Number) -> Number | None:
    """Return NaN or infinity when a term is one, else ``None``."""
    signs = {c.negative} if c.kind == "inf" else set()
    if c.kind == "nan":
        return NAN
    for x, y in pairs:
        if x.kind == "finite" and y.kind == "finite":
            continue
        zero = (x.kind == "finite" and not x.significand) or (y.kind == "finite" and not y.significand)
        if zero or "nan" in (x.kind, y.kind):
            return NAN
        signs.add(x.negative != y.negative)
    if not signs:
        return None
    return NAN if len(signs) == 2 else Number("inf", signs.pop(), 0, 0)


def convert(total: int, scale: int, rounding: Rounding) -> Number:
    """Return ``total * 2**scale`` as a number of the rounding's format; its significand has that format's fraction bits."""
    form = float_format(rounding.form)
    if total == 0:
        return PLUS_ZERO
    magnitude = abs(total)
    exponent = max(magnitude.bit_length() - 1 + scale, form.min_exponent)
    drop = exponent - rounding.fraction_bits - scale  # bits of the total below the last place that is kept
    kept = align(magnitude, -drop)
    if rounding.nearest and drop > 0:
        rest, half = magnitude - (kept << drop), 1 << (drop - 1)
        kept += rest > half or (rest == half and kept % 2 == 1)
    if kept >> (rounding.fraction_bits + 1):  # rounded up to the next power of two
        kept, exponent = kept >> 1, exponent + 1
    if exponent > form.max_exponent:
        return Number("inf", total < 0, 0, 0)
    return Number("finite", total < 0 and kept > 0, kept << (form.fraction_bits - rounding.fraction_bits), exponent)


def add_nearest(x: Number, c: Number, form: DType) -> Number:
    """Return x + c rounded to nearest, ties to even, as an ordinary addition does; both are numbers of ``form``."""
    if x.kind == "nan" or c.kind == "nan" or (x.kind == c.kind == "inf" and x.negative != c.negative):
        return NAN
    if "inf" in (x.kind, c.kind):
        return x if x.kind == "inf" else c
    unit = form.min_exponent - form.fraction_bits
    exact = sum(signed(each) << (each.exponent - form.min_exponent) for each in (x, c))
    return convert(exact, unit, Rounding("RNE", form.name, form.fraction_bits, nearest=True))
