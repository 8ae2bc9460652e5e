"""Reproduced case studies as JSON, as rows for a CSV file, and all their files at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stcsim.report.export.result import write_json, write_lines
from stcsim.report.terminal.reproduce import point_name

if TYPE_CHECKING:
    from stcsim.study.reproduce.model import Reproduction, Row


def row_lines(found: Sequence[Reproduction]) -> list[dict[str, object]]:
    """Return one flat row for each point of each study: prediction, both ends of the published figure, difference (a share)."""
    return [{"study": each.study.name, **_line(row), "source": each.study.source} for each in found for row in each.rows]


def to_json(found: Sequence[Reproduction]) -> dict[str, Any]:
    """Return the studies as plain data: what was published where, what was assumed, every row, and what it was run from."""
    studies = []
    for each in found:
        fields = {name: getattr(each.study, name) for name in ("name", "title", "gpu", "claim", "source", "assumed", "axis")}
        rows = [{**_line(row), "runs": [_run(case) for case in row.point.cases]} for row in each.rows]
        studies.append({**fields, "rows": rows, "inputs": each.inputs})
    return {"studies": studies}


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


def write_reproductions(found: Sequence[Reproduction], json: Path | None, rows: Path | None, figure: Path | None) -> None:
    """Write the files asked for: everything as JSON, the points as CSV, and a figure: of one study, or of all together."""
    if figure:
        from stcsim.report.figures.reproduce import write_overview_figure, write_study_figure  # waits for matplotlib

        write_study_figure(found[0], figure) if len(found) == 1 else write_overview_figure(found, figure)
    if json:
        write_json(to_json(found), json)
    if rows:
        write_lines(row_lines(found), rows)
