"""One element of D, step by step: the records that ``stepwise`` fills and reports show."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from stcsim.isa.instructions import Instruction
from stcsim.numerics.rules import DotRule


@dataclass(frozen=True, slots=True)
class Element:
    """A code and the number it stands for, which float64 holds exactly."""

    code: int
    value: float


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a compressed row of A.

    Attributes:
        first: column of A at which the group begins.
        elements: of the expanded row: four, or two (tf32), or eight (4-bit types); zeros where nothing was kept.
        nibble: the metadata: the first index in the low two bits, the second in the high two.
        rows: columns that were kept, which are the rows of B that the multiplexers pick.
    """

    first: int
    elements: tuple[Element, ...]
    nibble: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of a block: ``significand * 2**unit``, exactly.

    Attributes:
        row: the row of B; ``None`` for the running value.
        a, b: factors; ``None`` for the running value.
        exponent: what is compared to find the largest; ``e_zero`` of the rule when the term is zero.
        aligned: what takes part in the sum, in units of the block's ``2**scale``.
    """

    row: int | None
    a: Element | None
    b: Element | None
    value: float
    significand: int
    exponent: int
    unit: int
    aligned: int


@dataclass(frozen=True, slots=True)
class Block:
    """Products that are added at once to the running value, which is the first term.

    Attributes:
        top: the largest exponent of the terms.
        scale: exponent of the last bit that alignment keeps: ``top`` less F.
        total: the exact sum of the aligned terms, in units of ``2**scale``.
        special: whether a term is infinite or NaN, so that nothing is added.
    """

    terms: tuple[Term, ...]
    top: int
    scale: int
    total: int
    special: bool
    result: Element

    @property
    def alignment_error(self) -> Fraction:
        """Sum of the aligned terms less the sum of the terms."""
        return self.total * power(self.scale) - sum(term.significand * power(term.unit) for term in self.terms)

    @property
    def rounding_error(self) -> Fraction:
        """The result less the sum of the aligned terms; the result must be finite."""
        return Fraction(self.result.value) - self.total * power(self.scale)


@dataclass(frozen=True, slots=True)
class IntegerSum:
    """An integer dot product: terms (row of B, a, b, product), the exact sum with C, and whether that had to be changed."""

    products: tuple[tuple[int, int, int, int], ...]
    exact: int
    overflows: bool


@dataclass(frozen=True, slots=True)
class MmaSteps:
    """How one instruction computes D[row, col].

    Attributes:
        groups: of the row of A; none when the instruction is dense.
        rule: ``None`` for integers.
        blocks: none for integers.
        integers: ``None`` for floating point.
        exact: c + a . b correctly rounded to float64.
        nearest: the same, correctly rounded to the format of D;
        integers: the exact sum brought into range.
        measured: whether GPUs of that capability were seen to cut kept products into blocks so; ``expanded`` never was.
        ulp_exponent: of one unit in the last place of D's format, at the exact result; ``None`` without a finite error.
        error_ulp: of ``d``, in such units; ``None`` when D or the exact result is not finite, and for integers.
    """

    instruction: Instruction
    arch: str
    blocking: str
    measured: bool
    row: int
    col: int
    groups: tuple[Group, ...]
    rule: DotRule | None
    blocks: tuple[Block, ...]
    integers: IntegerSum | None
    c: Element
    d: Element
    exact: float
    nearest: Element
    ulp_exponent: int | None
    error_ulp: float | None


def power(exponent: int) -> Fraction:
    """Return ``2**exponent`` exactly."""
    return Fraction(2) ** exponent
