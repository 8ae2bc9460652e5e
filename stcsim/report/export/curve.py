"""A curve as JSON, as rows for a CSV file, and all its files at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stcsim.report.export.result import write_json, write_lines

if TYPE_CHECKING:
    from stcsim.study.axis import Axis, Value
    from stcsim.study.curve import Curve, Side


def row_lines(curve: Curve) -> list[dict[str, object]]:
    """Return one flat row for each point: where, on what, every total as a run has it, TOPS of 2:4, TOPS/W, memory."""
    names: dict[str, Side] = {"dense": "dense", "sparse": "2:4", "best": "best"}
    lines = []
    for point in curve.points:
        where: dict[str, object] = {"of": curve.name} | ({"batch": curve.batch} if curve.batch else {})
        where |= _place(curve.axis, point.value) | {"arch": point.arch, "dtype": point.dtype}
        derived: dict[str, object] = {"sparse_tops": point.tops("2:4")}
        derived |= {f"{name}_memory_bytes": point.memory_bytes(side) for name, side in names.items()}
        if point.memory:
            derived |= {"activation_bytes": point.memory.activation_bytes, "cache_bytes": point.memory.cache_bytes}
        derived |= {f"{name}_tops_per_watt": point.tops_per_watt(side) for name, side in names.items()}
        lines.append({**where, **_flat(asdict(point.totals)), **derived})
    return lines


def _flat(figures: dict[str, Any]) -> dict[str, object]:
    """Return groups of figures one by one: ``dense_split_memory`` for ``memory`` of ``dense_split``."""
    flat: dict[str, object] = {}
    for name, figure in figures.items():
        flat |= {f"{name}_{part}": each for part, each in figure.items()} if isinstance(figure, dict) else {name: figure}
    return flat


def to_json(curve: Curve) -> dict[str, Any]:
    """Return the curve as plain data: what was run, the axis, the rows of :func:`row_lines`, and the inputs."""
    axis = list(curve.axis.names)
    return {"of": curve.name, "batch": curve.batch, "over": axis, "points": row_lines(curve), "inputs": curve.inputs}


def _place(axis: Axis, value: Value) -> dict[str, object]:
    if isinstance(value, tuple):
        return {"height": value[0], "width": value[1]}
    return dict.fromkeys(axis.names, value)


def write_curve(curve: Curve, metric: str, json: Path | None, rows: Path | None, figure: Path | None) -> None:
    """Write the files asked for: points as JSON, as CSV, and ``metric`` as a figure."""
    if figure:  # first: it may turn out that there is nothing to draw
        from stcsim.report.figures.curve import write_curve_figure  # waits for matplotlib

        write_curve_figure(curve, figure, metric)
    if json:
        write_json(to_json(curve), json)
    if rows:
        write_lines(row_lines(curve), rows)
