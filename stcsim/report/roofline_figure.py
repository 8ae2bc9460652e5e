"""A roofline as a figure for one column of a paper: layers under the roofs, dense and 2:4, area by share of time.

A thin line joins the two sides of a layer. The slowest carry a number, and the key below says which they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from rich.text import Text

from stcsim.report.columns import shortened
from stcsim.report.figure_file import write_drawing
from stcsim.report.paper_style import COLOURS, COLUMN_INCHES, DPI, GREY, INK, STYLE
from stcsim.report.roofline import layer_shape, roofline_title

if TYPE_CHECKING:
    from stcsim.study.roofline import Roofline, RooflineLayer, Spot

Disc = tuple[float, float, float]
"""Centre and radius, pixels."""

_LOOKS = {False: (COLOURS[0], "o"), True: (COLOURS[1], "^")}
_SLOPE: dict[str, Any] = {"color": INK, "ls": ":", "zorder": 1}
_PLOT_INCHES, _LINE_INCHES = 3.2, 0.125
_NUMBERED = 6
_ROOF_STEPS = 100
_NAME_COLUMNS = 34
_NUMBER_POINTS, _KEY_POINTS = 7.0, 6.5
_ANGLES = [math.radians(45 + 30 * step) for step in range(12)]
_DISTANCES = (0.1, 0.6, 1.2, 2.0, 3.0)
"""Where a number may stand around a marker: directions, and gaps in halves of its height."""

_FULL_AREA, _LEAST_AREA = 280.0, 8.0
"""Square points of a marker that takes all the time, and of the smallest."""


def write_roofline_figure(roofline: Roofline, path: Path, option: str = "--figure") -> None:
    """Draw ``roofline`` into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(roofline), path, option, STYLE, DPI)


def _draw(roofline: Roofline) -> Figure:
    layers = roofline.alike()
    key_inches = _LINE_INCHES * (min(len(layers), _NUMBERED) + 0.6)
    height = _PLOT_INCHES + key_inches
    figure = Figure(figsize=(COLUMN_INCHES, height))
    figure.set_layout_engine("constrained", rect=(0, key_inches / height, 1, _PLOT_INCHES / height))
    axes = figure.subplots()
    _roofs(axes, roofline)
    _markers(axes, layers)
    axes.set(xlabel="arithmetic intensity (operations per byte of DRAM)", ylabel="effective TOPS")
    axes.set_title(roofline_title(roofline), loc="left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda each, _: f"{each:,g}"))
    figure.legend(handles=_keys(roofline), loc="outside upper center", ncols=2, frameon=False, columnspacing=1.4)
    figure.draw_without_rendering()  # places the axes, so that distances are known
    _number(axes, layers, _roof_points(axes, roofline))
    for at, layer in enumerate(layers[:_NUMBERED]):
        y = (key_inches - _LINE_INCHES * (at + 0.9)) / height
        figure.text(0.03, y, _key_text(at + 1, layer), size=_KEY_POINTS, color=INK)
    return figure


def _spots(layer: RooflineLayer) -> Iterator[tuple[bool, Spot]]:
    yield False, layer.dense
    if layer.sparse:
        yield True, layer.sparse


def _area(spot: Spot) -> float:
    return max(_FULL_AREA * spot.share_of_time, _LEAST_AREA)


def _markers(axes: Axes, layers: Sequence[RooflineLayer]) -> None:
    """Draw the sides of each layer with a line between, large ones below small ones."""
    for layer in layers:
        spots = [spot for _, spot in _spots(layer)]
        axes.plot([spot.intensity for spot in spots], [spot.tops for spot in spots], color=GREY, linewidth=0.6, zorder=2)
    for sparse, spot in sorted((side for layer in layers for side in _spots(layer)), key=lambda side: -_area(side[1])):
        colour, marker = _LOOKS[sparse]
        edge: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.5}
        axes.scatter(spot.intensity, spot.tops, s=_area(spot), c=colour, marker=marker, alpha=0.8, zorder=3, **edge)


def _roofs(axes: Axes, roofline: Roofline) -> None:
    """Draw the slope of DRAM and the peaks it ends at, wide enough to show both."""
    roofs, spots = roofline.roofs, [spot for layer in roofline.layers for _, spot in _spots(layer)]
    peaks = {False: roofs.dense_tops, **({True: roofs.sparse_tops} if roofs.sparse_tops else {})}
    corners = {sparse: peak_tops / roofs.dram_gb_per_s * 1e3 for sparse, peak_tops in peaks.items()}
    left = min(corners[False], *(spot.intensity for spot in spots)) / 2
    right = 2 * max(*corners.values(), *(spot.intensity for spot in spots))
    axes.plot([left, max(corners.values())], [left * roofs.dram_gb_per_s * 1e-3, max(peaks.values())], **_SLOPE)
    for sparse, peak_tops in peaks.items():
        axes.plot([corners[sparse], right], [peak_tops, peak_tops], color=_LOOKS[sparse][0], ls="--" if sparse else "-", zorder=1)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set_ylim(min(spot.tops for spot in spots) / 2, 1.5 * max(peaks.values()))


def _keys(roofline: Roofline) -> list[Line2D]:
    roofs = roofline.roofs
    sides = [(False, "dense", roofs.dense_tops), *([(True, "2:4", roofs.sparse_tops)] if roofs.sparse_tops else [])]
    markers, lines = [], []
    for sparse, word, peak_tops in sides:
        colour, marker = _LOOKS[sparse]
        markers.append(Line2D([], [], ls="", color=colour, marker=marker, markersize=5, label=f"layer, {word}"))
        lines.append(Line2D([], [], color=colour, ls="--" if sparse else "-", label=f"peak {word}, {peak_tops:,.0f} TOPS"))
    markers.append(Line2D([], [], ls="", label="area: share of time"))
    lines.append(Line2D([], [], **_SLOPE, label=f"peak DRAM, {roofs.dram_gb_per_s:,.0f} GB/s"))
    return [*markers, *lines]


def _key_text(number: int, layer: RooflineLayer) -> str:
    name = shortened(Text(layer.name), _NAME_COLUMNS).plain
    return f"{number}  {name}{f' ×{layer.count}' if layer.count > 1 else ''}, {layer_shape(layer)}"


def _roof_points(axes: Axes, roofline: Roofline) -> list[tuple[float, float]]:
    """Return points along the roofs, near enough to each other that no number fits between."""
    left, right = axes.get_xlim()
    places = [left * (right / left) ** (step / _ROOF_STEPS) for step in range(_ROOF_STEPS + 1)]
    return [(place, roofline.roofs.tops_at(place, sparse)) for place in places for sparse in (False, True)]


def _number(axes: Axes, layers: Sequence[RooflineLayer], roof: Sequence[tuple[float, float]]) -> None:
    """Write 1, 2, … beside the first layers: clear of roofs, markers and other numbers, and nearest to a marker of their own."""
    pixels = axes.figure.dpi / 72  # of a point
    half, inside = 0.55 * _NUMBER_POINTS * pixels, axes.get_window_extent()

    def disc(spot: Spot) -> Disc:
        x, y = axes.transData.transform((spot.intensity, spot.tops))
        return float(x), float(y), math.sqrt(_area(spot) / math.pi) * pixels

    markers = [[disc(spot) for _, spot in _spots(layer)] for layer in layers]
    taken = [(float(x), float(y), pixels) for x, y in axes.transData.transform(roof)]
    for at in range(min(len(layers), _NUMBERED)):
        others = [each for nth, discs in enumerate(markers) for each in discs if nth != at]
        places = list(_around(markers[at], half))
        within = [place for place in places if inside.contains(*place[:2])]
        clear = [place for place in within if _gap(place, taken + others + markers[at]) >= 0]
        own = [place for place in clear if _gap(place, others) > _gap(place, markers[at]) + half]
        place = (own or clear or places)[0]
        taken.append(place)
        x, y = axes.transData.inverted().transform(place[:2])
        axes.text(x, y, str(at + 1), size=_NUMBER_POINTS, weight="bold", color=INK, ha="center", va="center_baseline", zorder=4)


def _around(discs: Sequence[Disc], half: float) -> Iterator[Disc]:
    """Yield where a number may stand around any of ``discs``, nearest first."""
    for away in _DISTANCES:
        for x, y, radius in discs:
            reach = radius + (1 + away) * half
            yield from ((x + reach * math.cos(angle), y + reach * math.sin(angle), half) for angle in _ANGLES)


def _gap(place: Disc, discs: Sequence[Disc]) -> float:
    """Return the free distance from ``place`` to the nearest of ``discs``, below 0 where they overlap."""
    return min((math.dist(place[:2], disc[:2]) - place[2] - disc[2] for disc in discs), default=math.inf)
