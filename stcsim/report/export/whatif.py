"""Answers to a what-if as a document, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import Totals
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.whatif.answers import WhatIf

_FIGURES = ("dense_us", "sparse_us", "best_us", "speedup", "sparse_speedup")


def document(found: WhatIf) -> dict[str, Any]:
    """Return the question, what the GPU reaches as it is, every answer with its changes, and the inputs."""
    content = {
        "of": found.title,
        "gpu": found.arch,
        "pattern": found.pattern,
        "target": found.target,
        "figure": found.figure,
        "totals": found.totals,
        "within": found.within,
        "runs": found.runs,
        "answers": found.answers,
        "trust": found.trust,
        "partial": found.partial,
        "inputs": found.inputs,
    }
    return documents.document("whatif-1", content)


def row_lines(found: WhatIf) -> list[dict[str, object]]:
    """Return one flat line for the GPU as it is and one for each answer; ``changes`` are as ``--set`` takes them."""
    start = {"varied": "", "reached": found.is_met_already, "measure": 1.0, "changes": "", "figure": found.figure}
    lines = [{**start, **_figures(found.totals)}]
    for answer in found.answers:
        changes = [f"{change.path}={change.after:.12g}" for change in answer.changes]
        own = {"varied": answer.varied, "reached": answer.reached, "measure": answer.measure, "changes": changes}
        lines.append(documents.flat({**own, "figure": answer.figure, **_figures(answer.totals), "bound": answer.bound}))
    return [{**line, "partial": found.partial.sentence if found.partial else None} for line in lines]


def _figures(totals: Totals) -> dict[str, object]:
    return {name: getattr(totals, name) for name in _FIGURES}
