"""A sensitivity as a document, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.whatif.sensitivity import Sensitivity


def document(found: Sensitivity) -> dict[str, Any]:
    """Return the figures of the GPU as it is, every leaf with its steps, those that move nothing, and the inputs."""
    content = {
        "of": found.title,
        "gpu": found.arch,
        "pattern": found.pattern,
        "share": found.share,
        "base": found.base,
        "leaves": found.leaves,
        "idle": found.idle,
        "trust": found.trust,
        "partial": found.partial,
        "inputs": found.inputs,
    }
    return documents.document("sensitivity-1", content)


def row_lines(found: Sensitivity) -> list[dict[str, object]]:
    """Return one flat line for each leaf, those with most effect first; a step that there is not leaves its columns empty."""
    partial = found.partial.sentence if found.partial else None
    return [{**documents.flat(documents.plain(leaf)), "partial": partial} for leaf in found.leaves]
