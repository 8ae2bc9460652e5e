"""Validation as a figure for a paper: predicted against measured, 2:4 speedups, and error by size beside a plain roofline's.

Colours are those of Okabe and Ito, which everybody can tell apart: one for each GPU, a marker for each sparsity; the model's
and the roofline's boxes are grey, to stay clear of them.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from stcsim.report.figures.figure_file import write_drawing
from stcsim.report.figures.paper_style import COLOURS, DPI, GREY, INK

if TYPE_CHECKING:
    from stcsim.study.validate import Predicted, ValidationReport

_MARKERS = {"dense": "osDp", "2:4": "^v<>"}
"""The second and later of each serve when there are more GPUs than colours."""
_BAND, _ROOFLINE = "#DDDDDD", "#FFFFFF"
_STYLE = {
    "font.size": 8.0, "axes.titlesize": 8.5, "axes.labelsize": 8.0, "legend.fontsize": 7.5, "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5, "axes.linewidth": 0.7, "axes.edgecolor": INK, "hatch.linewidth": 0.6,
}  # fmt: skip
_WIDTH_INCHES = 7.2  # two columns of a paper
_BAND_SHARE = 0.1


def write_validation_figure(report: ValidationReport, path: Path, option: str = "--figure") -> None:
    """Draw the grade A rows of ``report`` (all rows where there is none) into ``path``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    write_drawing(lambda: _draw(report), path, option, _STYLE, dpi=DPI)


def _draw(report: ValidationReport) -> Figure:
    trusted = tuple(row for row in report.rows if row.measured.grade == "A")
    rows, which = (trusted, "grade A") if trusted else (report.rows, "all grades")
    pairs = [pair for pair in report.pairs if not trusted or pair[0].measured.grade == "A"]
    modes = [mode for mode in ("dense", "2:4") if any(_mode(row) == mode for row in rows)]
    figure = Figure(figsize=(_WIDTH_INCHES, 6.9), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    top, bottom = halves
    looks = _looks(rows)
    places = top.subplots(1, 2 if pairs else 1, squeeze=False)[0]
    _times(places[0], rows, looks, which)
    if pairs:
        _speedups(places[1], pairs, looks)
    for letter, mode, axes in zip("cd", modes, bottom.subplots(1, len(modes), squeeze=False, sharey=True)[0], strict=False):
        _errors(
            axes,
            [row for row in rows if _mode(row) == mode],
            f"({letter if pairs else chr(ord(letter) - 1)}) Error by size, {mode}",
        )
        axes.set_ylabel("error of the predicted time (%)" if mode == modes[0] else "")
    top.legend(handles=_keys(rows, looks), loc="outside upper center", ncols=4, frameon=False, columnspacing=1.4)
    bottom.legend(handles=_box_keys(), loc="outside lower center", ncols=2, frameon=False, columnspacing=1.4)
    return figure


def _mode(row: Predicted) -> str:
    return "2:4" if row.measured.sparse else "dense"


def _looks(rows: Sequence[Predicted]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return colour and marker of each GPU and sparsity."""
    looks = {}
    for at, arch in enumerate(sorted({row.measured.arch for row in rows})):
        lap, colour = divmod(at, len(COLOURS))
        for mode, markers in _MARKERS.items():
            looks[arch, mode] = {"color": COLOURS[colour], "marker": markers[lap % len(markers)]}
    return looks


def _times(axes: Axes, rows: Sequence[Predicted], looks: dict[tuple[str, str], dict[str, Any]], which: str) -> None:
    """Draw predicted against measured time, log-log."""
    times = [time_us for row in rows for time_us in (row.measured.time_us, row.predicted_us)]
    _identity(axes, min(times) / 1.5, max(times) * 1.5)
    by_marker: dict[str, list[Predicted]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.measured.time_us):  # GPUs mixed, so that none hides another
        by_marker[looks[row.measured.arch, _mode(row)]["marker"]].append(row)
    for marker, group in by_marker.items():
        measured, predicted = [row.measured.time_us for row in group], [row.predicted_us for row in group]
        colours = [looks[row.measured.arch, _mode(row)]["color"] for row in group]
        axes.scatter(measured, predicted, s=6, alpha=0.6, linewidths=0, zorder=3, c=colours, marker=marker)
    axes.set(xscale="log", yscale="log", xlabel="measured time (µs)", ylabel="predicted time (µs)")
    model, roofline = (statistics.fmean(abs(e) for e in errors) for errors in _both_errors(rows))
    axes.set_title(f"(a) Time, {len(rows):,} measurements, {which}", loc="left")
    words = f"mean |error|\nstcsim {100 * model:.1f} %\nroofline {100 * roofline:.1f} %"
    axes.text(0.04, 0.96, words, transform=axes.transAxes, va="top", color=INK, linespacing=1.3)


def _speedups(axes: Axes, pairs: Sequence[tuple[Predicted, Predicted]], looks: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Draw the predicted 2:4 speedup against the measured one."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for dense, sparse in pairs:
        measured = dense.measured.time_us / sparse.measured.time_us
        points[dense.measured.arch].append((measured, dense.predicted_us / sparse.predicted_us))
    every = [value for group in points.values() for point in group for value in point]
    low, high = math.floor(5 * min(every) - 0.25) / 5, math.ceil(5 * max(every) + 0.25) / 5  # room for the markers
    _identity(axes, low, high)
    axes.xaxis.set_major_locator(MultipleLocator(0.2 if high - low < 2 else 0.5))
    axes.yaxis.set_major_locator(MultipleLocator(0.2 if high - low < 2 else 0.5))
    for arch, group in sorted(points.items()):
        measured_ones, predicted_ones = zip(*group, strict=True)
        axes.scatter(measured_ones, predicted_ones, s=9, alpha=0.6, linewidths=0, zorder=3, **looks[arch, "2:4"])
    axes.set(xlabel="measured speedup (dense time / 2:4 time)", ylabel="predicted speedup")
    off = statistics.fmean(abs(predicted - measured) for group in points.values() for measured, predicted in group)
    axes.set_title(f"(b) 2:4 speedup, {len(pairs):,} pairs", loc="left")
    axes.text(0.96, 0.04, f"mean |error| {off:.2f}×", transform=axes.transAxes, ha="right", va="bottom", color=INK)


def _identity(axes: Axes, low: float, high: float) -> None:
    """Draw the line where prediction and measurement agree, its band, and square limits."""
    axes.fill_between([low, high], [low * (1 - _BAND_SHARE), high * (1 - _BAND_SHARE)],
                      [low * (1 + _BAND_SHARE), high * (1 + _BAND_SHARE)], color=_BAND, linewidth=0, zorder=1)  # fmt: skip
    axes.plot([low, high], [low, high], color=INK, linewidth=0.7, zorder=2)
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_box_aspect(1)


def _errors(axes: Axes, rows: Sequence[Predicted], title: str) -> None:
    """Draw a box of the model's and one of the roofline's signed errors for each decade of operations."""
    decades: dict[int, list[Predicted]] = defaultdict(list)
    for row in rows:
        decades[int(math.log10(row.measured.flops))].append(row)
    axes.axhspan(-100 * _BAND_SHARE, 100 * _BAND_SHARE, color=_BAND, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.7, zorder=1)
    ordered = sorted(decades.items())
    for side, face in enumerate((GREY, _ROOFLINE)):
        boxes = axes.boxplot(
            [[100 * error for error in _both_errors(group)[side]] for _, group in ordered],
            positions=[decade + (side - 0.5) * 0.4 for decade, _ in ordered], widths=0.32, whis=(10, 90), showfliers=False,
            patch_artist=True, manage_ticks=False, boxprops={"facecolor": face, "edgecolor": INK, "linewidth": 0.7},
            medianprops={"color": INK, "linewidth": 1.5}, whiskerprops={"linewidth": 0.7}, capprops={"linewidth": 0.7},
        )  # fmt: skip
        for box in boxes["boxes"] if side else ():
            box.set_hatch("/////")
    for at, (decade, group) in enumerate(ordered):
        axes.text(
            decade,
            0.985,
            f"{len(group)}" if at else f"n = {len(group)}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            size=6.5,
        )
    axes.set_xticks([decade for decade, _ in ordered])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda decade, _: f"$10^{{{decade:.0f}}}$"))
    axes.set(xlim=(ordered[0][0] - 0.6, ordered[-1][0] + 0.6), xlabel="operations of one launch (decade starting at)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.1 * (high - low))  # room for the counts
    axes.set_title(title, loc="left")


def _both_errors(rows: Sequence[Predicted]) -> tuple[list[float], list[float]]:
    """Return the signed errors of the model and of the roofline."""
    return [row.error for row in rows], [row.roofline_error for row in rows]


def _grouped(rows: Sequence[Predicted]) -> dict[tuple[str, str], list[Predicted]]:
    """Return the rows of each GPU and sparsity, dense ones first."""
    groups: dict[tuple[str, str], list[Predicted]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.measured.arch, row.measured.sparse)):
        groups[row.measured.arch, _mode(row)].append(row)
    return groups


def _keys(rows: Sequence[Predicted], looks: dict[tuple[str, str], dict[str, Any]]) -> list[Any]:
    """Return the legend of the upper half: a marker for each GPU and sparsity, the line and the band."""
    keys: list[Any] = [
        Line2D([], [], ls="", markersize=4.5, mew=0, label=f"{arch} {mode} ({len(group):,})", **looks[arch, mode])
        for (arch, mode), group in _grouped(rows).items()
    ]
    band = Patch(facecolor=_BAND, label=f"± {100 * _BAND_SHARE:.0f} %")
    return [*keys, Line2D([], [], color=INK, linewidth=0.7, label="predicted = measured"), band]


def _box_keys() -> list[Patch]:
    """Return the legend of the lower half."""
    return [
        Patch(facecolor=GREY, edgecolor=INK, label="stcsim (box: quartiles and median; whiskers: 10 to 90 %)"),
        Patch(facecolor=_ROOFLINE, edgecolor=INK, hatch="/////", label="plain roofline (same)"),
    ]
