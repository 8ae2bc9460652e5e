"""An explained GEMM as a document, and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.explain import Explanation, Side

_SIZES = ("m", "n", "k", "batch", "out_bytes", "weights_in_l2")


def document(explanation: Explanation) -> dict[str, Any]:
    """Return both sides: the chosen kernel, its plan, what would help it, and the kernels that lost."""
    for side in explanation.sides:
        side.result.gains.look()
    content = {
        "arch": explanation.arch,
        "dtype": explanation.problem.dtype.name,
        "sides": [_side(side) for side in explanation.sides],
        "note": explanation.note,
        "speedup_interval": explanation.speedup,
        "trust": explanation.trust,
        "inputs": {"gemm": _problem(explanation), **explanation.inputs},
    }
    return documents.document("explain-1", content)


def row_lines(explanation: Explanation) -> list[dict[str, object]]:
    """Return one flat line for each kernel that was considered, the chosen one of its side first."""
    return [
        documents.flat({"side": side.mode, **documents.plain(each)}) for side in explanation.sides for each in side.contenders
    ]


def _side(side: Side) -> dict[str, Any]:
    return documents.plain(side) | {"plan": dict(side.plan)}  # type: ignore[no-any-return]


def _problem(explanation: Explanation) -> dict[str, Any]:
    problem = explanation.problem
    copies = problem.weight_copies if problem.weights_in_l2 else None
    return {name: getattr(problem, name) for name in _SIZES} | {"weight_copies": copies, "dtype": problem.dtype.name}
