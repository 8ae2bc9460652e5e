"""An inspected checkpoint as a document, and as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stcsim.report.inspection import verdict_text
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.inspection import Gain, Inspection


def document(found: Inspection, gains: Sequence[Gain], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return every tensor, sums, what 2:4 brings, and the verdict."""
    elements = {name: sum(each.elements for each in weights) for name, weights in _kinds(found).items()}
    content = {
        "path": found.path,
        "format": found.format,
        "nbytes": found.nbytes,
        "totals": {
            "weights": {name: len(weights) for name, weights in _kinds(found).items()},
            "elements": elements,
            "dense_bytes": sum(each.dense_bytes for each in found.weights),
            "compressed_bytes": sum(each.compressed_bytes for each in found.weights),
            "nan": sum(each.nan for each in found.weights),
        },
        "weights": found.weights,
        "others": [
            {"name": each.name, "kind": each.kind, "shape": each.shape, "dtype": each.dtype, "nbytes": each.stored_bytes,
             "because": each.not_eligible_because}
            for each in found.others
        ],
        "gains": gains,
        "verdict": verdict_text(found, gains),
        "inputs": inputs,
    }  # fmt: skip
    return documents.document("inspect-1", content)


def row_lines(found: Inspection) -> list[dict[str, object]]:
    """Return one flat line for each weight of a GEMM, then for every other tensor."""
    return [documents.flat(documents.plain(each)) for each in (*found.weights, *found.others)]


def _kinds(found: Inspection) -> dict[str, Sequence[Any]]:
    return {"all": found.weights, "eligible": found.eligible, "pruned": found.pruned}
