"""A curve as a document, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.arch.overrides import Change
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.axis import Axis
    from stcsim.study.curve import Curve, CurvePoint, Side

_NAMES: dict[str, Side] = {"dense": "dense", "sparse": "2:4", "best": "best"}


def document(curve: Curve) -> dict[str, Any]:
    """Return what was run, the axis, every point, how far to trust each GPU's figures, and the inputs."""
    points = [_point(curve, point) for point in curve.points]
    content = {"of": curve.name, "batch": curve.batch, "over": curve.axis.names, "points": points, "trust": curve.trust}
    return documents.document("curve-1", {**content, "inputs": curve.inputs})


def row_lines(curve: Curve) -> list[dict[str, object]]:
    """Return one flat line for each point of the document."""
    return [documents.flat(_point(curve, point)) for point in curve.points]


def _point(curve: Curve, point: CurvePoint) -> dict[str, Any]:
    """Return where a point stands, on what, every total as a run has it, TOPS of 2:4, TOPS/W, memory."""
    where: dict[str, Any] = {"of": curve.name} | ({"batch": curve.batch} if curve.batch else {})
    where |= _place(curve.axis, point) | {"arch": point.arch, "dtype": point.dtype, "pattern": point.pattern}
    derived: dict[str, Any] = {"sparse_tops": point.tops("2:4")}
    derived |= {f"{name}_memory_bytes": point.memory_bytes(side) for name, side in _NAMES.items()}
    if point.memory:
        derived |= {"activation_bytes": point.memory.activation_bytes, "cache_bytes": point.memory.cache_bytes}
    derived |= {f"{name}_tops_per_watt": point.tops_per_watt(side) for name, side in _NAMES.items()}
    return {**where, **documents.plain(point.totals), **derived, "partial": point.partial.sentence if point.partial else None}


def _place(axis: Axis, point: CurvePoint) -> dict[str, object]:
    """Return the value of the axis; of a leaf what it is, and where that was asked for in relation to the file, how."""
    value = point.value
    if axis.leaf is not None:
        return {axis.leaf: point.leaf_value} | ({"change": str(value)} if isinstance(value, Change) else {})
    if isinstance(value, tuple):
        return {"height": value[0], "width": value[1]}
    return dict.fromkeys(axis.names, value)
