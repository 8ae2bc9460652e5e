"""Calibration as tables, as a document, and its progress on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from stcsim.arch import unit_of
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.console import say
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.study.calibration.calibrate import Calibration, Errors
    from stcsim.study.calibration.fit import Notify, Range

_NEAR = 0.03  # of the range: so near to a bound, the bound is what holds a value


@contextmanager
def fit_progress(evaluations: int) -> Iterator[Notify]:
    """Show evaluations and the lowest cost on stderr: one live line on a terminal, a line for each tenth elsewhere."""
    console = Console(stderr=True)
    every = max(evaluations // 10, 1)
    with console.status("predicting the rows as they are") as status:

        def notify(done: int, cost: float) -> None:
            text = f"evaluation {done} of {evaluations}, log error {100 * cost:.2f} % (Ctrl-C keeps the best so far)"
            if console.is_terminal:
                status.update(text)
            elif done == 1 or done % every == 0:
                say(text)

        yield notify


def calibration_table(result: Calibration) -> RenderableType:
    """Return errors before and after on both parts, and the parameters with their bounds."""
    first = result.errors[0].count
    heading = (
        f"error before and after fitting {len(result.ranges)} parameters to {first:,} rows: (predicted - measured) / measured"
    )
    return Group(
        Text(heading, "bold"),
        _errors(result.errors),
        Text(),
        Text(f"parameters of {result.start.name}", "bold"),
        _parameters(result),
        *(Text(f"note: {note}", "yellow") for note in notes(result)),
    )


def notes(result: Calibration) -> list[str]:
    """Return what the user should know before using the new file, one sentence each."""
    errors = result.errors
    held_out = next(each for each in errors if each.part == "held out")
    free = len(result.ranges) - len(result.fit.idle)
    said = []
    if result.fit.interrupted:
        said.append(f"stopped by Ctrl-C after {result.fit.evaluations} evaluations; these are the best values so far")
    if not result.fit.values:
        said.append("nothing better was found: the new file repeats its base")
    if errors[0].count < 3 * free:
        said.append(
            f"{errors[0].count} rows for {free} parameters are few; name fewer with --params, or trust the held-out rows only"
        )
    if held_out.after[0] > held_out.before[0]:
        said.append("the held-out rows became worse: the fit learned these rows rather than the GPU")
    return said


def document(result: Calibration) -> dict[str, Any]:
    """Return parameters, errors (fractions) and how they came about."""
    content = {
        "arch": result.start.name,
        "base": result.base,
        "source": result.source,
        "seed": result.seed,
        "evaluations": result.fit.evaluations,
        "interrupted": result.fit.interrupted,
        "cost": result.fit.cost,
        "parameters": [_parameter(result, each) for each in result.ranges],
        "errors": result.errors,
        "notes": notes(result),
        "inputs": {"arch": result.start.to_dict(), "seed": result.seed, "parameters": [each.path for each in result.ranges]},
    }
    return documents.document("calibrate-1", content)


def row_lines(result: Calibration) -> list[dict[str, object]]:
    """Return one flat line for each parameter."""
    return [documents.flat(_parameter(result, each)) for each in result.ranges]


def _parameter(result: Calibration, limits: Range) -> dict[str, Any]:
    before, after = _values(result, limits)
    return {**asdict(limits), "before": before, "after": after, "note": _note(result, limits)}


def _values(result: Calibration, limits: Range) -> tuple[float, float]:
    before = float(str(result.start.value(limits.path)))
    return before, result.fit.values.get(limits.path, before)


def _note(result: Calibration, limits: Range) -> str:
    if limits.path in result.fit.idle:
        return "no row shows it"
    if limits.path not in result.fit.values:
        return "unchanged"
    share = (result.fit.values[limits.path] - limits.low) / (limits.high - limits.low)
    return "at its lower bound" if share < _NEAR else "at its upper bound" if share > 1 - _NEAR else ""


def _errors(errors: Sequence[Errors]) -> FittedTable:
    columns = [
        Column("rows of", tuple(Text(each.part) for each in errors)),
        Column("", tuple(Text(each.sparsity) for each in errors)),
        Column("type", tuple(Text(each.dtype) for each in errors)),
        Column("rows", tuple(Text(str(each.count)) for each in errors), justify="right"),
    ]
    for name, side in (("before", "before"), ("after", "after")):
        for place, figure in enumerate(("mean |error|", "median", "90th pct.")):
            cells = [getattr(each, side)[place] for each in errors]
            texts = tuple(Text(f"{100 * cell:{'+' if place == 1 else ''}.1f} %") for cell in cells)
            columns.append(Column(f"{name}\n{figure}", texts, rank=min(place, 1), justify="right"))
    return FittedTable(tuple(columns))


def _parameters(result: Calibration) -> FittedTable:
    ranges = result.ranges
    values = [_values(result, each) for each in ranges]
    return FittedTable(
        (
            Column("parameter", tuple(Text(each.path) for each in ranges)),
            Column("before", tuple(Text(f"{before:.4g}") for before, _ in values), justify="right"),
            Column("after", tuple(Text(f"{after:.4g}", "bold") for _, after in values), justify="right"),
            Column("unit", tuple(Text(unit_of(each.path)) for each in ranges), rank=2),
            Column("bounds", tuple(Text(f"{each.low:.4g} to {each.high:.4g}") for each in ranges), rank=1),
            Column("note", tuple(Text(_note(result, each)) for each in ranges), rank=1),
            Column("meaning", tuple(Text(each.meaning) for each in ranges), rank=3, elastic="end"),
        )
    )
