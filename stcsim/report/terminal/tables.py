"""The table of a run: one line for each group of alike layers, dense beside 2:4, and the summary below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.lines import Line, lines_of
from stcsim.report.terminal.summary import speedup_style, summary_panel
from stcsim.report.units import NOTHING, bytes_text, interval_text, percent, three_digits, time_decimals
from stcsim.report.words import RESOURCES, in_l2_text
from stcsim.result import KernelResult, RunResult

_WINNER = "bold"


def run_table(result: RunResult, top: int | None = None, grouped: bool = True) -> RenderableType:
    """Return the layers of ``result`` as a table and its summary.

    Args:
        result: a run of a trace or of one GEMM.
        top: show only so many lines; ``None`` shows all. They are sorted by the time of all their launches.
        grouped: one line for alike layers, else one for each layer.
    """
    every = lines_of(result.rows, grouped)
    shown = every if top is None else every[:top]
    table = FittedTable(tuple(_columns(shown, result)), foot=_foot(result, shown, every))
    return Group(table, Text(), summary_panel(result))


def _foot(result: RunResult, shown: Sequence[Line], every: Sequence[Line]) -> str:
    """Return what the table leaves out, how layers were put together, and why a rate may pass the peak."""
    notes = []
    if len(shown) < len(every):
        share = sum(line.total_us for line in shown) / result.totals.best_us
        notes.append(f"the {len(shown)} of {len(every)} lines that take longest, {percent(share)} of the time")
    elif len(every) < len(result.rows):
        notes.append(
            f"{len(result.rows)} layers; those of one name and size on one line, times of one launch are means (--ungroup)"
        )
    kernels = [kernel for line in shown for side in ("dense", "sparse") for kernel in line.kernels(side)]
    if fast := [kernel for kernel in kernels if kernel.share_of_peak > 1]:
        clock_mhz, sheet_mhz = max(kernel.clock_mhz for kernel in fast), result.inputs["arch"]["clock"]["peak_mhz"]["value"]
        notes.append(
            f"more than 100 % of the peak: that is the data sheet's, at {sheet_mhz:,.0f} MHz; this board runs at {clock_mhz:,.0f}"
        )
    if any((line.speedup or 0.0) > 2 for line in shown):
        notes.append("more than 2×: the dense side runs at a lower clock, or its larger weights do not stay in L2")
    return "\n".join(notes)


def _columns(lines: Sequence[Line], result: RunResult) -> list[Column]:
    """Return every column that has something to show."""
    sides = [side for side in ("dense", result.pattern) if any(line.kernel(side) for line in lines)]
    several, both = len(result.rows) > 1, len(sides) == 2
    batched = any(line.rows[0].batch > 1 for line in lines)
    columns = [
        Column("layer", tuple(map(_name, lines)), elastic="start"),
        Column("m×n×k" + (" (×batch)" if batched else ""), tuple(map(_shape, lines)), rank=1),
    ]
    if len({row.dtype for row in result.rows}) > 1:
        columns.append(Column("type", tuple(Text(line.rows[0].dtype) for line in lines), rank=1))
    if several:
        totals = _decimals(line.total_us for line in lines)
        columns.append(Column("all µs\n▼", tuple(Text(f"{line.total_us:,.{totals}f}") for line in lines), justify="right"))
        shares = (line.total_us / result.totals.best_us for line in lines)
        columns.append(Column("%", tuple(Text(percent(share).removesuffix(" %")) for share in shares), 2, justify="right"))
    if both:
        columns.append(Column("runs", tuple(Text(line.runs) for line in lines), rank=1))
    columns += [_times(lines, side) for side in sides]
    if both:
        columns.append(Column("speedup", tuple(map(_speedup, lines)), justify="right"))
        columns.append(Column("80 % of\ncases", tuple(map(_likely, lines)), rank=2, justify="right"))
    columns.append(Column("time goes to", tuple(_most_time(line, sides) for line in lines), rank=2))
    if any(_known_bound(line) for line in lines):
        columns.append(Column("bound by", tuple(Text(_known_bound(line)) for line in lines), rank=2))
    columns += [_tops(lines, side) for side in sides]
    columns += _board(lines)
    if several:
        columns.append(Column("in L2", tuple(Text(in_l2_text([row.in_l2 for row in line.rows])) for line in lines), rank=4))
    weights = f"weights\ndense → {result.pattern}" if result.pattern in sides else "weights"
    columns.append(Column(weights, tuple(map(_weights, lines)), 4, justify="right"))
    return columns + [_kernel_names(lines, side) for side in sides]


def _decimals(times_us: Iterator[float]) -> int:
    return time_decimals(max(times_us, default=0.0))


def _name(line: Line) -> Text:
    return Text(line.name) + Text(f" ×{line.launches}" if line.launches > 1 else "", "dim")


def _shape(line: Line) -> Text:
    row = line.rows[0]
    return Text(f"{row.m}×{row.n}×{row.k}") + Text(f" (×{row.batch})" if row.batch > 1 else "", "dim")


def _figures(
    lines: Sequence[Line], side: str, figure: Callable[[KernelResult], float], text: Callable[[float], str]
) -> list[Text]:
    """Return a figure of one side; bold where all layers run that side, a dash where there is none."""
    cells = []
    for line in lines:
        value = line.mean(side, figure)
        both = line.kernel("dense") is not None and line.kernel("sparse") is not None
        cells.append(Text(NOTHING, "dim") if value is None else Text(text(value), _WINNER if both and line.runs == side else ""))
    return cells


def _times(lines: Sequence[Line], side: str) -> Column:
    decimals = _decimals(line.mean(side, lambda kernel: kernel.time_us) or 0.0 for line in lines)
    cells = _figures(lines, side, lambda kernel: kernel.time_us, lambda us: f"{us:,.{decimals}f}")
    return Column(f"{side}\nµs", tuple(cells), justify="right")


def _tops(lines: Sequence[Line], side: str) -> Column:
    tops = _figures(lines, side, lambda kernel: kernel.tops, three_digits)
    shares = _figures(lines, side, lambda kernel: kernel.share_of_peak, lambda share: f" {percent(share):>5}")
    cells = tuple(rate if rate.plain == NOTHING else rate + share for rate, share in zip(tops, shares, strict=True))
    return Column(f"{side} TOPS\n% peak", cells, rank=3, justify="right")


def _board(lines: Sequence[Line]) -> list[Column]:
    """Return the clock and the power of the kernels that run."""
    clocks = _figures(lines, "chosen", lambda kernel: kernel.clock_mhz, lambda mhz: f"{mhz:,.0f}")
    powers = _figures(lines, "chosen", lambda kernel: kernel.watts, lambda watts: f"{watts:,.0f}")
    return [Column("MHz", tuple(clocks), 4, justify="right"), Column("W", tuple(powers), 4, justify="right")]


def _speedup(line: Line) -> Text:
    speedup = line.speedup
    return Text(NOTHING, "dim") if speedup is None else Text(f"{speedup:.2f}×", speedup_style(speedup))


def _likely(line: Line) -> Text:
    interval = line.speedup_interval
    return Text(NOTHING if interval is None else interval_text(interval), "dim")


def _most_time(line: Line, sides: Sequence[str]) -> Text:
    """Return what most of the time goes to: one word, or ``dense → 2:4`` where they differ."""
    words = dict.fromkeys(kernel.most_time for side in sides if (kernel := line.kernel(side)))
    return Text(" → ".join(words))


def _known_bound(line: Line) -> str:
    """Return the resource that would help most, if it was looked for."""
    kernel = line.kernel("chosen")
    if kernel is None or not kernel.gains.known:
        return ""
    return RESOURCES[kernel.bound] if kernel.bound else "none alone"


def _weights(line: Line) -> Text:
    row = line.rows[0]
    if not row.weight_bytes:
        return Text(NOTHING, "dim")
    sizes = (row.weight_bytes, row.compressed_bytes) if row.sparse else (row.weight_bytes,)
    return Text(bytes_text(*sizes))


def _kernel_names(lines: Sequence[Line], side: str) -> Column:
    cells = []
    for line in lines:
        names = list(dict.fromkeys(kernel.kernel for kernel in line.kernels(side)))
        cells.append(Text(names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "") if names else NOTHING))
    return Column(f"{side}\nkernel", tuple(cells), rank=5)
