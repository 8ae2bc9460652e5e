"""A pruned checkpoint: what stayed of each weight as a table, a document and lines, and a sentence on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from stcsim.report.sheet import Field, Sheet
from stcsim.report.units import bytes_text
from stcsim.result import document as documents
from stcsim.trace.names import common_name, kind_of

if TYPE_CHECKING:
    from stcsim.pruning import PrunedWeight, PruneReport


def share_text(share: float) -> str:
    """Return a share of magnitude with one decimal: ``79.3 %``, by which permutations differ."""
    return f"{100 * share:.1f} %"


_FIELDS = (
    Field("name", "layer", elastic="start"),
    Field("count", "n", rank=1),
    Field("m", "m"),
    Field("k", "k"),
    Field("dtype", "type", rank=2),
    Field("order", "order", "of filter", rank=2),
    Field("kept_share", "magnitude", "kept", text=share_text),
    Field("kept_share_unpermuted", "without", "permutation", text=share_text, rank=1),
    Field("bytes", "bytes", rank=1),
    Field("reason", "dense because", elastic="end"),
    Field("no_permutation", "not permuted because", elastic="end", rank=3),
)


def prune_table(report: PruneReport, grouped: bool = True) -> RenderableType:
    """Return what stayed of each weight, alike ones on one line, below a sentence on all."""
    rows = [_row(group) for group in (_groups(report.weights) if grouped else [[weight] for weight in report.weights])]
    shown = [field for field in _FIELDS if any(row.get(field.name) not in (None, "") for row in rows)]
    shown = shown if grouped else [field for field in shown if field.name != "count"]
    return Sheet("prune-1", verdict(report), shown, rows, report.inputs, foot=_foot(report)).table()


def prune_document(report: PruneReport) -> dict[str, Any]:
    """Return every figure of every weight, the sentence on all, and the arguments."""
    figures = {field.name: getattr(report, field.name) for field in fields(report)}
    return documents.document("prune-1", {"verdict": verdict(report), **figures})


def prune_lines(report: PruneReport) -> list[dict[str, object]]:
    """Return one flat line for each weight."""
    return [documents.flat(documents.plain(weight)) for weight in report.weights]


def verdict(report: PruneReport) -> str:
    """Return in a sentence what was pruned, what stayed, and what it takes."""
    pruned, count = report.pruned, len(report.weights)
    if not pruned:
        changed = sum(bool(weight.permutation) for weight in report.weights)
        if not changed:
            return "No channels were permuted: none of these layers is known to make another's channels alone (see fold)."
        return f"Input channels of {changed} of {count} weights were permuted and nothing pruned; the network computes the same."
    stays = "" if report.kept_share is None else f", of whose magnitude {share_text(report.kept_share)} stays"
    if report.kept_share_unpermuted is not None:
        stays += f" ({share_text(report.kept_share_unpermuted)} without the permutation)"
    dense, packed = sum(each.dense_bytes for each in pruned), sum(each.compressed_bytes or 0 for each in pruned)
    return f"Pruned to {report.pattern}: {len(pruned)} of {count} weights{stays}; {bytes_text(dense, packed)} compressed."


def _foot(report: PruneReport) -> str:
    lines, others = [], report.other_tensors
    if others:
        moved = any(weight.permutation for weight in report.weights)
        but = ", but for those in the order of permuted channels" if moved else ""
        lines.append(f"{others} other {'tensor is' if others == 1 else 'tensors are'} as before (embeddings, norms, biases){but}")
    if report.left_out:
        lines.append(f"not copied, since they hold dense weights: {', '.join(report.left_out)}")
    return "; ".join(lines)


def _groups(weights: Sequence[PrunedWeight]) -> list[list[PrunedWeight]]:
    """Return alike weights together, in the order of the first of each."""
    found: dict[object, list[PrunedWeight]] = {}
    for weight in weights:
        key = (kind_of(weight.name), weight.shape, weight.dtype, weight.reason, weight.order, weight.no_permutation)
        found.setdefault((*key, bool(weight.permutation)), []).append(weight)
    return list(found.values())


def _row(group: Sequence[PrunedWeight]) -> dict[str, Any]:
    """Return a line of the table: bytes of all, and mean shares."""
    first, packed = group[0], [each.compressed_bytes for each in group if each.compressed_bytes is not None]
    dense = sum(each.dense_bytes for each in group)
    return {
        **documents.plain(first), "name": common_name([each.name for each in group]), "count": len(group),
        "bytes": bytes_text(dense, *([sum(packed)] if packed else [])),
        "kept_share": _mean([each.kept_share for each in group]),
        "kept_share_unpermuted": _mean([each.kept_share_unpermuted for each in group]),
    }  # fmt: skip


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None
