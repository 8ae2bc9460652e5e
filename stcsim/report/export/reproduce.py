"""Reproduced case studies as a document, and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stcsim.report.sheet import Field, Sheet
from stcsim.report.terminal.reproduce import point_name
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.reproduce.model import Reproduction, Row, Study


def row_lines(found: Sequence[Reproduction]) -> list[dict[str, object]]:
    """Return one flat row for each point of each study: prediction, both ends of the published figure, difference (a share)."""
    return [{"study": each.study.name, **_line(row), "source": each.study.source} for each in found for row in each.rows]


def document(found: Sequence[Reproduction]) -> dict[str, Any]:
    """Return the studies: what was published where, what was assumed, every row, and what it was run from."""
    studies = []
    for each in found:
        fields = {name: getattr(each.study, name) for name in ("name", "title", "gpu", "claim", "source", "assumed", "axis")}
        rows = [{**_line(row), "runs": [_run(case) for case in row.point.cases]} for row in each.rows]
        studies.append({**fields, "rows": rows, "inputs": each.inputs})
    return documents.document("reproduce-1", {"studies": studies})


def studies_sheet(studies: Sequence[Study]) -> Sheet:
    """Return one row for each study: its name, the GPU, what was run, what was published, and where."""
    names = ("name", "title", "gpu", "claim", "source")
    rows = [{name: getattr(study, name) for name in names} for study in studies]
    return Sheet("studies-1", "", [Field(name) for name in names], rows, {})


def _line(row: Row) -> dict[str, object]:
    point, published = row.point, row.point.published
    return {
        "point": point_name(point),
        "series": point.series,
        "quantity": point.quantity,
        "unit": row.quantity.unit.replace("%", "share"),
        "predicted": row.predicted,
        "published_low": published.low if published else None,
        "published_high": published.high if published else None,
        "published_text": published.text if published else "",
        "difference": row.difference,
    }


def _run(case: Any) -> dict[str, Any]:
    return {"of": asdict(case.of), "over": asdict(case.base)}
