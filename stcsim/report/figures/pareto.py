"""A Pareto front: every cell of a study, those that nothing beats joined by a line, and GPUs as they are by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stcsim.errors import StcsimError
from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, GREY, INK, STYLE
from stcsim.report.figures.planes import figure_name

if TYPE_CHECKING:
    from stcsim.study.sweeps.views import Front, Fronts

_MOST_FRONTS, _ACROSS = 12, 3
_HEIGHT_INCHES = 2.3
_MOST_BARRED = 60
"""Cells of a front up to which each shows its interval."""


def write_pareto_figure(fronts: Fronts, title: str, path: Path, option: str = "--figure") -> None:
    """Draw the fronts over the first two objectives into ``path``.

    Raises:
        StcsimError: when there are not two objectives, too many fronts to be seen, or the file is not PNG, SVG or PDF, or cannot
            be written.
    """
    if len(fronts.objectives) != 2:
        raise StcsimError(option, "two objectives to draw (the table and --csv take any number)", str(len(fronts.objectives)))
    if len(fronts.fronts) > _MOST_FRONTS:
        expected = f"at most {_MOST_FRONTS} networks or GEMMs (--where trace=NAME takes some; the table and --csv have all)"
        raise StcsimError(option, expected, str(len(fronts.fronts)))
    write_drawing(lambda: _draw(fronts, title), path, option, STYLE, DPI)


def _draw(fronts: Fronts, title: str) -> Figure:
    across = min(len(fronts.fronts), _ACROSS)
    down = math.ceil(len(fronts.fronts) / across)
    width = COLUMN_INCHES if across == 1 else 2.4 * across
    figure = Figure(figsize=(width, _HEIGHT_INCHES * down + 0.6), layout="constrained")
    fields = list(figure.subplots(down, across, squeeze=False).flat)
    for axes, front in zip(fields, fronts.fronts, strict=False):
        _draw_front(axes, front, *(each.name for each in fronts.objectives))
    for axes in fields[len(fronts.fronts) :]:
        axes.set_visible(False)
    for axes in fields[max(0, len(fronts.fronts) - across) : len(fronts.fronts)]:
        axes.set_xlabel(_axis_title(fronts, 0), fontsize=7)
    for axes in fields[::across]:
        axes.set_ylabel(_axis_title(fronts, 1), fontsize=7)
    if title:
        figure.suptitle(title, fontsize=8, x=0.02, ha="left")
    figure.legend(handles=_keys(), loc="outside lower center", ncols=3, frameon=False, handletextpad=0.3)
    return figure


def _axis_title(fronts: Fronts, at: int) -> str:
    objective = fronts.objectives[at]
    return f"{figure_name(objective.name)}\n{'less' if objective.better == 'min' else 'more'} is better"


def _draw_front(axes: Axes, front: Front, x: str, y: str) -> None:
    cells = [(row[x], row[y]) for row in front.rows if not row["mark"] and row[x] is not None and row[y] is not None]
    axes.plot(*zip(*cells, strict=True), ls="", marker=".", ms=2.5, color=GREY, zorder=1)
    best = sorted((front.rows[at] for at in front.best), key=lambda row: row[x])  # type: ignore[arg-type,return-value]
    axes.plot([row[x] for row in best], [row[y] for row in best], drawstyle="default", zorder=3, **_BEST)  # type: ignore[arg-type]
    if len(best) <= _MOST_BARRED:
        axes.errorbar(
            [row[x] for row in best],  # type: ignore[arg-type]
            [row[y] for row in best],  # type: ignore[arg-type]
            xerr=_ends(best, x), yerr=_ends(best, y), ls="", elinewidth=0.5, color=COLOURS[0], alpha=0.4, zorder=2,
        )  # fmt: skip
    for at in front.marks:
        _draw_mark(axes, front.rows[at], x, y)
    axes.set_title(front.title, fontsize=7.5)
    axes.margins(0.18, 0.12)


def _draw_mark(axes: Axes, row: dict[str, object], x: str, y: str) -> None:
    if row[x] is None or row[y] is None:
        return
    place: Any = (row[x], row[y])
    axes.plot(*place, zorder=4, **_MARK)
    axes.annotate(str(row["arch"]), place, xytext=(3, 3), textcoords="offset points", fontsize=6.5, color=INK, zorder=5)


def _ends(rows: Sequence[dict[str, object]], name: str) -> list[list[float]] | None:
    """Return how far intervals reach below and above the figures, ``None`` where they have none."""
    below, above = [], []
    for row in rows:
        value, low, high = (row.get(each) for each in (name, f"{name}_low", f"{name}_high"))
        if not (isinstance(value, float) and isinstance(low, float) and isinstance(high, float)):
            return None
        below.append(max(value - low, 0.0))
        above.append(max(high - value, 0.0))
    return [below, above]


_BEST: dict[str, Any] = {"marker": "o", "ms": 3.2, "lw": 0.9, "color": COLOURS[0]}
_MARK: dict[str, Any] = {"marker": "D", "ms": 4.0, "ls": "", "color": COLOURS[1]}


def _keys() -> list[Line2D]:
    return [
        Line2D([], [], ls="", marker=".", color=GREY, label="cells"),
        Line2D([], [], label="nothing beats these", **_BEST),
        Line2D([], [], label="GPUs as they are", **_MARK),
    ]
