"""Tables of a run: one row for each layer, dense beside 2:4, and the summary below."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.columns import Column, FittedTable
from stcsim.report.summary import speedup_style, summary_panel
from stcsim.report.units import NOTHING, bytes_text, percent, three_digits, time_decimals
from stcsim.result import KernelResult, LayerRow, RunResult

_WINNER = "bold"


def run_table(result: RunResult, top: int | None = None) -> RenderableType:
    """Return the layers of ``result`` as a table and its summary.

    Args:
        result: a run of a trace or of one GEMM.
        top: show only so many layers, slowest first; ``None`` shows all in the order of the trace.
    """
    rows = result.rows if top is None else slowest(result.rows, top)
    table = FittedTable(tuple(_columns(rows)), foot=_foot(result, rows))
    return Group(table, Text(), summary_panel(result))


def slowest(rows: Sequence[LayerRow], top: int) -> tuple[LayerRow, ...]:
    """Return the ``top`` rows that take longest (best kernel, all launches), longest first."""
    return tuple(sorted(rows, key=launches_us, reverse=True)[:top])


def launches_us(row: LayerRow) -> float:
    """Return the microseconds of all launches of ``row`` with its best kernel."""
    return row.chosen.time_us * row.count


def _foot(result: RunResult, rows: Sequence[LayerRow]) -> str:
    """Return what the table leaves out."""
    if len(rows) == len(result.rows):
        return ""
    share = sum(map(launches_us, rows)) / result.totals.best_us
    return f"the {len(rows)} slowest of {len(result.rows)} layers, {percent(share)} of the time"


def _columns(rows: Sequence[LayerRow]) -> list[Column]:
    """Return every column that has something to show."""
    sides = [side for side in ("dense", "2:4") if any(_kernel(row, side) for row in rows)]
    columns = [
        Column("layer", tuple(map(_name, rows)), elastic="start"),
        Column("m×n×k" + (" (×batch)" if any(row.batch > 1 for row in rows) else ""), tuple(map(_shape, rows)), rank=1),
    ]
    columns += [_times(rows, side) for side in sides]
    if any(row.speedup is not None for row in rows):
        columns.append(Column("speedup", tuple(map(_speedup, rows)), justify="right"))
    columns += [_tops(rows, side) for side in sides]
    columns.append(Column("bound by", tuple(map(_bound, rows)), rank=2))
    columns.append(
        Column("weights\ndense → 2:4" if "2:4" in sides else "weights", tuple(map(_weights, rows)), 4, justify="right")
    )
    return columns + [Column(f"{side}\nkernel", _texts(rows, side, lambda kernel: kernel.kernel), rank=5) for side in sides]


def _kernel(row: LayerRow, side: str) -> KernelResult | None:
    return row.dense if side == "dense" else row.sparse


def _texts(rows: Sequence[LayerRow], side: str, text: Callable[[KernelResult], str]) -> tuple[Text, ...]:
    """Return ``text`` of one side's kernels; bold where the kernel is the row's best, a dash where there is none."""
    cells = []
    for row in rows:
        kernel = _kernel(row, side)
        both = row.dense is not None and row.sparse is not None
        style = _WINNER if both and row.best == side else ""
        cells.append(Text(text(kernel), style) if kernel else Text(NOTHING, "dim"))
    return tuple(cells)


def _name(row: LayerRow) -> Text:
    return Text(row.name) + Text(f" ×{row.count}" if row.count > 1 else "", "dim")


def _shape(row: LayerRow) -> Text:
    return Text(f"{row.m}×{row.n}×{row.k}") + Text(f" (×{row.batch})" if row.batch > 1 else "", "dim")


def _times(rows: Sequence[LayerRow], side: str) -> Column:
    decimals = time_decimals(max((kernel.time_us for row in rows if (kernel := _kernel(row, side))), default=0.0))
    return Column(f"{side}\nµs", _texts(rows, side, lambda kernel: f"{kernel.time_us:,.{decimals}f}"), justify="right")


def _tops(rows: Sequence[LayerRow], side: str) -> Column:
    cells = _texts(rows, side, lambda kernel: f"{three_digits(kernel.tops)} {percent(kernel.share_of_peak):>5}")
    return Column(f"{side} TOPS\n% peak", cells, rank=3, justify="right")


def _speedup(row: LayerRow) -> Text:
    if row.speedup is None:
        return Text(NOTHING, "dim")
    return Text(f"{row.speedup:.2f}×", speedup_style(row.speedup))


def _bound(row: LayerRow) -> Text:
    """Return what bounds the row's kernels: one word, or ``dense → 2:4`` where they differ."""
    words = dict.fromkeys(kernel.bound for kernel in (row.dense, row.sparse) if kernel)
    return Text(" → ".join(words))


def _weights(row: LayerRow) -> Text:
    if not row.weight_bytes:
        return Text(NOTHING, "dim")
    sizes = (row.weight_bytes, row.compressed_bytes) if row.sparse else (row.weight_bytes,)
    return Text(bytes_text(*sizes))
