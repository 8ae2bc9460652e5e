"""Where names and numbers stand in the plane of a roofline: along the roofs and beside the marks, clear of what is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.textpath import TextPath

from stcsim.report.figures.paper_style import INK

Disc = tuple[float, float, float]
"""Centre and radius, pixels."""

_NUMBER_POINTS, _ROOF_POINTS = 7.0, 6.5
_ANGLES = [math.radians(45 + 30 * step) for step in range(12)]
_DISTANCES = (0.1, 0.6, 1.2, 2.0, 3.0)
"""Where a number may stand around a marker: directions, and gaps in halves of its height."""

_ROOF_STEPS = 60
_ALONG = [1 - step / 20 for step in range(21)]
"""Where a roof's name may stand along the line, its end first."""

_AWAY = 2.0
"""The middle of a roof's name from the line, halves of its height."""

_CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.85}
"""Below a roof's name: hides the lines between marks, and no mark."""


class Roof(NamedTuple):
    """One roof: ends in the plane, name, sides of the line where that may stand (1: above, the better first), looks."""

    ends: tuple[tuple[float, float], tuple[float, float]]
    name: str
    sides: tuple[int, ...]
    look: dict[str, Any]


def points(axes: Axes, roof: Roof) -> list[tuple[float, float]]:
    """Return points of a roof, pixels, near enough to each other that no number fits between."""
    (x0, y0), (x1, y1) = axes.transData.transform(roof.ends)
    shares = [step / _ROOF_STEPS for step in range(_ROOF_STEPS + 1)]
    return [(float(x0 + share * (x1 - x0)), float(y0 + share * (y1 - y0))) for share in shares]


def name_roof(axes: Axes, roof: Roof, others: Sequence[Disc]) -> list[Disc]:
    """Write the name of a roof along it, on the side and at the place clear of ``others``; return the room it takes."""
    pixels, (start, end) = axes.figure.dpi / 72, axes.transData.transform(roof.ends)
    length, angle = math.dist(start, end), math.atan2(end[1] - start[1], end[0] - start[0])
    half, wide = 0.5 * _ROOF_POINTS * pixels, text_width(roof.name, _ROOF_POINTS) * pixels
    steps, inside = range(-int(wide / half / 2), int(wide / half / 2) + 1), axes.get_window_extent().padded(-half)

    def room(share: float, side: int) -> list[Disc]:
        away, middle = side * _AWAY * half, wide / 2 + half + share * (length - wide - 2 * half)
        x = start[0] + middle * math.cos(angle) - away * math.sin(angle)
        y = start[1] + middle * math.sin(angle) + away * math.cos(angle)
        return [(float(x + step * half * math.cos(angle)), float(y + step * half * math.sin(angle)), half) for step in steps]

    def clear(place: tuple[int, float]) -> float:
        discs = room(place[1], place[0])
        outside = sum(not inside.contains(x, y) for x, y, _ in discs)
        gap = min((_AWAY - 1.3) * half, *(_gap(disc, others) for disc in discs))
        return gap - (outside + roof.sides.index(place[0])) * half

    side, share = max(((side, share) for side in roof.sides for share in _ALONG), key=clear)
    best = room(share, side)
    look: dict[str, Any] = {"size": _ROOF_POINTS, "color": roof.look["color"], "bbox": _CLEAR, "zorder": 2.5}
    _text(axes, best[len(best) // 2], roof.name, rotation=math.degrees(angle), rotation_mode="anchor", **look)
    return best


def write_numbers(axes: Axes, marks: Sequence[Sequence[Disc]], numbers: Sequence[int], taken: Sequence[Disc]) -> None:
    """Write each of ``numbers``: clear of what is drawn and of other numbers, nearest to a mark of its own layer."""
    half, inside, full = 0.55 * _NUMBER_POINTS * axes.figure.dpi / 72, axes.get_window_extent(), list(taken)
    for number in numbers:
        own, others = marks[number - 1], [each for at, discs in enumerate(marks, 1) for each in discs if at != number]
        places = list(_around(own, half))
        within = [place for place in places if inside.contains(*place[:2])]
        clear = [place for place in within if _gap(place, [*full, *others, *own]) >= 0]
        nearest = [place for place in clear if _gap(place, others) > _gap(place, own) + half]
        place = (nearest or clear or places)[0]
        full.append(place)
        _text(axes, place, str(number), size=_NUMBER_POINTS, weight="bold", color=INK, zorder=5)


def _text(axes: Axes, place: Disc, words: str, **look: Any) -> None:
    """Write ``words`` around a place in pixels, and leave the layout as it is."""
    x, y = axes.transData.inverted().transform(place[:2])
    axes.text(x, y, words, ha="center", va="center_baseline", **look).set_in_layout(False)


def _around(discs: Sequence[Disc], half: float) -> Iterator[Disc]:
    """Yield where a number may stand around any of ``discs``, nearest first."""
    for away in _DISTANCES:
        for x, y, radius in discs:
            reach = radius + (1 + away) * half
            yield from ((x + reach * math.cos(angle), y + reach * math.sin(angle), half) for angle in _ANGLES)


def _gap(place: Disc, discs: Sequence[Disc]) -> float:
    """Return the free distance from ``place`` to the nearest of ``discs``, below 0 where they overlap."""
    return min((math.dist(place[:2], disc[:2]) - place[2] - disc[2] for disc in discs), default=math.inf)


def text_width(words: str, points: float) -> float:
    """Return how wide ``words`` are, points."""
    return float(TextPath((0, 0), words, size=points).get_extents().width)
