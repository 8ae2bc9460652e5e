"""How well error bars hold, as tables, as a document, and as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import percent
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.error_model.coverage import Coverage, CoverageReport, Verdicts


def coverage_table(report: CoverageReport) -> RenderableType:
    """Return which share of measurements lies in its interval, by class, and how often verdicts were wrong."""
    parts: list[RenderableType] = [
        Text(f"{report.rows:,} measured rows that no parameter was fitted to and no interval was learned from", "bold"),
        Text("\ntimes in their 80 % interval", "bold"),
        _table(report.times),
    ]
    if report.speedups:
        parts += [Text("\n2:4 speedups in their 80 % interval", "bold"), _table(report.speedups), Text(), _said(report.verdicts)]
    return Group(*parts)


def document(report: CoverageReport, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report, with the arguments that it was made from."""
    return documents.document("accuracy-1", {**documents.plain(report), "inputs": inputs})


def row_lines(report: CoverageReport) -> list[dict[str, object]]:
    """Return one flat line for each class of times, then of speedups."""
    kinds = (("time", report.times), ("speedup", report.speedups))
    return [documents.flat({"of": kind, **documents.plain(each)}) for kind, classes in kinds for each in classes]


def _table(classes: Sequence[Coverage]) -> FittedTable:
    labels = [
        Column(header, tuple(Text(each.label[at]) for each in classes)) for at, header in enumerate(("GPU", "", "type or size"))
    ]
    figures = [
        _numbers("rows", [f"{each.rows:,}" for each in classes]),
        _numbers("inside", [percent(each.inside) for each in classes]),
        _numbers("high over low", [f"{each.width:.2f}" for each in classes]),
    ]
    return FittedTable((*labels, *figures))


def _said(verdicts: Verdicts) -> Text:
    lines = [
        _verdict("pays", verdicts.pays, verdicts.pays_wrong, "was no faster"),
        _verdict("does not pay", verdicts.not_pays, verdicts.not_pays_wrong, "was faster"),
        f"cannot tell: {verdicts.open:,}",
    ]
    return Text("\n".join(lines))


def _verdict(said: str, count: int, wrong: int, truth: str) -> str:
    share = f", of which {wrong:,} ({percent(wrong / count)}) {truth}" if count else ""
    return f"{said}: {count:,}{share}"


def _numbers(header: str, cells: Sequence[str]) -> Column:
    return Column(header, tuple(map(Text, cells)), justify="right")
