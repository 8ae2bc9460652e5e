"""A figure over two columns of a study: heat maps side by side, one for each way in which the other columns are held."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stcsim.errors import StcsimError
from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLUMN_INCHES, DPI, INK, STYLE
from stcsim.report.units import three_digits

if TYPE_CHECKING:
    from stcsim.study.sweeps.views import Plane, Planes

_MOST_PLANES, _ACROSS = 24, 4
_TITLE_LETTERS, _LETTERS_BELOW = 30, 22
_LEAST_HEIGHT_INCHES = 2.3
_MOST_WRITTEN = 12
"""Places on an axis up to which each field has its number written in it."""
_COLOURS, _NOTHING = "cividis", "#F2F2F2"
_LIGHT_FROM = 0.55
"""Share of the colours from which a number is written in dark ink."""
_RATIOS = ("speedup", "sparse_speedup")
"""Figures that have one scale for all networks; of others each map has its own."""
_NAMES = {
    "speedup": "speedup over dense, best of both (×)",
    "sparse_speedup": "speedup over dense, all pruned (×)",
    "dense_us": "time dense (µs)",
    "sparse_us": "time pruned (µs)",
    "best_us": "time, best of both (µs)",
    "dense_uj": "energy dense (µJ)",
    "sparse_uj": "energy pruned (µJ)",
    "best_uj": "energy, best of both (µJ)",
    "best_watts": "power, best of both (W)",
    "best_tops": "effective TOPS, best of both",
}


def figure_name(name: str) -> str:
    """Return what a figure writes for a column."""
    return _NAMES.get(name, name.replace("_", " "))


def write_planes_figure(planes: Planes, title: str, path: Path, option: str = "--figure") -> None:
    """Draw ``planes`` into ``path``.

    Raises:
        StcsimError: when there are too many to be seen, or the file is not PNG, SVG or PDF, or cannot be written.
    """
    if len(planes.planes) > _MOST_PLANES:
        expected = f"at most {_MOST_PLANES} heat maps (--where COLUMN=VALUE takes some; stcsim study export has all)"
        raise StcsimError(option, expected, str(len(planes.planes)))
    write_drawing(lambda: _draw(planes, title), path, option, STYLE, DPI)


def _draw(planes: Planes, title: str) -> Figure:
    across = min(len(planes.planes), _ACROSS)
    down = math.ceil(len(planes.planes) / across)
    width = COLUMN_INCHES if across == 1 else 2.0 * across + 0.9
    height = min(0.22 * len(planes.ys) + 0.8, 2.6) * down + 0.5
    figure = Figure(figsize=(width, max(height, _LEAST_HEIGHT_INCHES)), layout="constrained")
    every = list(figure.subplots(down, across, squeeze=False).flat)
    shared = _scale(planes.planes) if planes.value in _RATIOS else None
    for axes, plane in zip(every, planes.planes, strict=False):
        image = _draw_plane(axes, plane, planes, shared or _scale([plane]))
        if shared is None:
            figure.colorbar(image, ax=axes, pad=0.02, aspect=20)
    for axes in every[len(planes.planes) :]:
        axes.set_visible(False)
    if shared is not None:
        figure.colorbar(image, ax=every, pad=0.02, aspect=30)
    figure.supxlabel(planes.x, fontsize=8)
    figure.supylabel(planes.y, fontsize=8)
    figure.suptitle("\n".join(_head(planes, title)), fontsize=8, x=0.02, ha="left")
    return figure


def _head(planes: Planes, title: str) -> Iterator[str]:
    """Yield the lines above the maps: the title, what they show, and how far that may be off."""
    if title:
        yield title
    spans = [each for plane in planes.planes for line in plane.spans for each in line if each]
    likely = f"; 80 % of measurements within ±{100 * median(spans):.0f} %" if spans else ""
    yield figure_name(planes.value) + likely


def _scale(planes: Sequence[Plane]) -> Normalize:
    found = [each for plane in planes for line in plane.values for each in line if each is not None]
    return Normalize(min(found), max(found))


def _draw_plane(axes: Axes, plane: Plane, planes: Planes, scale: Normalize) -> AxesImage:
    values = [[math.nan if each is None else each for each in line] for line in plane.values]
    axes.set_facecolor(_NOTHING)
    image = axes.imshow(values, cmap=_COLOURS, norm=scale, origin="lower", aspect="auto")
    axes.set_title("\n".join(textwrap.wrap(plane.title, _TITLE_LETTERS)), fontsize=7)
    axes.grid(False)
    axes.set_xticks(*_ticks(planes.xs), rotation=45 if sum(map(len, planes.xs)) > _LETTERS_BELOW else 0)
    axes.set_yticks(*_ticks(planes.ys))
    if max(len(planes.xs), len(planes.ys)) <= _MOST_WRITTEN:
        _write_numbers(axes, plane, scale)
    return image


def _write_numbers(axes: Axes, plane: Plane, scale: Normalize) -> None:
    for y, line in enumerate(plane.values):
        for x, value in enumerate(line):
            light = value is None or scale(value) > _LIGHT_FROM
            text = "–" if value is None else three_digits(value)
            axes.text(x, y, text, ha="center", va="center", fontsize=6, color=INK if light else "#FFFFFF")


def _ticks(labels: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return places and labels, thinned where there are many."""
    step = math.ceil(len(labels) / _MOST_WRITTEN)
    return list(range(0, len(labels), step)), [labels[at] for at in range(0, len(labels), step)]
