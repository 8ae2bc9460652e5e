"""Accuracy against speed: each network of a recipe in each type, at the time that a pass is predicted to take on each GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, INK, STYLE
from stcsim.report.terminal.workflow import METRICS, archs_of, time_us

if TYPE_CHECKING:
    from stcsim.workflow.result import WorkflowResult

_HEIGHT_INCHES = 3.2
_LOOKS: dict[tuple[bool, bool], dict[str, Any]] = {
    (False, True): {"marker": "o", "label": "dense"},
    (True, True): {"marker": "^", "label": "2:4, trained again"},
    (True, False): {"marker": "^", "label": "2:4, at once", "markerfacecolor": "#FFFFFF"},
}
"""By whether a network is pruned, and trained since."""
_TYPES = ("fp16", "int8", "fp8")
_FADED = 0.35
_PLAIN = ("", "max", "qat")
"""Calibrations that are drawn; the others differ by less than the points are wide, or are told in the table."""


def write_workflow_figure(result: WorkflowResult, path: Path, option: str = "--figure") -> None:
    """Draw ``result`` into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(result), path, option, STYLE, DPI)


def _draw(result: WorkflowResult) -> Figure:
    figure = Figure(figsize=(COLUMN_INCHES, _HEIGHT_INCHES), layout="constrained")
    axes = figure.subplots()
    series = [(arch, dtype) for arch in archs_of(result) for dtype in _TYPES]
    drawn = [pair for pair in series if any(result.speed_of(row, pair[0]) for row in result.rows if row.dtype == pair[1])]
    for place, (arch, dtype) in enumerate(drawn):
        _points(axes, result, arch, dtype, COLOURS[place % len(COLOURS)])
    axes.set(xlabel=f"predicted time of a pass of {result.speeds[0].batch:,} samples (µs)", ylabel=METRICS[result.metric][0])
    axes.set_title(result.recipe, loc="left")
    if result.metric == "bits":
        axes.invert_yaxis()
    keys = [
        Line2D([], [], ls="", marker="s", color=COLOURS[place % len(COLOURS)], label=f"{arch} {dtype}")
        for place, (arch, dtype) in enumerate(drawn)
    ]
    looks = dict.fromkeys((row.pruned, row.trained) for row in result.rows)
    keys += [Line2D([], [], ls="", color=INK, **look) for pair, look in _LOOKS.items() if pair in looks]
    figure.legend(handles=keys, loc="outside upper center", ncols=3, frameon=False, columnspacing=1.0, handletextpad=0.2)
    return figure


def _points(axes: Axes, result: WorkflowResult, arch: str, dtype: str, colour: str) -> None:
    rows = [row for row in result.rows if row.dtype == dtype and row.method in _PLAIN]
    for row in rows:
        speed = result.speed_of(row, arch)
        if speed is None:
            continue
        likely = speed.best_us_interval if row.pruned else speed.dense_us_interval
        x, y = time_us(row, speed), row.simulated.value
        if likely and row is rows[0]:
            axes.plot([likely.low, likely.high], [y, y], color=colour, lw=0.8, alpha=_FADED)
        look = {name: each for name, each in _LOOKS[row.pruned, row.trained].items() if name != "label"}
        axes.errorbar(x, y, yerr=row.simulated.error, color=colour, ls="", elinewidth=0.7, **look)
