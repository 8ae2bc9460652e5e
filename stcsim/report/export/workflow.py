"""A recipe's table as a document and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.workflow.result import WorkflowResult

_INPUTS = ("recipe_sha256", "data_sha256", "versions")


def document(result: WorkflowResult) -> dict[str, Any]:
    """Return all figures, with what they were made from."""
    fields = documents.plain(result)
    inputs = {name: fields.pop(name) for name in _INPUTS}
    return documents.document("workflow-1", {**fields, "inputs": inputs})


def row_lines(result: WorkflowResult) -> list[dict[str, object]]:
    """Return one flat line for each row, with the predicted times of its type on each GPU."""
    return [_line(result, index) for index in range(len(result.rows))]


def _line(result: WorkflowResult, index: int) -> dict[str, object]:
    row = result.rows[index]
    speeds = {speed.arch: documents.plain(speed) for speed in result.speeds if speed.dtype == row.dtype}
    return documents.flat({**documents.plain(row), **speeds})
