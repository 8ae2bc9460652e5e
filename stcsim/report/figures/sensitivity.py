"""A tornado: two bars for each number of a GPU, the longest on top, and a panel for each quantity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stcsim.errors import StcsimError
from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, DPI, INK, STYLE
from stcsim.report.terminal.sensitivity import quantity_names, share_text

if TYPE_CHECKING:
    from stcsim.study.whatif.sensitivity import LeafEffect, Quantity, Sensitivity

_WIDTH_INCHES, _LINE_INCHES, _FRAME_INCHES = 7.2, 0.19, 0.95
_MOST_BARS, _BAR = 15, 0.38
_LESS, _MORE = COLOURS[0], COLOURS[1]


def write_tornado(found: Sensitivity, path: Path, option: str = "--figure") -> None:
    """Draw the leaves with most effect into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written, or no leaf moves anything.
    """
    if not found.movers:
        raise StcsimError(option, "a number of the GPU that moves something", f"none at ±{share_text(found)}")
    write_drawing(lambda: _draw(found), path, option, STYLE, DPI)


def _draw(found: Sensitivity) -> Figure:
    leaves, names = found.movers[:_MOST_BARS], quantity_names(found)
    figure = Figure(figsize=(_WIDTH_INCHES, _FRAME_INCHES + _LINE_INCHES * len(leaves)), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, (quantity, name) in zip(panels, names.items(), strict=True):
        _bars(axes, leaves, quantity)
        axes.set_title(name, loc="left")
        axes.set_xlabel("effect (%)")
    panels[0].set_yticks(range(len(leaves)), [leaf.path for leaf in leaves])
    panels[0].invert_yaxis()
    keys = [Patch(color=colour, label=f"{sign}{share_text(found)}") for sign, colour in (("−", _LESS), ("+", _MORE))]
    figure.legend(handles=keys, loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle(_title(found, len(leaves)), x=0.01, ha="left", size=8)
    return figure


def _title(found: Sensitivity, shown: int) -> str:
    rest = len(found.movers) - shown
    others = [f"{rest} more move less"] if rest else []
    others += [f"{len(found.idle)} move nothing"] if found.idle else []
    return f"{found.title} on {found.arch}" + (f" ({', '.join(others)})" if others else "")


def _bars(axes: Axes, leaves: tuple[LeafEffect, ...], quantity: Quantity) -> None:
    for line, leaf in enumerate(leaves):
        for step, colour, lane in ((leaf.less, _LESS, -0.5), (leaf.more, _MORE, 0.5)):
            effect = step.effects.get(quantity) if step else None
            if effect is not None:  # each in a lane of its own: both may go to the same side
                axes.barh(line + lane * _BAR, 100 * effect, height=_BAR, color=colour, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda effect, _: f"{effect:+g}".replace("-", "−") if effect else "0"))
