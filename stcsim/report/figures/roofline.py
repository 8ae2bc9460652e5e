"""A roofline as a figure for one column of a paper: layers under the roofs, dense and 2:4, area by share of time.

A filled mark stands at the operations per byte of DRAM, a small hollow one, on a thin line to it, at those per byte of L2. A
kernel that found all in L2 has the hollow one alone, with the area. The slowest layers carry the numbers of the table, and the
key below says which they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from rich.text import Text

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, COLUMN_INCHES, DPI, GREY, INK, STYLE
from stcsim.report.figures.roofline_labels import Disc, Roof, name_roof, points, text_width, write_numbers
from stcsim.report.terminal.columns import shortened
from stcsim.report.terminal.roofline import layer_shape, roofline_title
from stcsim.report.units import percent

if TYPE_CHECKING:
    from stcsim.study.roofline import Roofline, RooflineLayer, Roofs, Spot

_LOOKS: dict[bool, dict[str, Any]] = {
    False: {"color": COLOURS[0], "marker": "o", "ls": "-"},
    True: {"color": COLOURS[1], "marker": "^", "ls": "--"},
}
_PLOT_INCHES, _LINE_INCHES = 3.3, 0.12
_NUMBERED = 6
_SHOWN_TIME = 0.95
"""Share of the time, dense, of the layers that the plane is made to hold."""

_LINKED_TIME = 0.02
"""Share of the time from which a line joins the two marks of a kernel: many of them would hide the rest."""

_MARGIN, _HEADROOM = 1.7, 0.14
"""From the outermost mark or corner to the edge, and the least share of the height above the highest roof, for its name."""

_FULL_AREA, _LEAST_AREA, _HOLLOW_AREA = 280.0, 8.0, 9.0
"""Square points of a marker that takes all the time, of the smallest, and of one at the operations per byte of L2."""

_KEY_POINTS = 6.0
_NAME_COLUMNS = 60
_FEW_DECADES = 300.0
"""An axis whose ends differ less has labels between the decades."""


class _Plane(NamedTuple):
    """What the axes show: operations per byte, and 10^12 operations a second."""

    left: float
    right: float
    bottom: float
    top: float

    def holds(self, layer: RooflineLayer) -> bool:
        """Whether all marks of ``layer`` are inside."""
        return all(
            self.left <= intensity <= self.right and self.bottom <= spot.tops
            for _, spot in _spots([layer])
            for intensity in (spot.l2_intensity, spot.intensity)
        )


def write_roofline_figure(roofline: Roofline, path: Path, option: str = "--figure") -> None:
    """Draw ``roofline`` into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(roofline), path, option, STYLE, DPI)


def _draw(roofline: Roofline) -> Figure:
    layers = roofline.alike()
    plane = _plane(layers, roofline.roofs)
    numbered = dict([(at, layer) for at, layer in enumerate(layers, 1) if plane.holds(layer)][:_NUMBERED])
    key = [*_key_lines(numbered), *_outside(layers, plane)]
    key_inches = _LINE_INCHES * (len(key) + 0.6)
    height = _PLOT_INCHES + key_inches
    figure = Figure(figsize=(COLUMN_INCHES, height))
    figure.set_layout_engine("constrained", rect=(0, key_inches / height, 1, _PLOT_INCHES / height))
    axes = figure.subplots()
    _scale(axes, plane)
    roofs = _roofs(roofline.roofs, plane)
    for roof in roofs:
        axes.plot(*zip(*roof.ends, strict=True), zorder=1, **roof.look)
    _markers(axes, layers)
    axes.set(xlabel="arithmetic intensity (operations per byte)", ylabel="effective TOPS")
    axes.set_title(roofline_title(roofline), loc="left")
    keys = _keys(roofline.roofs)
    look: dict[str, Any] = {"frameon": False, "columnspacing": 1.2, "handlelength": 1.0, "handletextpad": 0.5}
    figure.legend(handles=keys, loc="outside upper center", ncols=-(-len(keys) // 2), **look)
    figure.draw_without_rendering()  # places the axes, so that distances are known
    _write_in_the_plane(axes, layers, list(numbered), roofs)
    for at, line in enumerate(key):
        figure.text(0.03, (key_inches - _LINE_INCHES * (at + 0.9)) / height, line, size=_KEY_POINTS, color=INK)
    return figure


def _spots(layers: Iterable[RooflineLayer]) -> Iterator[tuple[bool, Spot]]:
    for layer in layers:
        yield False, layer.dense
        if layer.sparse:
            yield True, layer.sparse


def _area(spot: Spot) -> float:
    return max(_FULL_AREA * spot.share_of_time, _LEAST_AREA)


def _plane(layers: Sequence[RooflineLayer], roofs: Roofs) -> _Plane:
    """Return the plane that holds the slowest layers, with nearly all the time, and the corners of the roofs."""
    slowest, share_of_time = [], 0.0
    for layer in layers:
        if share_of_time < _SHOWN_TIME:
            slowest.append(layer)
        share_of_time += layer.dense.share_of_time
    spots, top = [spot for _, spot in _spots(slowest)], roofs.compute_tops(True)
    x = [1e3 * roofs.dense_tops / roofs.l2_gb_per_s, 1e3 * top / roofs.dram_gb_per_s]
    x += [intensity for spot in spots for intensity in (spot.l2_intensity, spot.intensity)]
    bottom = min(spot.tops for spot in spots) / _MARGIN
    return _Plane(min(x) / _MARGIN, max(x) * _MARGIN, bottom, top * max(_MARGIN, (top / bottom) ** _HEADROOM))


def _scale(axes: Axes, plane: _Plane) -> None:
    """Make both axes logarithmic, with labels at 1, 2 and 5 where there are few decades."""
    left, right, bottom, top = plane
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, top))
    ends: list[tuple[Axis, float]] = [(axes.xaxis, right / left), (axes.yaxis, top / bottom)]
    for axis, span in ends:
        few = span < _FEW_DECADES
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda each, _: f"{each:,g}"))
        if few:
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _roofs(roofs: Roofs, plane: _Plane) -> list[Roof]:
    """Return the slopes of DRAM and L2 up to the highest peak of compute, and the peaks from the slope of L2 on."""
    found = []
    for memory, gb_per_s, sides, line in (("DRAM", roofs.dram_gb_per_s, (-1, 1), ":"), ("L2", roofs.l2_gb_per_s, (1,), "-.")):
        start = max(plane.left, 1e3 * plane.bottom / gb_per_s)
        end = 1e3 * roofs.compute_tops(True) / gb_per_s
        ends = (start, 1e-3 * start * gb_per_s), (end, roofs.compute_tops(True))
        found.append(Roof(ends, f"{memory} {gb_per_s:,.0f} GB/s", sides, {"color": INK, "ls": line}))
    for sparse in (False, True) if roofs.sparse_tops else (False,):
        tops, look = roofs.compute_tops(sparse), _LOOKS[sparse]
        ends = (1e3 * tops / roofs.l2_gb_per_s, tops), (plane.right, tops)
        found.append(Roof(ends, f"{_side(sparse, roofs)} {tops:,.0f} TOPS", (1, -1), {"color": look["color"], "ls": look["ls"]}))
    return found


def _side(sparse: bool, roofs: Roofs) -> str:
    return roofs.pattern if sparse else "dense"


def _markers(axes: Axes, layers: Sequence[RooflineLayer]) -> None:
    """Draw the marks, large ones below; lines between those of a slow kernel, and a grey one between the sides of a layer."""
    for layer in layers:
        if layer.sparse:
            sides = layer.dense, layer.sparse
            axes.plot([side.intensity for side in sides], [side.tops for side in sides], color=GREY, linewidth=0.6, zorder=2)
    for sparse, spot in sorted(_spots(layers), key=lambda side: -_area(side[1])):
        colour, marker = _LOOKS[sparse]["color"], _LOOKS[sparse]["marker"]
        hollow: dict[str, Any] = {"marker": marker, "edgecolors": colour, "facecolors": "white", "linewidths": 0.7}
        full: dict[str, Any] = {"marker": marker, "c": colour, "alpha": 0.8, "edgecolors": "white", "linewidths": 0.5}
        hollow_area = _area(spot) if spot.dram_intensity is None else _HOLLOW_AREA
        axes.scatter(spot.l2_intensity, spot.tops, s=hollow_area, zorder=3, **hollow)
        if spot.dram_intensity is not None:
            axes.scatter(spot.dram_intensity, spot.tops, s=_area(spot), zorder=4, **full)
        if spot.share_of_time >= _LINKED_TIME:
            both = [spot.l2_intensity, spot.intensity]
            axes.plot(both, [spot.tops, spot.tops], color=colour, linewidth=0.4, alpha=0.6, zorder=2)


def _keys(roofs: Roofs) -> list[Line2D]:
    full: dict[str, Any] = {"ls": "", "markersize": 5}
    hollow: dict[str, Any] = {"ls": "", "markersize": 3, "mfc": "white", "mec": INK, "mew": 0.7}
    dense, sparse = (
        Line2D([], [], color=look["color"], marker=look["marker"], label=_side(side, roofs), **full)
        for side, look in _LOOKS.items()
    )
    area = Line2D([], [], ls="", label="area: share of time")
    dram = Line2D([], [], color=INK, marker="o", label="per byte of DRAM", **full)
    l2 = Line2D([], [], marker="o", label="per byte of L2", **hollow)
    return [dense, sparse, dram, l2, area] if roofs.sparse_tops else [dense, area, dram, l2]


def _key_lines(numbered: Mapping[int, RooflineLayer]) -> list[str]:
    """Return which layers the numbers are: one line for each, or two where that is too long."""
    lines = []
    for number, layer in numbered.items():
        count, sizes = f"×{layer.count}, " if layer.count > 1 else "", layer_shape(layer)
        line = f"{number}  {layer.name}{f' {count}' if count else ', '}{sizes}"
        name = layer.name if _fits(f"{number}  {layer.name}") else shortened(Text(layer.name), _NAME_COLUMNS).plain
        lines += [line] if _fits(line) else [f"{number}  {name}", f"    {count}{sizes}"]
    return lines


def _outside(layers: Sequence[RooflineLayer], plane: _Plane) -> list[str]:
    """Return a line on the layers that the plane does not hold, if there are any."""
    away = [layer for layer in layers if not plane.holds(layer)]
    if not away:
        return []
    name = f"{len(away)} small layers" if len(away) > 1 else shortened(Text(away[0].name), _NAME_COLUMNS).plain
    return [f"not in the plane: {name}, {percent(sum(layer.dense.share_of_time for layer in away))} of the time"]


def _fits(line: str) -> bool:
    return text_width(line, _KEY_POINTS) <= 0.95 * 72 * COLUMN_INCHES


def _write_in_the_plane(axes: Axes, layers: Sequence[RooflineLayer], numbers: Sequence[int], roofs: Sequence[Roof]) -> None:
    """Write the names of the roofs along them, then ``numbers`` beside their layers, the first of which is 1."""
    pixels = axes.figure.dpi / 72  # of a point

    def disc(x: float, y: float, area: float) -> Disc:
        at_x, at_y = axes.transData.transform((x, y))
        return float(at_x), float(at_y), math.sqrt(area / math.pi) * pixels

    marks = [[disc(spot.intensity, spot.tops, _area(spot)) for _, spot in _spots([layer])] for layer in layers]
    hollow = [disc(spot.l2_intensity, spot.tops, _HOLLOW_AREA) for _, spot in _spots(layers) if spot.dram_intensity]
    lines = [[(*place, pixels) for place in points(axes, roof)] for roof in roofs]
    taken = list(hollow)
    for at, roof in reversed(list(enumerate(roofs))):  # the peaks are short, so their names come first
        others = [each for nth, line in enumerate(lines) for each in line if nth != at]
        taken += name_roof(axes, roof, [*taken, *others, *(each for discs in marks for each in discs)])
    write_numbers(axes, marks, numbers, [*taken, *(each for line in lines for each in line)])
