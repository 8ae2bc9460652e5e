"""Evidence as plain data for JSON: every figure exact, under the names of its fields; errors are fractions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.numerics.evidence.accumulation import Accumulation
    from stcsim.numerics.evidence.assumptions import Assumptions
    from stcsim.numerics.evidence.million import Million
    from stcsim.study.evidence.ablation import Ablation
    from stcsim.study.evidence.advice import Advice
    from stcsim.study.evidence.anchors import Compared
    from stcsim.study.evidence.leave_one_out import CellErrors, LeftOut
    from stcsim.study.evidence.microbench import PublishedRates
    from stcsim.study.evidence.monotony import Monotony
    from stcsim.study.evidence.reasons import Reasons
    from stcsim.study.validate import Predicted

Document = dict[str, Any]


def ablation_document(found: Ablation) -> Document:
    """Return every effect with the errors of each row, and what it costs to do without."""
    effects = [asdict(each) | {"moved": len(each.moved), "cost": each.cost} for each in found.effects]
    return asdict(found) | {"effects": effects}


def leave_one_out_document(cells: Sequence[CellErrors], found: Sequence[LeftOut], rows: int, steps: int) -> Document:
    """Return the errors by cell, and the parameters of each board that was fitted."""
    parameters = {each.board: [asdict(value) for value in each.parameters] for each in found}
    return {"rows": rows, "steps": steps, "cells": [asdict(cell) for cell in cells], "parameters": parameters}


def unseen_lines(found: Iterable[tuple[str, Iterable[Predicted]]]) -> list[Document]:
    """Return rows predicted by other boards' parameters, as ``stcsim accuracy build --blind`` takes them.

    Args:
        found: rows with what they say of a board: ``sibling`` or ``generation``.
    """
    return [
        row.measured.record | {"predicted_us": row.predicted_us, "evidence": evidence} for evidence, rows in found for row in rows
    ]


def anchors_document(found: Sequence[Compared]) -> Document:
    """Return every published figure with its prediction, and the difference where there is a figure."""
    return {"anchors": [asdict(each.anchor) | {"predicted": each.predicted, "difference": each.difference} for each in found]}


def rates_document(found: PublishedRates) -> Document:
    """Return every figure of an instruction with its error, and how many rows were left out for which reason."""
    compared = [asdict(each) | {"error": each.error, "reason": each.reason} for each in found.compared]
    return {"mean_abs": found.mean_abs, "compared": compared, "left_out": dict(found.left_out)}


def reasons_document(found: Reasons) -> Document:
    """Return what was named for every GEMM beside what each resource would save."""
    return asdict(found) | {"right": found.right, "named": found.named}


def million_document(found: Million) -> Document:
    """Return dot products of each row, and how many differ."""
    return asdict(found) | {"dot_products": found.dot_products, "differing": found.differing}


def plain_document(found: Advice | Monotony | Assumptions | Accumulation) -> Document:
    """Return evidence that has no derived figures."""
    return asdict(found)
