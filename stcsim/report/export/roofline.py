"""A roofline as JSON, as rows for a CSV file, and all its files at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stcsim.report.export.result import write_json, write_lines

if TYPE_CHECKING:
    from stcsim.study.roofline import Roofline


def row_lines(roofline: Roofline) -> list[dict[str, object]]:
    """Return one flat row for each layer in network order, with a column such as ``sparse_intensity`` for each figure."""
    lines = []
    for layer in roofline.layers:
        line: dict[str, object] = {each: getattr(layer, each) for each in ("name", "m", "n", "k", "batch", "count")}
        for side, spot in (("dense", layer.dense), ("sparse", layer.sparse)):
            figures = {**asdict(spot), "share_of_roof": spot.share_of_roof} if spot else {}
            line |= {f"{side}_{name}": figure for name, figure in figures.items()}
        lines.append(line)
    return lines


def to_json(roofline: Roofline) -> dict[str, Any]:
    """Return the roofline as plain data, under the names of its fields."""
    return asdict(roofline)


def write_roofline(roofline: Roofline, json: Path | None, rows: Path | None, figure: Path | None) -> None:
    """Write the files asked for: everything as JSON, every layer as CSV, and the figure."""
    if json:
        write_json(to_json(roofline), json)
    if rows:
        write_lines(row_lines(roofline), rows)
    if figure:
        from stcsim.report.figures.roofline import write_roofline_figure  # waits for matplotlib

        write_roofline_figure(roofline, figure)
