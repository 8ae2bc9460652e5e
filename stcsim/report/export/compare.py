"""Comparisons as documents, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import document as documents
from stcsim.result.parts import Side

if TYPE_CHECKING:
    from stcsim.study.comparison.difference import Difference, Stop
    from stcsim.study.comparison.side_by_side import Comparison, Entry

_NAMES: dict[str, Side] = {"dense": "dense", "sparse": "2:4", "best": "best"}
_FIGURES = ("dense_us", "sparse_us", "best_us", "speedup", "sparse_speedup", "dense_uj", "sparse_uj", "best_uj")


def document(found: Comparison) -> dict[str, Any]:
    """Return every run with its totals, memory and cost, how far to trust each GPU's figures, and the inputs."""
    entries = [_entry(found, entry) for entry in found.entries]
    content = {"of": found.title, "first": found.first.label, "entries": entries, "trust": found.trust, "inputs": found.inputs}
    return documents.document("compare-1", content)


def row_lines(found: Comparison) -> list[dict[str, object]]:
    """Return one flat line for each run."""
    return [documents.flat(_entry(found, entry)) for entry in found.entries]


def difference_document(found: Difference) -> dict[str, Any]:
    """Return what differs, the totals at every stop from one result to the other, and the layers whose times differ."""
    content = {
        "old": found.names[0],
        "new": found.names[1],
        "changes": found.changes,
        "stops": [{"what": stop.what, **_figures(stop)} for stop in found.stops],
        "layers": found.layers,
        "inputs": {"old": found.old.inputs, "new": found.new.inputs},
    }
    return documents.document("difference-1", content)


def difference_lines(found: Difference) -> list[dict[str, object]]:
    """Return one flat line for each stop, with its figures."""
    return [{"what": stop.what, **_figures(stop)} for stop in found.stops]


def _entry(found: Comparison, entry: Entry) -> dict[str, Any]:
    plain = documents.plain(entry)
    totals = plain.pop("totals")
    plain["partial"] = entry.partial.sentence if entry.partial else None
    plain |= {f"{name}_memory_bytes": entry.memory_bytes(side) for name, side in _NAMES.items()}
    plain |= {f"{name}_fits": entry.fits(side) for name, side in _NAMES.items()}
    plain |= {f"{name}_cost_per_million": entry.cost_per_million(side) for name, side in _NAMES.items()}
    return {**plain, "faster_than_first": found.faster_than_first(entry), "totals": totals}


def _figures(stop: Stop) -> dict[str, object]:
    return {name: getattr(stop.totals, name) for name in _FIGURES}
