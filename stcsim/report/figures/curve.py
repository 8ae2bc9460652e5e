"""A curve as a figure for one column of a paper: colour tells GPUs and types apart, line and marker tell dense from 2:4.

A single series takes the colours for its sides instead. More series than there are colours are drawn for two columns of a paper,
each GPU in a panel of its own (or each type, where that needs fewer panels), all on the same axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from stcsim.errors import StcsimError
from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, INK, STYLE
from stcsim.report.figures.value_axis import LOG_FROM, place, scale_x, thin_labels
from stcsim.report.terminal.curve import curve_title, series_label, side_name
from stcsim.report.units import BYTE_UNITS, TIME_UNITS, Units, suited

if TYPE_CHECKING:
    from stcsim.result import Interval
    from stcsim.study.curve import Curve, CurvePoint, Side

_HEIGHT_INCHES = 2.9
_PANEL_INCHES, _PAGE_INCHES, _PANEL_COLUMNS = 1.75, 7.2, 3
_MOST_PANELS = 24
_LOOKS: dict[Side, dict[str, Any]] = {
    "dense": {"ls": "-", "marker": "o"},
    "2:4": {"ls": "--", "marker": "^"},
    "best": {"ls": ":", "marker": "D", "markerfacecolor": "#FFFFFF"},
}
_MANY_POINTS = 40
_KEY_COLUMNS = 3
_EMPTY_KEY = Line2D([], [], ls="", label=" ")


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity to draw.

    Attributes:
        title: name and unit.
        sides: drawn where they were run.
        figure: of a point and side.
        likely: where measurements are to be
            expected, drawn as a band where there is one series.
        units: (size, unit) pairs, largest first, for a title with a place for the unit.
        logarithmic: where the range is large; other quantities start at zero.
    """

    title: str
    sides: tuple[Side, ...]
    figure: Callable[[CurvePoint, Side], float | None]
    units: Units = ((1.0, ""),)
    logarithmic: bool = False
    likely: Callable[[CurvePoint, Side], Interval | None] = lambda point, side: None


_ALL: tuple[Side, ...] = ("dense", "2:4", "best")

METRICS = {
    "speedup": Metric(
        "speedup over dense (×)",
        ("2:4", "best"),
        lambda point, side: point.speedup(side),
        likely=lambda point, side: point.speedup_interval(side),
    ),
    "tops": Metric("effective TOPS", _ALL, lambda point, side: point.tops(side)),
    "time": Metric(
        "time of one pass ({})",
        _ALL,
        lambda point, side: point.time_us(side),
        TIME_UNITS,
        True,
        lambda point, side: point.time_us_interval(side),
    ),
    "memory": Metric(
        "weights, activations, cache ({})",
        ("dense", "2:4"),
        lambda point, side: point.memory_bytes(side),
        BYTE_UNITS,
        True,
    ),
    "tops-per-watt": Metric("effective TOPS per watt", _ALL, lambda point, side: point.tops_per_watt(side)),
}


def write_curve_figure(curve: Curve, path: Path, metric: str = "speedup", option: str = "--figure") -> None:
    """Draw one of ``METRICS`` of ``curve`` into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written; when there is nothing to draw, or too much.
    """
    check_series(len(curve.series))
    if not any(each for side in METRICS[metric].sides for each in _figures(METRICS[metric], curve.points, side)):
        raise StcsimError(f"--metric {metric}", "layers that may be pruned, on GPUs with Sparse Tensor Cores", "none")
    write_drawing(lambda: _draw(curve, METRICS[metric]), path, option, STYLE, DPI)


def check_series(count: int) -> None:
    """Refuse more series than panels can hold.

    Raises:
        StcsimError: with the number that there may be, and another form.
    """
    if count > _MOST_PANELS:
        raise StcsimError("--figure", f"at most {_MOST_PANELS} pairs of a GPU and a type (--csv holds any number)", str(count))


def _draw(curve: Curve, metric: Metric) -> Figure:
    series = _distinct(curve, metric)
    sides = [side for side in metric.sides if side != "best" or curve.is_network]
    names: dict[Side, str] = {side: "best of both" if side == "best" else side_name(curve.points, side) for side in sides}
    largest = max(
        (each for points in series.values() for side in sides for each in _figures(metric, points, side) if each), default=1.0
    )
    scale = suited(metric.units, largest)
    if len(series) > len(COLOURS):
        return _draw_panels(curve, metric, names, scale)
    figure = Figure(figsize=(COLUMN_INCHES, _HEIGHT_INCHES), layout="constrained")
    axes = figure.subplots()
    _draw_series(axes, metric, series, sides, scale[0])
    axes.set(xlabel=curve.axis.title, ylabel=metric.title.format(scale[1]))
    axes.set_title(curve_title(curve), loc="left")
    _scale_y(axes, metric)
    scale_x(axes, curve.axis.values)
    keys = _keys(list(series), names)
    figure.legend(
        handles=keys, loc="outside upper center", ncols=_KEY_COLUMNS, frameon=False, columnspacing=1.4, handlelength=2.2
    )
    thin_labels(figure, axes)
    return figure


def _draw_panels(curve: Curve, metric: Metric, names: dict[Side, str], scale: tuple[float, str]) -> Figure:
    """Draw a panel for each GPU, or for each type where that needs fewer, all on the same axes."""
    panels, labels = _panels(curve)
    columns = min(_PANEL_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_PAGE_INCHES, 0.8 + _PANEL_INCHES * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes, (title, series) in zip(places, panels.items(), strict=False):
        _draw_series(axes, metric, series, list(names), scale[0])
        axes.set_title(title, loc="left")
        scale_x(axes, curve.axis.values)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    low, high = (end(axes.dataLim.intervaly[at] for axes in places[: len(panels)]) for at, end in enumerate((min, max)))
    places[0].dataLim.intervaly = low, high  # the y axis is shared
    _scale_y(places[0], metric)
    figure.supxlabel(curve.axis.title, size=8)
    figure.supylabel(metric.title.format(scale[1]), size=8)
    figure.suptitle(curve_title(curve), x=0.01, ha="left", size=8)
    figure.legend(handles=_keys(labels, names), loc="outside upper right", ncols=_KEY_COLUMNS, frameon=False)
    for axes in places[: len(panels)]:
        thin_labels(figure, axes)
    return figure


def _panels(curve: Curve) -> tuple[dict[str, dict[str, Sequence[CurvePoint]]], list[str]]:
    """Return the series of each panel, and what its colours stand for."""
    archs, dtypes = (list(dict.fromkeys(names)) for names in zip(*curve.series, strict=True))
    by_arch = len(dtypes) <= len(COLOURS) and (len(archs) <= len(dtypes) or len(archs) > len(COLOURS))
    outer, inner = (archs, dtypes) if by_arch else (dtypes, archs)
    found = {(arch, dtype) if by_arch else (dtype, arch): points for (arch, dtype), points in curve.series.items()}
    return {panel: {each: found[panel, each] for each in inner} for panel in outer}, inner


def _draw_series(axes: Axes, metric: Metric, series: dict[str, Sequence[CurvePoint]], sides: Sequence[Side], size: float) -> None:
    for at, points in enumerate(series.values()):
        for nth, side in enumerate(sides):
            colour = COLOURS[nth if len(series) == 1 else at]
            heights = [float("nan") if each is None else each / size for each in _figures(metric, points, side)]
            look = {**_LOOKS[side], "color": colour, **({"marker": ""} if len(points) > _MANY_POINTS else {})}
            places = [place(point.value) for point in points]
            axes.plot(places, heights, **look)
            if len(series) == 1:
                _draw_likely(axes, places, [metric.likely(point, side) for point in points], size, colour)
    if metric is METRICS["speedup"]:
        axes.axhline(1.0, color=INK, lw=0.7, zorder=1)


def _draw_likely(axes: Axes, places: Sequence[float], likely: Sequence[Interval | None], size: float, colour: str) -> None:
    """Draw the band that holds 80 % of measurements."""
    if all(likely):
        low, high = ([getattr(each, end) / size for each in likely] for end in ("low", "high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)


def _distinct(curve: Curve, metric: Metric) -> dict[str, Sequence[CurvePoint]]:
    """Return the series to draw, by label; a network takes the same memory on every GPU."""
    if metric is not METRICS["memory"]:
        return {series_label(curve, *key): points for key, points in curve.series.items()}
    first: dict[str, Sequence[CurvePoint]] = {}
    for (_, dtype), points in curve.series.items():
        first.setdefault(dtype, points)
    return first


def _keys(labels: Sequence[str], names: dict[Side, str]) -> list[Line2D]:
    """Return the legend: rows of colours, if there are several, and a row of sides."""
    colours = [Line2D([], [], color=COLOURS[at], lw=3, label=label) for at, label in enumerate(labels)]
    looks = [
        Line2D([], [], color=COLOURS[nth] if len(labels) == 1 else INK, label=name, **_LOOKS[side])
        for nth, (side, name) in enumerate(names.items())
    ]
    if len(labels) == 1:
        return looks
    keys = [key for row in (colours, looks) for key in [*row, *(_EMPTY_KEY for _ in range(-len(row) % _KEY_COLUMNS))]]
    return [key for column in range(_KEY_COLUMNS) for key in keys[column::_KEY_COLUMNS]]  # as a legend is filled


def _figures(metric: Metric, points: Sequence[CurvePoint], side: Side) -> list[float | None]:
    return [metric.figure(point, side) for point in points]


def _scale_y(axes: Axes, metric: Metric) -> None:
    """Set the y axis: logarithmic with plain numbers, from zero, or around 1 for a speedup."""
    low, high = axes.dataLim.intervaly
    if metric is METRICS["speedup"]:
        low, high = min(low, 1.0), max(high, 1.0)
        margin = max(0.07 * (high - low), 0.01)
        axes.set_ylim(low - margin, high + margin)
    elif metric.logarithmic and high >= LOG_FROM * low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high >= 100 * low else (1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{height:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.07 * high)
