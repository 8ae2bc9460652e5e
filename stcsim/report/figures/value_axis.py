"""An x axis of batches, image sizes, tokens or GEMM sizes: where each value stands, and which get a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stcsim.arch.overrides import Change
from stcsim.report.terminal.curve import axis_value_text

if TYPE_CHECKING:
    from stcsim.study.axis import Value

LOG_FROM = 8
"""A smaller range is drawn on a linear axis."""

_MANY_TICKS = 12


def place(value: Value) -> float:
    """Return where a value stands on the x axis; an image at the side of the square with its pixels, a change at its amount."""
    if isinstance(value, Change):
        return float(value.amount)
    return float((value[0] * value[1]) ** 0.5) if isinstance(value, tuple) else float(value)


def scale_x(axes: Axes, values: Sequence[Value]) -> None:
    """Set the x axis: base 2 for values that double or nearly so, else linear; a tick at every value unless there are many."""
    places = [place(value) for value in values]
    middle = places[len(places) // 2]
    doubling = places[0] > 0 and places[-1] >= LOG_FROM * places[0] and 4 * middle <= places[0] + places[-1]
    if doubling:
        axes.set_xscale("log", base=2)
    if doubling or len(places) <= _MANY_TICKS:
        axes.set_xticks(places, [axis_value_text(value) for value in values])
        axes.xaxis.set_minor_locator(NullLocator())


def thin_labels(figure: Figure, axes: Axes) -> None:
    """Leave out labels of the x axis that would touch the one after; the ticks, and the last label, stay."""
    figure.draw_without_rendering()
    free_to = float("inf")
    for label in reversed(axes.get_xticklabels()):
        box = label.get_window_extent()
        if box.x1 > free_to:
            label.set_visible(False)
        else:
            free_to = box.x0 - 0.6 * box.height
