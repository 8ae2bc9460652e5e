"""Studies in all forms: how far one is, and its Pareto fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stcsim.report.sheet import Field, Sheet, shown
from stcsim.report.units import percent, three_digits

if TYPE_CHECKING:
    from stcsim.study.sweeps.run import Outcome, State
    from stcsim.study.sweeps.views import Front, Fronts

_OF_SOURCE = ("trace", "batch", "seq", "m", "n", "k")


def status_sheet(state: State, title: str, inputs: Mapping[str, Any]) -> Sheet:
    """Return how many cells are done, wait, or ended with which sentence."""
    errors = sorted(state.errors.items(), key=lambda pair: (-pair[1], pair[0]))
    counts = [("done", state.done, None), ("waiting", state.waiting, None), ("left out by constraints", state.left_out, None)]
    rows = [{"state": name, "cells": cells, "why": why} for name, cells, why in counts if cells or name == "done"]
    rows += [{"state": "error", "cells": cells, "why": sentence} for sentence, cells in errors]
    fields = (Field("state"), Field("cells"), *((Field("why", elastic="end"),) if errors else ()))
    foot = f"{state.runs:,} runs answer for the cells that wait" if 0 < state.runs < state.waiting else ""
    return Sheet("study-status-1", title, fields, rows, inputs, foot, {"runs_waiting": state.runs})


def outcome_text(outcome: Outcome) -> str:
    """Return what a run has done, in a sentence."""
    if not outcome.runs:
        return "nothing was left to run"
    errors = f", {outcome.errors:,} of them into an error" if outcome.errors else ""
    rate = three_digits(outcome.runs / outcome.seconds)
    spared = f"; {percent(outcome.spared)} of the simulations were known from other cells" if outcome.spared else ""
    return f"{outcome.runs:,} cells were run{errors}, in {three_digits(outcome.seconds)} s ({rate} a second){spared}"


def rows_sheet(rows: Sequence[Mapping[str, object]], columns: Sequence[str], title: str, inputs: Mapping[str, Any]) -> Sheet:
    """Return some columns of some cells."""
    fields = [_field(name) for name in columns]
    lines = [{name: row[name] for name in columns} for row in rows]
    return Sheet("study-table-1", title, fields, lines, inputs)


def pareto_sheet(fronts: Fronts, title: str, inputs: Mapping[str, Any]) -> Sheet:
    """Return the cells that no other cell beats, front by front; the first of those that are alike in all objectives."""
    rows = [row for front in fronts.fronts for row in _apart(front, [each.name for each in fronts.objectives])]
    sources = [name for name in _OF_SOURCE if any(row.get(name) is not None for row in rows)]
    objectives = [each.name for each in fronts.objectives]
    design = [name for name in fronts.columns if name not in objectives]
    fields = [_field(name) for name in (*sources, *objectives)]
    fields += [_field(name, rank=1 + at) for at, name in enumerate(design)]
    fields += [_field("alike")] if any(row["alike"] != 1 for row in rows) else []
    cells = sum(not row["mark"] for front in fronts.fronts for row in front.rows)
    best = sum(len(front.best) for front in fronts.fronts)
    foot = f"{best:,} of {cells:,} cells, {', '.join(each.text for each in fronts.objectives)}"
    return Sheet("study-pareto-1", title, fields, rows, inputs, foot)


def _apart(front: Front, objectives: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells of a front that differ in an objective, each with how many are alike."""
    found: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in (front.rows[at] for at in front.best):
        found.setdefault(tuple(row[name] for name in objectives), []).append(row)
    return [{**alike[0], "alike": len(alike)} for alike in found.values()]


def _field(name: str, rank: int = 0) -> Field:
    """Return a column, its name on two lines where it is the path of a leaf."""
    return Field(name, name.replace(".", "\n", 1).replace("_", " "), text=_text, rank=rank)


def _text(value: object) -> str:
    """Return a figure with four digits, or all of those before the point."""
    return f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 1000 else shown(value)
