"""The lower half of the picture of an MMA: each block's adder with its aligned bits, or the products of integers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from stcsim.report.terminal.bits import LEADING, BitRow, bit_rows
from stcsim.report.terminal.mma import errors_text, first_name, last_name, number, power_text
from stcsim.report.units import NOTHING

if TYPE_CHECKING:
    from stcsim.numerics.steps import MmaSteps

INK, GREY, PALE = "#222222", "#8A8A8A", "#F0F0F0"
BLUE, ORANGE, VERMILLION, GREEN, SKY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CFE6F5"

_LEFT, _RIGHT, _ROW = 4.0, 116.0, 1.9
_NAME, _PRODUCT, _EXPONENT, _BITS = 8.0, 19.0, 24.0, 28.0
_DROPPED = 12


def block_panel(axes: Axes, steps: MmaSteps, at: int, y: float) -> float:
    """Draw one block below ``y``; return where it ends."""
    block, rule = steps.blocks[at], steps.rule
    assert rule
    title = f"Block {at + 1} of {len(steps.blocks)}" if len(steps.blocks) > 1 else "The block"
    about = "a term is infinite or NaN, so nothing is added"
    if not block.special:
        about = f"aligned to the largest exponent, {power_text(block.top)}; {rule.fraction_bits} bits below are kept"
    axes.text(_LEFT, y + 2, title, size=10.5, weight="bold", color=INK)
    axes.text(_LEFT + 12, y + 2, tex(about), size=10.5, color=INK)
    values = [term.value for term in block.terms] + [math.ldexp(block.total, block.scale), block.result.value]
    names = [first_name(steps, at) if term.row is None else f"a·B[{term.row}]" for term in block.terms]
    names += ["sum", last_name(steps, at)]
    exponents = [number(term.exponent) if term.significand else NOTHING for term in block.terms] + ["", ""]
    y = _heads(axes, y + 4.6)
    for line, (name, value, exponent) in enumerate(zip(names, values, exponents, strict=True)):
        if block.special and name == "sum":
            continue
        weight, base = "bold" if line >= len(block.terms) else "normal", y + line * _ROW + 1.4
        axes.text(_LEFT, base, name, size=9, color=INK, weight=weight)
        axes.text(_PRODUCT, base, number(value, 5), size=9, color=INK, ha="right", weight=weight)
        axes.text(_EXPONENT, base, exponent, size=9, color=INK, ha="right")
    if not block.special:
        drawn = bit_rows(block, rule)
        _adder(axes, (*drawn.terms, drawn.total, drawn.result), block.top, y)
    y += len(values) * _ROW
    axes.text(_BITS, y + 1.6, errors_text(steps, block), size=9, color=INK)
    return y + 3


def tex(words: str) -> str:
    """Return ``words`` with powers of two raised."""
    return re.sub(r"2\^(−?)(\d+)", lambda found: f"$2^{{{'-' * len(found[1])}{found[2]}}}$", words)


def _heads(axes: Axes, y: float) -> float:
    for x, words in ((_PRODUCT, "value"), (_EXPONENT, "$2^e$")):
        axes.text(x, y, words, size=9, color=GREY, ha="right")
    return y + 0.6


def _adder(axes: Axes, rows: Sequence[BitRow], exponent: int, y: float) -> None:
    """Draw the bits in boxes: one column for each power of two, what truncation drops right of the bar."""
    kept = len(rows[0].whole) + len(rows[0].fraction)
    dropped = min(max(len(row.dropped) for row in rows), _DROPPED)
    width = min((_RIGHT - _BITS - 2) / (kept + max(dropped, 4)), 2.3)
    unit, bar = _BITS + 2 + len(rows[0].whole) * width, _BITS + 2 + kept * width
    axes.text(unit - width / 2, y - 0.6, tex(power_text(exponent)), size=9, color=GREY, ha="center")
    axes.text(bar - 0.4, y - 0.6, "last bit kept", size=8.5, color=GREY, ha="right")
    axes.text(bar + 0.4, y - 0.6, "dropped", size=8.5, color=VERMILLION)
    for line, row in enumerate(rows):
        top, ending = y + line * _ROW, line - len(rows)
        face = {-1: GREEN, -2: INK}.get(ending, BLUE)
        axes.text(_BITS + 0.6, top + 1.4, row.sign, size=9, color=INK, ha="center")
        for at, bit in enumerate(row.whole + row.fraction):
            _bit(axes, _BITS + 2 + at * width, top, width, bit, face)
        cut = row.dropped if len(row.dropped) <= _DROPPED else f"{row.dropped[: _DROPPED - 1]}…"
        for at, bit in enumerate(cut):
            _bit(axes, bar + at * width, top, width, bit, VERMILLION)
    axes.plot([unit, unit], [y, y + len(rows) * _ROW], color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.plot([bar, bar], [y - 0.4, y + len(rows) * _ROW], color=VERMILLION, linewidth=2)
    line_y = y + (len(rows) - 2) * _ROW - 0.05
    axes.plot([_LEFT, bar], [line_y, line_y], color=INK, linewidth=1)


def _bit(axes: Axes, x: float, y: float, width: float, bit: str, face: str) -> None:
    """Draw one bit: ones filled, zeros pale, zeros in front of the number a dot."""
    if bit in "01":
        box = Rectangle((x + 0.1, y + 0.12), width - 0.2, _ROW - 0.24, facecolor=face if bit == "1" else PALE, linewidth=0)
        axes.add_patch(box)
    color = "white" if bit == "1" else GREY if bit == LEADING else INK
    if bit != " ":
        axes.text(x + width / 2, y + _ROW / 2 + 0.05, bit, size=8, ha="center", va="center", color=color)


def integer_panel(axes: Axes, steps: MmaSteps, y: float) -> float:
    """Draw the products of integers as bars below ``y``; return where they end."""
    assert steps.integers
    products = steps.integers.products
    axes.text(_LEFT, y + 2, "The products, by row of B, are added exactly", size=10.5, weight="bold", color=INK)
    most = max(1, *(abs(product) for *_, product in products))
    width, zero, reach = (_RIGHT - _LEFT) / len(products), y + 13, 7.0
    for at, (row, _, _, product) in enumerate(products):
        x, height = _LEFT + at * width, reach * product / most
        axes.add_patch(
            Rectangle((x + width * 0.15, zero - height), width * 0.7, height, facecolor=BLUE if product >= 0 else ORANGE)
        )
        above = product >= 0
        axes.text(x + width / 2, zero - height + (-0.4 if above else 0.5), number(product, 9), size=7.5, rotation=90,
                  ha="center", va="bottom" if above else "top", color=INK)  # fmt: skip
        axes.text(x + width / 2, zero + reach + 5, str(row), size=7.5, ha="center", rotation=90, va="top", color=GREY)
    axes.plot([_LEFT, _RIGHT], [zero, zero], color=INK, linewidth=0.8)
    total = sum(product for *_, product in products)
    words = f"sum {number(total, 17)},  with C = {number(steps.c.value, 17)}:  {number(steps.integers.exact, 17)}"
    axes.text(_LEFT, zero + reach + 9.6, words, size=10.5, color=INK)
    return zero + reach + 10.5
