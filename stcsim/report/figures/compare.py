"""Comparisons as bars: a group for each run and a panel for each quantity; or a bar for each change between two results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stcsim.errors import StcsimError
from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, DPI, INK, STYLE
from stcsim.report.units import TIME_UNITS, suited
from stcsim.result import Interval
from stcsim.result.parts import Side

if TYPE_CHECKING:
    from stcsim.study.comparison.difference import Difference, Step
    from stcsim.study.comparison.side_by_side import Comparison, Entry

_WIDTH_INCHES, _GROUP_INCHES, _FRAME_INCHES = 7.2, 0.46, 0.95
_SIDES: dict[Side, str] = {"dense": COLOURS[0], "2:4": COLOURS[1], "best": COLOURS[2]}
_LONGEST_LABEL = 58


@dataclass(frozen=True, slots=True)
class _Panel:
    """One quantity: its title, its figure of a run and a side, and where a measurement is to be expected."""

    title: str
    figure: Callable[[Entry, Side], float | None]
    likely: Callable[[Entry, Side], Interval | None] = lambda entry, side: None
    baseline: float | None = None


def write_compare_figure(found: Comparison, path: Path, option: str = "--figure") -> None:
    """Draw times, speedups, energies and, where prices are known, costs into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(found), path, option, STYLE, DPI)


def write_difference_figure(found: Difference, path: Path, option: str = "--figure") -> None:
    """Draw a bar for each change between two results that moves anything, and one for all together, into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written, or nothing moves.
    """
    if not any(step.moves for step in found.steps):
        raise StcsimError(option, "two results that differ", "the same figures in both")
    write_drawing(lambda: _draw_difference(found), path, option, STYLE, DPI)


def _draw(found: Comparison) -> Figure:
    entries = [entry for entry in found.entries if entry.totals]
    sides: list[Side] = [side for side in _SIDES if any(entry.time_us(side) is not None for entry in entries)]
    sides = sides if found.has_choice else [side for side in sides if side != "best"]
    panels = _panels(entries, sides)
    figure = Figure(figsize=(_WIDTH_INCHES, _FRAME_INCHES + _GROUP_INCHES * len(entries)), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, panel in zip(places, panels, strict=True):
        _bars(axes, entries, sides, panel)
    places[0].set_yticks(range(len(entries)), [entry.label for entry in entries])
    places[0].invert_yaxis()
    sparse = "/".join(dict.fromkeys(entry.pattern for entry in entries))
    names: dict[Side, str] = {"dense": "dense", "2:4": f"all {sparse}", "best": "best of both"}
    figure.legend(
        handles=[Patch(color=_SIDES[side], label=names[side]) for side in sides],
        loc="outside upper right",
        ncols=3,
        frameon=False,
    )
    figure.suptitle(found.title, x=0.01, ha="left", size=8)
    return figure


def _panels(entries: Sequence[Entry], sides: Sequence[Side]) -> list[_Panel]:
    size, unit = suited(TIME_UNITS, max(entry.time_us(side) or 0.0 for entry in entries for side in sides))
    panels = [_Panel(f"time of one pass ({unit})", lambda entry, side: _over(entry.time_us(side), size), _times(size))]
    if "2:4" in sides:
        panels.append(_Panel("speedup over dense (×)", _speedup, _speedups, baseline=1.0))
    panels.append(_Panel("energy of one pass (mJ)", lambda entry, side: _over(entry.energy_uj(side), 1e3), _energies))
    if any(entry.price_per_hour is not None for entry in entries):
        panels.append(_Panel("cost of a million samples", lambda entry, side: entry.cost_per_million(side)))
    return panels


def _bars(axes: Axes, entries: Sequence[Entry], sides: Sequence[Side], panel: _Panel) -> None:
    height = 0.8 / len(sides)
    for nth, side in enumerate(sides):
        for line, entry in enumerate(entries):
            length, likely = panel.figure(entry, side), panel.likely(entry, side)
            if length is None:
                continue
            place = line + (nth - (len(sides) - 1) / 2) * height
            axes.barh(place, length, height=0.9 * height, color=_SIDES[side], linewidth=0)
            if likely is not None:
                ends = [[max(length - likely.low, 0.0)], [max(likely.high - length, 0.0)]]
                axes.errorbar([length], [place], xerr=ends, fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.6, capthick=0.8)
    if panel.baseline is not None:
        axes.axvline(panel.baseline, color=INK, linewidth=0.7)
    axes.set_xlabel(panel.title)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlim(left=0)


def _over(figure: float | None, size: float) -> float | None:
    return None if figure is None else figure / size


def _speedup(entry: Entry, side: Side) -> float | None:
    dense_us, time_us = entry.time_us("dense"), entry.time_us(side)
    has_choice = side != "dense" and entry.time_us("2:4") is not None
    return dense_us / time_us if dense_us and time_us and has_choice else None


def _times(size: float) -> Callable[[Entry, Side], Interval | None]:
    def likely(entry: Entry, side: Side) -> Interval | None:
        found = _interval(entry, {"dense": "dense_us", "2:4": "sparse_us", "best": "best_us"}[side])
        return None if found is None else Interval(found.low / size, found.high / size)

    return likely


def _speedups(entry: Entry, side: Side) -> Interval | None:
    return None if side == "dense" else _interval(entry, "sparse_speedup" if side == "2:4" else "speedup")


def _energies(entry: Entry, side: Side) -> Interval | None:
    found = _interval(entry, {"dense": "dense_uj", "2:4": "sparse_uj", "best": "best_uj"}[side])
    return None if found is None else Interval(found.low / 1e3, found.high / 1e3)


def _interval(entry: Entry, name: str) -> Interval | None:
    found: Interval | None = getattr(entry.totals, f"{name}_interval")
    return found


def _draw_difference(found: Difference) -> Figure:
    steps = [*(step for step in found.steps if step.moves), found.whole]
    labels = [_shortened(step.what) for step in steps[:-1]] + ["all together"]
    names = {"dense_us": "dense time", "sparse_us": f"{found.new.pattern} time", "best_us": "best time"}
    shown = {name: title for name, title in names.items() if any(step.share(name) is not None for step in steps)}
    figure = Figure(figsize=(_WIDTH_INCHES, _FRAME_INCHES + 0.24 * len(steps)), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(shown), squeeze=False, sharey=True)[0], shown.items(), strict=True):
        _changes(axes, steps, name)
        axes.set_title(title, loc="left")
        axes.set_yticks(range(len(steps)), labels)
    figure.axes[0].invert_yaxis()
    figure.suptitle(f"{found.names[0]} → {found.names[1]}", x=0.01, ha="left", size=8)
    return figure


def _changes(axes: Axes, steps: Sequence[Step], name: str) -> None:
    for line, step in enumerate(steps):
        share = step.share(name)
        if share is not None:
            axes.barh(line, share, height=0.7, color=INK if step is steps[-1] else COLOURS[share > 0], linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %".replace("-", "−")))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
