"""One element of D as a picture: the group of four, its metadata, the multiplexers, and the adder with its aligned bits.

Everything stands on one axis whose unit is a tenth of an inch; y grows downwards, and each part returns where it ended.
Colours are those of Okabe and Ito, which everybody can tell apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.mma_bits import BLUE, GREY, INK, ORANGE, PALE, block_panel, integer_panel, tex
from stcsim.report.terminal.mma import TENSOR_CORE, number, result_lines, summary

if TYPE_CHECKING:
    from stcsim.numerics.steps import Group, MmaSteps

_WIDTH, _LEFT, _CELL = 120.0, 4.0, 7.0
_CELLS = 16
"""Columns of A that are drawn with their values; a strip above shows them all."""
_BOX = {"boxstyle": "round,pad=0.3", "facecolor": PALE, "edgecolor": INK, "linewidth": 0.8}


def write_figure(steps: MmaSteps, path: Path, operands: str = "") -> None:
    """Draw ``steps`` into ``path``; ``operands`` says where A, B and C are from.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(steps, operands), path, "--figure")


def _draw(steps: MmaSteps, operands: str) -> Figure:
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    y = _title(axes, steps, operands)
    if steps.groups:
        y = _selection(axes, steps, y)
    for at in range(len(steps.blocks)):
        y = block_panel(axes, steps, at, y)
    if steps.integers:
        y = integer_panel(axes, steps, y)
    y = _result(axes, steps, y)
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(y, 0)
    figure.set_size_inches(_WIDTH / 10, y / 10)
    return figure


def _title(axes: Axes, steps: MmaSteps, operands: str) -> float:
    axes.text(_LEFT, 3, f"{steps.instruction.name}  on  {steps.arch}", size=15, weight="bold", color=INK)
    axes.text(_WIDTH - _LEFT, 3, operands, size=10, color=GREY, ha="right")
    words = f"D[{steps.row},{steps.col}] = row {steps.row} of A · column {steps.col} of B + C: {summary(steps)}"
    axes.text(_LEFT, 5.6, words, size=10.5, color=INK)
    return 8.0


def _selection(axes: Axes, steps: MmaSteps, y: float) -> float:
    """Draw the row of A and, of its first columns, how the metadata picks rows of B."""
    groups, size = steps.groups, len(steps.groups[0].elements)
    shown = groups[: _CELLS // size]
    if len(groups) > len(shown):
        y = _strip(axes, steps, len(shown) * size, y)
    axes.text(_LEFT, y + 0.8, f"Row {steps.row} of A, with the metadata of each group", size=9.5, color=INK, weight="bold")
    axes.text(_LEFT, y + 30.4, f"Column {steps.col} of B; {_codes(size)}", size=9.5, color=INK)
    for at, group in enumerate(shown):
        _group(axes, group, _factors_of(steps), _LEFT + at * size * _CELL, y + 4)
    return y + 32


def _codes(size: int) -> str:
    """Return how the metadata is read."""
    if size == 2:
        return "0100 keeps the first of a pair, 1110 the second"
    what = "kept pair" if size == 8 else "kept element"
    return f"the low two bits of the metadata choose for the first {what} of a group, the high two for the second"


def _factors_of(steps: MmaSteps) -> dict[int, tuple[str, str]]:
    """Return b and a·b as texts, by row of B."""
    if steps.integers:
        return {row: (number(b, 9), number(product, 9)) for row, _, b, product in steps.integers.products}
    terms = [term for block in steps.blocks for term in block.terms]
    return {term.row: (number(term.b.value, 3), number(term.value, 3)) for term in terms if term.row is not None and term.b}


def _strip(axes: Axes, steps: MmaSteps, detailed: int, y: float) -> float:
    """Draw every column of the row of A as a small box, kept ones filled, and a bracket under those drawn below."""
    width = (_WIDTH - 2 * _LEFT) / steps.instruction.k
    for group in steps.groups:
        for at in range(len(group.elements)):
            kept = group.first + at in group.rows
            x = _LEFT + (group.first + at) * width
            axes.add_patch(Rectangle((x, y), width, 1.5, facecolor=BLUE if kept else "white", edgecolor=GREY, linewidth=0.5))
        x = _LEFT + group.first * width
        axes.plot([x, x], [y - 0.5, y + 2], color=INK, linewidth=1)
    end = _LEFT + detailed * width
    axes.plot([_LEFT, _LEFT, end, end], [y + 2.2, y + 2.7, y + 2.7, y + 2.2], color=ORANGE, linewidth=1.5)
    words = f"all {steps.instruction.k} columns of A, kept ones filled; the first {detailed} are drawn below"
    axes.text(end + 1 if detailed * 2 <= steps.instruction.k else _LEFT, y + 3.3, words, size=9, color=INK)
    return y + 6


def _group(axes: Axes, group: Group, factors: dict[int, tuple[str, str]], x: float, y: float) -> None:
    """Draw one group: A above, B below, a multiplexer and a multiplier for each kept element between them."""
    size, bottom = len(group.elements), y + 20
    for at, element in enumerate(group.elements):
        row = group.first + at
        kept = row in group.rows
        _cell(axes, x + at * _CELL, y, number(element.value, 3) if kept else "0", BLUE if kept else "white")
        _cell(axes, x + at * _CELL, bottom, factors[row][0] if kept else "", ORANGE if kept else "white")
        axes.text(x + (at + 0.5) * _CELL, bottom + 4, f"B[{row}]", size=9, ha="center", color=INK if kept else GREY)
    lanes = len(group.rows)
    for lane, row in enumerate(group.rows):
        centre = x + (lane + 0.5) * size * _CELL / lanes
        _lane(axes, group, centre, row, x, y)
        axes.text(centre + 1.5, y + 8.6, f"= {factors[row][1]}", size=9, va="center", color=INK, zorder=5)
    axes.text(x + size * _CELL / 2, y - 1.3, f"{group.nibble:04b}", size=9.5, ha="center", va="center",
              family="DejaVu Sans Mono", color=INK, bbox=_BOX)  # fmt: skip
    for start, end in ((y - 2.4, y + 5), (bottom - 2, bottom + 4.4)):  # not through the products
        axes.plot([x, x], [start, end], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))


def _lane(axes: Axes, group: Group, centre: float, row: int, x: float, y: float) -> None:
    """Draw how one kept element meets its row of B."""
    size, pair = len(group.elements), 2 if len(group.elements) == 8 else 1
    half = min(size * _CELL / len(group.rows) / 2 - 1.6, 5.0)
    mux_top, mux_bottom, times = y + 12, y + 15, y + 8.5
    inputs = [at for at in range(size) if at % pair == (row - group.first) % pair]
    for place, at in enumerate(inputs):
        enters = centre + half * (2 * (place + 0.5) / len(inputs) - 1)
        chosen = group.first + at == row
        ends = [x + (at + 0.5) * _CELL, enters], [y + 20, mux_bottom]
        axes.plot(*ends, color=ORANGE if chosen else GREY, linewidth=2.4 if chosen else 0.6, zorder=3 if chosen else 1)
    shape = ((-half, mux_bottom), (half, mux_bottom), (half * 0.6, mux_top), (-half * 0.6, mux_top))
    corners = [(centre + across, down) for across, down in shape]
    axes.add_patch(Polygon(corners, facecolor=PALE, edgecolor=INK, linewidth=1, zorder=4))
    index = (row - group.first) // pair
    code = f"{index:02b}" if size > 2 else f"{index}"
    axes.text(centre, (mux_top + mux_bottom) / 2, code, size=9, ha="center", va="center", family="DejaVu Sans Mono", zorder=5)
    axes.plot([centre, centre], [mux_top, times + 1.1], color=ORANGE, linewidth=2.4)
    axes.plot([x + (row - group.first + 0.5) * _CELL, centre], [y + 2.4, times - 1.1], color=BLUE, linewidth=2.4)
    axes.add_patch(Circle((centre, times), 1.1, facecolor="white", edgecolor=INK, linewidth=1, zorder=4))
    axes.text(centre, times + 0.05, "×", size=12, ha="center", va="center", zorder=5)


def _cell(axes: Axes, x: float, y: float, words: str, face: str) -> None:
    axes.add_patch(Rectangle((x, y), _CELL, 2.4, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=2))
    color = "white" if face == BLUE else INK if face != "white" else GREY
    axes.text(x + _CELL / 2, y + 1.25, words, size=9, ha="center", va="center", color=color, zorder=3)


def _result(axes: Axes, steps: MmaSteps, y: float) -> float:
    """Draw the lines that end the text."""
    for at, (name, value, note) in enumerate(result_lines(steps)):
        weight, base = "bold" if name == TENSOR_CORE else "normal", y + 2 + at * 2.1
        axes.text(_LEFT, base, name, size=10.5, color=INK, weight=weight)
        axes.text(_LEFT + 15, base, value, size=10.5, color=INK, weight=weight, family="DejaVu Sans Mono")
        axes.text(_LEFT + 42, base, tex(note), size=10.5, color=INK)
    return y + 2 + len(result_lines(steps)) * 2.1
