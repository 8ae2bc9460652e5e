"""A roofline as a document, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.roofline import Roofline, RooflineLayer, Spot


def document(roofline: Roofline) -> dict[str, Any]:
    """Return the roofline under the names of its fields, every layer with its share of the roof."""
    return documents.document("roofline-1", {**documents.plain(roofline), "layers": list(map(_layer, roofline.layers))})


def row_lines(roofline: Roofline) -> list[dict[str, object]]:
    """Return one flat line for each layer of the document."""
    partial = roofline.partial.sentence if roofline.partial else None
    return [{**documents.flat(_layer(layer)), "partial": partial} for layer in roofline.layers]


def _layer(layer: RooflineLayer) -> dict[str, Any]:
    plain: dict[str, Any] = documents.plain(layer)
    return plain | {"dense": _spot(layer.dense), "sparse": _spot(layer.sparse) if layer.sparse else None}


def _spot(spot: Spot) -> dict[str, Any]:
    plain: dict[str, Any] = documents.plain(spot)
    return plain | {"share_of_roof": spot.share_of_roof}
