"""Rounding error over the length of a sum, a line for each way to add."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, STYLE

if TYPE_CHECKING:
    from stcsim.numerics.evidence.accumulation import Accumulation

_INCHES, _SMALL = 2.9, 7
_LABEL_GAP = 0.055
"""Least distance of two names, as a share of the axis."""
_DASHES = ("-", "--", "-", "-", "-", "-")
_MARKERS = ("o", "s", "^", "v", "D", "P")


def write_accumulation_figure(found: Accumulation, path: Path, option: str = "--figure") -> None:
    """Draw the error of every line over k, both logarithmic, into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(found), path, option, STYLE, DPI)


def _draw(found: Accumulation) -> Figure:
    figure = Figure(figsize=(COLUMN_INCHES * 1.6, _INCHES), layout="constrained")
    axes = figure.subplots()
    for at, line in enumerate(found.lines):
        errors = [each or math.nan for each in line.errors]  # a sum without error has no place on a logarithmic axis
        style, marker, colour = _DASHES[at % len(_DASHES)], _MARKERS[at % len(_MARKERS)], COLOURS[at % len(COLOURS)]
        axes.plot(found.lengths, errors, ls=style, marker=marker, color=colour, markerfacecolor="none")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator([float(k) for k in found.lengths[::2]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("k, products of a sum")
    axes.set_ylabel("mean error over mean magnitude")
    _name_lines(axes, found)
    return figure


def _name_lines(axes: Axes, found: Accumulation) -> None:
    """Write the name of each line on the right, at its last point or as near as the other names let it."""
    low, high = (math.log(each) for each in axes.get_ylim())
    below = -_LABEL_GAP
    for at in sorted(range(len(found.lines)), key=lambda at: found.lines[at].errors[-1]):
        line = found.lines[at]
        below = (
            max(below + _LABEL_GAP, (math.log(line.errors[-1]) - low) / (high - low)) if line.errors[-1] else below + _LABEL_GAP
        )
        axes.annotate(
            f"{line.what} ({line.arch})",
            (1.02, below),
            xycoords="axes fraction",
            va="center",
            fontsize=_SMALL,
            color=COLOURS[at % len(COLOURS)],
        )
