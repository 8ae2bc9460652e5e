"""Validation as tables, as a document, and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.validate import Cell, Predicted, SpeedupCell, ValidationReport

GRADES = "grade A: trusted; B: caveats; C: not scored (launch-bound, or not like for like)"


def validation_table(report: ValidationReport) -> RenderableType:
    """Return errors by GPU, sparsity, type and grade; by size (grade A); and of the 2:4 speedup."""
    parts: list[RenderableType] = [
        _heading(f"error of {len(report.rows):,} predictions: (predicted - measured) / measured"),
        _cells(report.cells, ("GPU", "", "type", "grade"), GRADES),
    ]
    if report.sizes:
        parts += [Text(), _heading("by size, operations of one launch, grade A")]
        parts.append(_cells(report.sizes, ("GPU", "", "size"), ""))
    if report.speedups:
        parts += [Text(), _heading("error of the 2:4 speedup (dense time / 2:4 time), where both sides were measured")]
        parts.append(_speedups(report.speedups))
    return Group(*parts)


def document(report: ValidationReport) -> dict[str, Any]:
    """Return cells, sizes, speedups and every row; errors are fractions."""
    cells = {name: getattr(report, name) for name in ("cells", "sizes", "speedups")}
    return documents.document("validate-1", {**cells, "rows": row_lines(report), "inputs": report.inputs})


def row_lines(report: ValidationReport) -> list[dict[str, object]]:
    """Return the measured rows as read, each with its prediction.

    Returns:
        beside a row's own columns predicted_us, the interval that should hold 80 % of measurements (predicted_low_us,
        predicted_high_us), error (a fraction), kernel, and what most of its time goes to.
    """
    return [_row_line(row) for row in report.rows]


def _row_line(row: Predicted) -> dict[str, object]:
    return row.measured.record | {
        "predicted_us": row.predicted_us,
        "predicted_low_us": row.likely.low if row.likely else None,
        "predicted_high_us": row.likely.high if row.likely else None,
        "error": row.error,
        "kernel": row.kernel,
        "most_time": row.most_time,
    }


def _heading(text: str) -> Text:
    return Text(text, "bold")


def _cells(cells: Sequence[Cell], labels: Sequence[str], foot: str) -> FittedTable:
    columns = [Column(label, tuple(Text(cell.label[i]) for cell in cells)) for i, label in enumerate(labels)]
    columns += [
        _numbers("rows", [str(cell.count) for cell in cells]),
        _numbers("mean\n|error|", [_percent(cell.mean_abs) for cell in cells]),
        _numbers("median", [_percent(cell.median, sign=True) for cell in cells], 1),
        _numbers("90th\npercentile", [_percent(cell.p90_abs) for cell in cells], 1),
        _numbers("roofline\nmean", [_percent(cell.roofline_mean_abs) for cell in cells], 2),
        _numbers("median", [_percent(cell.roofline_median, sign=True) for cell in cells], 3),
        _numbers("90th\npercentile", [_percent(cell.roofline_p90_abs) for cell in cells], 3),
    ]
    return FittedTable(tuple(columns), foot=foot)


def _speedups(cells: Sequence[SpeedupCell]) -> FittedTable:
    columns = [Column(label, tuple(Text(cell.label[i]) for cell in cells)) for i, label in enumerate(("GPU", "type", "grade"))]
    columns += [
        _numbers("pairs", [str(cell.count) for cell in cells]),
        _numbers("mean\n|error|", [f"{cell.mean_abs:.2f}×" for cell in cells]),
        _numbers("median", [f"{cell.bias:+.2f}×" for cell in cells], 1),
        _numbers("roofline\nmean", [f"{cell.roofline_mean_abs:.2f}×" for cell in cells], 2),
    ]
    return FittedTable(tuple(columns))


def _numbers(header: str, cells: Sequence[str], rank: int = 0) -> Column:
    return Column(header, tuple(map(Text, cells)), rank=rank, justify="right")


def _percent(fraction: float, sign: bool = False) -> str:
    return f"{100 * fraction:{'+' if sign else ''}.1f} %"
