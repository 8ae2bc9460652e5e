"""Published case studies as figures: what was published as diamonds, predictions as lines or dots, the difference beside each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, GREY, INK, STYLE
from stcsim.report.figures.value_axis import LOG_FROM, place, scale_x, thin_labels
from stcsim.report.terminal.reproduce import point_name, published_text
from stcsim.report.units import TIME_UNITS, suited

if TYPE_CHECKING:
    from stcsim.study.reproduce.model import Quantity, Reproduction, Row

_CURVE_INCHES, _LINE_INCHES, _FRAME_INCHES = 2.2, 0.19, 0.55
_OVERVIEW_INCHES, _OVERVIEW_LINE_INCHES = 7.2, 0.148  # two columns of a paper
_SMALL = 6.5
_PUBLISHED: dict[str, Any] = {"marker": "D", "markersize": 4.2, "markerfacecolor": "#FFFFFF", "markeredgewidth": 0.9}
_PAPER: dict[str, Any] = {"facecolor": "#FFFFFF", "alpha": 0.75, "lw": 0, "pad": 0.4}
_OVERVIEW_TICKS = (0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0)

Colours = dict[str, str]


def write_study_figure(found: Reproduction, path: Path, option: str = "--figure") -> None:
    """Draw one study into ``path``, each quantity in a panel: curves where it has an axis, else a line for each point.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw_study(found), path, option, STYLE, DPI)


def write_overview_figure(found: Sequence[Reproduction], path: Path, option: str = "--figure") -> None:
    """Draw every measured figure of all studies into ``path``: ratios as they are, times and rates over the published ones.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw_overview(found), path, option, STYLE, DPI)


def _draw_study(found: Reproduction) -> Figure:
    panels: dict[Quantity, list[Row]] = {}
    for row in found.rows:
        panels.setdefault(row.quantity, []).append(row)
    draw = _curves if found.study.axis else _dots
    lines = [_CURVE_INCHES if found.study.axis else _FRAME_INCHES + _LINE_INCHES * len(_names(rows)) for rows in panels.values()]
    figure = Figure(figsize=(COLUMN_INCHES, sum(lines) + 0.45), layout="constrained")
    places = figure.subplots(len(panels), 1, squeeze=False, height_ratios=lines)[:, 0]
    colours = _colours(found.rows)
    for axes, (quantity, rows) in zip(places, panels.items(), strict=True):
        draw(axes, quantity, rows, colours)
    places[0].set_title(f"{found.study.name} · {found.study.gpu}", loc="left")
    _add_keys(figure, colours)
    if found.study.axis:
        places[-1].set_xlabel(found.study.axis)
        for axes in places:
            thin_labels(figure, axes)
    return figure


def _colours(rows: Sequence[Row]) -> Colours:
    """Return the colour of each series; one without a name beside others is black."""
    names = _series(rows)
    if len(names) == 1:
        return {names[0]: COLOURS[0]}
    named = [name for name in names if name]
    return {"": INK, **{name: COLOURS[at % len(COLOURS)] for at, name in enumerate(named)}}


def _series(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.point.series for row in rows))


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(point_name(row.point) for row in rows))


def _add_keys(figure: Figure, colours: Colours) -> None:
    """Add the legend: what was predicted and published, and below the colour of each series, if there are several."""
    named = {name: colour for name, colour in colours.items() if name} if len(colours) > 1 else {}
    kinds = [
        Line2D([], [], color=GREY if named else next(iter(colours.values())), marker="o", label="predicted"),
        Line2D([], [], ls="", color=INK, label="published", **_PUBLISHED),
    ]
    series = [Line2D([], [], color=colour, lw=3, label=name) for name, colour in named.items()]
    columns = 3 if len(series) > 4 else 2
    empty = Line2D([], [], ls="", label=" ")
    rows = [key for row in (kinds, series) for key in [*row, *[empty] * (-len(row) % columns)]]
    keys = [key for column in range(columns) for key in rows[column::columns]]  # as a legend is filled
    figure.legend(handles=keys, loc="outside upper center", ncols=columns, frameon=False, columnspacing=1.4)


def _curves(axes: Axes, quantity: Quantity, rows: Sequence[Row], colours: Colours) -> None:
    """Draw predictions over the axis of the study; a published figure without a place on it is a line across."""
    size, unit = _unit(quantity, rows)
    series = _series(rows)
    noted = len(series) == 1 or len(series) == 2 and quantity.unit == "×"  # more would cover each other
    for nth, name in enumerate(series):
        line = {place(row.point.value): row for row in rows if row.point.series == name and row.point.value is not None}
        axes.plot(list(line), [row.predicted / size for row in line.values()], color=colours[name], marker="o", zorder=2)
        known = {at: row.point.published for at, row in line.items() if row.point.published}
        middles = [(each.low + each.high) / 2 / size for each in known.values()]
        dotted = ":" if len(known) == len(line) else ""  # where a point between is unknown, a line would make it up
        axes.plot(list(known), middles, ls=dotted, lw=0.9, color=colours[name], zorder=4, **_PUBLISHED)
        for (at, published), middle in zip(known.items(), middles, strict=True):
            axes.plot([at, at], [published.low / size, published.high / size], color=colours[name], lw=2.4, alpha=0.5, zorder=3)
            if noted:
                above = nth == 0 if len(series) > 1 else middle * size >= line[at].predicted
                _note(axes, _percent(line[at]), (at, middle), 1 if above else -1, colours[name])
    _across(axes, quantity, [row for row in rows if row.point.value is None and row.point.published], size)
    axes.set_ylabel(f"{quantity.title} ({unit})")
    _scale_y(axes, quantity)
    scale_x(axes, sorted({row.point.value for row in rows if row.point.value is not None}, key=place))
    axes.margins(x=0.08)


def _across(axes: Axes, quantity: Quantity, rows: Sequence[Row], size: float) -> None:
    """Draw published figures that have no place on the axis as lines across, with the differences of all series below."""
    texts: dict[str, list[Row]] = {}
    for row in rows:
        if row.point.published:
            texts.setdefault(published_text(quantity, row.point.published), []).append(row)
            axes.axhline(row.point.published.high / size, color=INK, lw=0.9, ls="--", zorder=1)
    notes = [f"dashed: published, {text} ({', '.join(map(_percent, same))})" for text, same in texts.items()]
    axes.annotate("\n".join(notes), (0.015, 0.03), xycoords="axes fraction", va="bottom", fontsize=_SMALL)


def _note(axes: Axes, text: str, at: tuple[float, float], up: int, colour: str) -> None:
    """Write ``text`` above a point, or below it where ``up`` is -1."""
    axes.annotate(
        text, at, (0, 6 * up), textcoords="offset points", ha="center", va="bottom" if up > 0 else "top", fontsize=_SMALL,
        color=colour, bbox=_PAPER, zorder=5,
    )  # fmt: skip


def _dots(axes: Axes, quantity: Quantity, rows: Sequence[Row], colours: Colours) -> None:
    """Draw a line for each point: the prediction as a dot, the published figure as a diamond, the difference on the right."""
    size, unit = _unit(quantity, rows)
    names = _names(rows)
    for at, name in enumerate(names):
        here = [row for row in rows if point_name(row.point) == name]
        for row in here:
            _pair(axes, at, row, size, colours[row.point.series])
        _on_the_right(axes, at, here)
    _lines(axes, names)
    axes.set_xlabel(f"{quantity.title} ({unit})")
    low, high = axes.dataLim.intervalx
    if quantity.unit == "×":
        axes.axvline(1.0, color=INK, lw=0.7, zorder=1)
    elif high >= LOG_FROM * low:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlim(0, 1.08 * high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda figure, _: f"{figure:,g}"))


def _pair(axes: Axes, at: float, row: Row, size: float, colour: str) -> None:
    """Draw a prediction and its published figure, both over ``size``, with a line between."""
    predicted, published = row.predicted / size, row.point.published
    if published:
        low, high = published.low / size, published.high / size
        axes.plot([predicted, min(max(predicted, low), high)], [at, at], color=GREY, lw=0.8, zorder=2)
        axes.plot([low, high], [at, at], color=INK, lw=2.4, alpha=0.35, zorder=3)
        axes.plot([(low + high) / 2], [at], ls="", color=INK, zorder=4, **_PUBLISHED)
    axes.plot([predicted], [at], ls="", marker="o", color=colour, zorder=5)


def _on_the_right(axes: Axes, at: float, rows: Sequence[Row]) -> None:
    text = "  ".join(map(_percent, rows))
    axes.annotate(text, (1.02, at), xycoords=("axes fraction", "data"), va="center", fontsize=_SMALL)


def _lines(axes: Axes, names: Sequence[str]) -> None:
    """Set the y axis: a name for each line, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _draw_overview(found: Sequence[Reproduction]) -> Figure:
    sides = [_measured(found, ratios=True), _measured(found, ratios=False)]
    lines = max(sum(len(rows) + 1 for rows in side.values()) for side in sides)
    figure = Figure(figsize=(_OVERVIEW_INCHES, 0.9 + _OVERVIEW_LINE_INCHES * lines), layout="constrained")
    left, right = figure.subplots(1, 2)
    _overview(left, sides[0], lines, over_published=False)
    left.set_xlabel("speedup or gain (×)")
    _overview(right, sides[1], lines, over_published=True)
    right.set_xlabel("time or rate over the published one")
    _add_keys(figure, {"": COLOURS[0]})
    return figure


def _measured(found: Sequence[Reproduction], ratios: bool) -> dict[str, list[tuple[str, Row]]]:
    """Return the named rows of each study that were measured and published: ratios, or times and rates."""
    rows = {
        each.study.name: [
            (_overview_name(each, row), row)
            for row in each.rows
            if row.point.published and row.quantity.is_measured and (row.quantity.unit == "×") == ratios
        ]
        for each in found
    }
    return {name: mine for name, mine in rows.items() if mine}


def _overview(axes: Axes, studies: dict[str, list[tuple[str, Row]]], lines: int, over_published: bool) -> None:
    """Draw a line for each row below the name of its study."""
    names: list[str] = []
    for study, rows in studies.items():
        names.append(study)
        for name, row in rows:
            published = row.point.published
            size = min(max(row.predicted, published.low), published.high) if published and over_published else 1.0
            _pair(axes, len(names), row, size, COLOURS[0])
            _on_the_right(axes, len(names), [row])
            names.append(name)
    _lines(axes, names + [""] * (lines - len(names)))
    for label in axes.get_yticklabels():
        label.set_fontsize(_SMALL)
        label.set_fontweight("bold" if label.get_text() in studies else "normal")
    axes.axvline(1.0, color=INK, lw=0.7, zorder=1)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in _OVERVIEW_TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda figure, _: f"{figure:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _overview_name(found: Reproduction, row: Row) -> str:
    """Return what tells a row from the others of its study, with the name of its axis where that is one word."""
    axis = found.study.axis if row.point.value is not None and "(" not in found.study.axis else ""
    return ", ".join(word for word in (row.point.series, f"{axis} {point_name(row.point)}".strip()) if word)


def _unit(quantity: Quantity, rows: Sequence[Row]) -> tuple[float, str]:
    """Return what to divide figures by, and the unit they then have."""
    if quantity.unit == "µs":
        largest = max(row.predicted for row in rows)
        return suited(TIME_UNITS, largest)
    return (0.01, "%") if quantity.unit == "%" else (1.0, quantity.unit)


def _scale_y(axes: Axes, quantity: Quantity) -> None:
    """Set the y axis: around 1 for ratios, logarithmic for a large range, else from zero."""
    low, high = axes.dataLim.intervaly
    if quantity.unit == "×":
        axes.axhline(1.0, color=INK, lw=0.7, zorder=1)
        low, high = min(low, 1.0), max(high, 1.0)
        margin = 0.16 * (high - low)
        axes.set_ylim(low - margin, high + margin)
    elif high >= LOG_FROM * low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{height:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low / 1.6, high * 1.6)
    else:
        axes.set_ylim(0, 1.15 * high)


def _percent(row: Row) -> str:
    """Return the difference in whole percent: ``+4 %``."""
    return "" if row.difference is None else f"{100 * row.difference:+.0f} %"
