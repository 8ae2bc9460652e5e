"""Aligned binary numbers as characters: what an adder sees, and what fell off its right end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stcsim.numerics.rules import DotRule
    from stcsim.numerics.steps import Block

LEADING = "·"
"""Stands for a zero in front of a number, so that the eye sees the shift."""
_MOST_DROPPED = 24


@dataclass(frozen=True, slots=True)
class BitRow:
    """One number in the frame of its block.

    Attributes:
        sign: ``"+"`` or ``"−"``.
        whole: bits at and above the unit bit of the largest exponent.
        fraction: the F bits below; blank where the number has none.
        dropped: what truncation takes away.
    """

    sign: str
    whole: str
    fraction: str
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class BitRows:
    """A block as the adder sees it: one row for each term, the sum, and the result."""

    terms: tuple[BitRow, ...]
    total: BitRow
    result: BitRow


def bit_rows(block: Block, rule: DotRule) -> BitRows:
    """Return the rows of a block without infinities and NaN, all of the same ``whole`` and ``fraction`` widths."""
    sizes = [abs(term.aligned).bit_length() for term in block.terms] + [abs(block.total).bit_length()]
    wide = max(max(sizes), rule.fraction_bits + 1)
    terms = tuple(_row(term.significand, term.unit - block.scale, wide, rule.fraction_bits) for term in block.terms)
    return BitRows(terms, _row(block.total, 0, wide, rule.fraction_bits), _result(block, rule, wide))


def _result(block: Block, rule: DotRule, wide: int) -> BitRow:
    """Return the row of the result, down to the last place that the conversion keeps."""
    if not math.isfinite(block.result.value):
        beyond = "beyond the range".ljust(rule.fraction_bits)
        return BitRow("−" if block.total < 0 else "+", " " * (wide - rule.fraction_bits), beyond[: rule.fraction_bits])
    last = max(abs(block.total).bit_length() - 1 - rule.rounding.fraction_bits, 0)
    return _row(int(Fraction(block.result.value) / Fraction(2) ** (block.scale + last)), last, wide, rule.fraction_bits)


def _row(significand: int, unit: int, wide: int, fraction_bits: int) -> BitRow:
    """Return ``significand * 2**unit``, with the unit counted from the last kept bit, in ``wide`` kept bits."""
    if not significand:
        return BitRow(" ", "0".rjust(wide - fraction_bits), " " * fraction_bits)
    digits = f"{abs(significand):b}"
    text = digits.rjust(wide - unit, LEADING) if unit <= wide else ""
    kept, dropped = text[:wide].ljust(wide), text[wide:]
    short = dropped if len(dropped) <= _MOST_DROPPED else f"{dropped[: _MOST_DROPPED - 1]}…"
    return BitRow("−" if significand < 0 else "+", kept[: wide - fraction_bits], kept[wide - fraction_bits :], short)
