"""One element of D, step by step, for eyes: what ``reference`` computes, with every intermediate integer kept.

``element_steps`` walks the blocks of one dot product with the functions of ``reference`` (``align``, ``convert``,
``special_sum``), so its result is the code that ``numerics.mma`` or ``mma_sp`` gives for that element. Known from hardware
are the dense rules; how kept products are cut into blocks is ``blocking`` (see ``tensor_core``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DType, instructions
from stcsim.isa.capabilities import ArchLike, capability
from stcsim.isa.instructions import Instruction
from stcsim.numerics.engine import reference
from stcsim.numerics.formats import Codes, Number, decode, encode, float_format
from stcsim.numerics.rules import MEASURED_SPARSE, Datapath, DotRule, Rounding, datapath
from stcsim.numerics.sparse.selection import kept_columns
from stcsim.numerics.sparse.sparse24 import Sparse24, expand
from stcsim.numerics.steps import Block, Element, Group, IntegerSum, MmaSteps, Term, power
from stcsim.words import Blocking, size, word


@dataclass(frozen=True, slots=True)
class _Factors:
    """One product to come: the row of B and both codes."""

    row: int
    a: int
    b: int


def element_steps(
    instruction: str,
    a: Codes | Sparse24,
    b: Codes,
    c: Codes,
    *,
    arch: ArchLike,
    row: int = 0,
    col: int = 0,
    blocking: str = "kept",
) -> MmaSteps:
    """Return the steps of D[row, col] of one instruction.

    Args:
        instruction: name in PTX words.
        a: (m, k) raw codes, or the compressed matrix of a sparse instruction.
        b, c: (k, n) and (m, n) raw codes.
        arch: a GPU or a compute capability, as in ``numerics.mma``.
        row, col: the element.
        blocking: of a sparse instruction, ``"kept"`` or ``"expanded"``.

    Raises:
        UnsupportedError: when the instruction is unknown or not on ``arch``, or A is not of its kind.
        StcsimError: when D has no such element, or an encoding is undefined.
    """
    known, plain = instructions.parse(instruction), capability(arch)
    instructions.require(known, plain)
    _check_element(known, row, col)
    if isinstance(a, Sparse24) != known.sparse:
        raise UnsupportedError(f"{known.name}: A", f"a {'compressed' if known.sparse else 'dense'} matrix", "the other kind")
    blocking = word(Blocking, blocking, "blocking")
    path, column = datapath(known, plain, blocking), b[:, col].tolist()
    groups: tuple[Group, ...] = ()
    if isinstance(a, Sparse24):
        line = Sparse24(a.values[row : row + 1], a.metadata[row : row + 1], a.dtype, a.k)
        groups, rows = _groups(line, path), kept_columns(line)[0].tolist() if blocking == Blocking.KEPT else range(known.k)
        codes = (line.values if blocking == Blocking.KEPT else expand(line))[0].tolist()
    else:
        rows, codes = range(known.k), a[row].tolist()
    factors = [_Factors(at, code, column[at]) for at, code in zip(rows, codes, strict=True)]
    result = _floats(path, path.rule, factors, int(c[row, col])) if path.rule else _integers(path, factors, int(c[row, col]))
    seen = blocking == Blocking.KEPT and plain in MEASURED_SPARSE
    return MmaSteps(known, plain, blocking if known.sparse else "", seen, row, col, groups, path.rule, **result)


def _check_element(known: Instruction, row: int, col: int) -> None:
    for name, index, count in (("row", row, known.m), ("col", col, known.n)):
        if not 0 <= size(index, name, 0) < count:
            raise StcsimError(f"{name} of D", f"0 to {count - 1} in {known.name}", str(index))


def _groups(line: Sparse24, path: Datapath) -> tuple[Group, ...]:
    """Return the groups of a compressed row."""
    size, kept, rows = path.a.sparse_group, path.a.sparse_kept, kept_columns(line)[0].tolist()
    codes = expand(line)[0].tolist()
    return tuple(
        Group(
            at * size,
            tuple(_element(code, path.a) for code in codes[at * size : (at + 1) * size]),
            nibble,
            tuple(rows[at * kept : (at + 1) * kept]),
        )
        for at, nibble in enumerate(line.metadata[0].tolist())
    )


def _integers(path: Datapath, factors: list[_Factors], c: int) -> dict[str, Any]:
    """Return the fields of ``MmaSteps`` that integers fill."""
    addend = reference.integer(c, path.c)
    numbers = [(each.row, reference.integer(each.a, path.a), reference.integer(each.b, path.b)) for each in factors]
    products = tuple((row, x, y, x * y) for row, x, y in numbers)
    exact = addend + sum(product for *_, product in products)
    code = reference.int_instruction(path, [each.a for each in factors], [each.b for each in factors], c)
    d = Element(code, reference.integer(code, path.d))
    integers = IntegerSum(products, exact, exact != d.value)
    return {
        "blocks": (), "integers": integers, "c": Element(c, addend), "d": d, "exact": float(exact), "nearest": d,
        "ulp_exponent": None, "error_ulp": None,
    }  # fmt: skip


def _floats(path: Datapath, rule: DotRule, factors: list[_Factors], c: int) -> dict[str, Any]:
    """Return the fields of ``MmaSteps`` that floating point fills. Follows ``reference.float_instruction``."""
    form, addend = float_format(rule.rounding.form), decode(c, path.c)
    taken: Any = reference.in_order(rule, list[Any](factors))  # it only moves what it is given
    running, running_form = (reference.PLUS_ZERO, form) if rule.adds_c_last else (addend, path.c)
    blocks = []
    for k in range(0, len(taken), rule.block_length):
        block, running = _block(path, rule, taken[k : k + rule.block_length], running, running_form)
        blocks.append(block)
        running_form = form
    if rule.adds_c_last:
        running = reference.add_nearest(running, addend, form)
    d = Element(encode(running, form), _value(running, form))
    return {"blocks": tuple(blocks), "integers": None, "c": _element(c, path.c), "d": d, **_judged(path, factors, addend, d)}


def _block(path: Datapath, rule: DotRule, factors: list[_Factors], running: Number, running_form: DType) -> tuple[Block, Number]:
    """Return one block, and the next running value. Follows ``reference.add_block``."""
    pairs = [(decode(each.a, path.a), decode(each.b, path.b)) for each in factors]
    parts = [(reference.signed(running), running.exponent, running_form.fraction_bits)]
    parts += [(reference.signed(x) * reference.signed(y), x.exponent + y.exponent, _product_bits(path)) for x, y in pairs]
    top = max(exponent if significand else rule.e_zero for significand, exponent, _ in parts)
    scale = top - rule.fraction_bits
    aligned = [reference.align(significand, exponent - bits - scale) for significand, exponent, bits in parts]
    special = reference.special_sum(pairs, running)
    result = special or reference.convert(sum(aligned), scale, rule.rounding)
    elements = [(None, None, None, _value(running, running_form)), *(_product(each, path) for each in factors)]
    terms = tuple(
        Term(*element, part[0], part[1] if part[0] else rule.e_zero, part[1] - part[2], shifted)
        for element, part, shifted in zip(elements, parts, aligned, strict=True)
    )
    form = float_format(rule.rounding.form)
    return Block(
        terms, top, scale, sum(aligned), special is not None, Element(encode(result, form), _value(result, form))
    ), result


def _judged(path: Datapath, factors: list[_Factors], c: Number, d: Element) -> dict[str, Any]:
    """Return the exact result, rounded once, and how far D is from it."""
    form = float_format(path.d.name)
    pairs = [(decode(each.a, path.a), decode(each.b, path.b)) for each in factors]
    special = reference.special_sum(pairs, c)
    if special:
        nearest = Element(encode(special, form), _value(special, form))
        return {"exact": nearest.value, "nearest": nearest, "ulp_exponent": None, "error_ulp": None}
    exact = reference.signed(c) * power(c.exponent - path.c.fraction_bits)
    for x, y in pairs:
        exact += reference.signed(x) * reference.signed(y) * power(x.exponent + y.exponent - _product_bits(path))
    scale = 1 - exact.denominator.bit_length()  # the denominator is a power of two
    once = reference.convert(int(exact / power(scale)), scale, Rounding("RNE", form.name, form.fraction_bits, nearest=True))
    nearest = Element(encode(once, form), _value(once, form))
    if d.value - d.value != 0:  # infinite or NaN
        return {"exact": float(exact), "nearest": nearest, "ulp_exponent": None, "error_ulp": None}
    size = abs(exact.numerator).bit_length() - 1 + scale if exact else form.min_exponent
    ulp = max(size, form.min_exponent) - form.fraction_bits
    error = float((Fraction(d.value) - exact) / power(ulp))
    return {"exact": float(exact), "nearest": nearest, "ulp_exponent": ulp, "error_ulp": error}


def _product_bits(path: Datapath) -> int:
    """Return the fraction bits of a product."""
    return path.a.fraction_bits + path.b.fraction_bits


def _product(factors: _Factors, path: Datapath) -> tuple[int, Element, Element, float]:
    """Return row, factors and value of a product."""
    a, b = _element(factors.a, path.a), _element(factors.b, path.b)
    return factors.row, a, b, a.value * b.value


def _element(code: int, form: DType) -> Element:
    """Return a code with its value."""
    if form.is_float:
        return Element(code, _value(decode(code, form), form))
    return Element(code, reference.integer(code, form))


def _value(number: Number, form: DType) -> float:
    """Return the number as float64, which is exact for every format here."""
    if number.kind != "finite":
        return float(("-" if number.negative else "") + number.kind)
    return float(reference.signed(number) * power(number.exponent - form.fraction_bits))
