"""Answers to a what-if as a table, and what they come to in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.summary import speedup_style
from stcsim.report.trust import evidence_lines
from stcsim.report.units import NOTHING, percent, time_decimals
from stcsim.report.words import PARTS
from stcsim.result import Totals

if TYPE_CHECKING:
    from stcsim.study.whatif.answers import Answer, Changed, WhatIf

_PARTS_NAMED = 3
_SIDES = {"dense": "dense time", "best": "time"}


class _Row(NamedTuple):
    """One line of the table; the second and later changes of an answer have lines of their own, without figures."""

    varied: str
    change: str
    measure: str = ""
    figure: Text = Text()
    totals: Totals | None = None


def whatif_table(found: WhatIf) -> RenderableType:
    """Return the GPU as it is and every answer with its changes, the smallest that reaches the target first; and sentences."""
    rows = list(_rows(found))
    columns = [
        Column("varied", tuple(Text(row.varied) for row in rows), elastic="end"),
        Column("change", tuple(Text(row.change) for row in rows)),
        Column("in all", tuple(Text(row.measure) for row in rows), 1, justify="right"),
        Column(f"{found.target.metric}\n{found.target.unit}", tuple(row.figure for row in rows), justify="right"),
        *_figures(found, rows),
    ]
    foot = f"in all: the product of the factors, those below 1 turned over; {found.runs} runs, each figure simulated"
    sentences = [Phrases("", sentence, 0) for sentence in _sentences(found)]
    evidence = evidence_lines({found.arch: found.trust}) if found.trust else []
    head = Text(f"{found.title} on {found.arch}: {found.target}", "bold")
    lacks = [Text(found.partial.sentence, "bold yellow")] if found.partial else []
    return Group(head, *lacks, FittedTable(tuple(columns), foot=foot), *sentences, *evidence)


def change_text(change: Changed) -> str:
    """Return a change: ``"×1.42: 128 → 182 B/clk"``."""
    return f"×{change.factor:.3g}: {change.before:,.6g} → {change.after:,.6g} {change.unit}".rstrip()


def _rows(found: WhatIf) -> Iterator[_Row]:
    yield _Row("as it is", NOTHING, "", _figure(found, found.figure, found.is_met_already), found.totals)
    for answer in found.answers:
        first, *others = [f"{change.name} {change_text(change)}" for change in answer.changes] or ["none helps"]
        figure = _figure(found, answer.figure, answer.reached)
        yield _Row(", ".join(answer.varied), first, f"×{answer.measure:.3g}", figure, answer.totals)
        yield from (_Row("", each) for each in others)


def _figure(found: WhatIf, figure: float, is_met: bool) -> Text:
    return Text(_figure_text(found, figure), "green" if is_met else "yellow")


def _figure_text(found: WhatIf, figure: float) -> str:
    return f"{figure:.3f}" if found.target.unit == "×" else f"{figure:,.4g}" if figure < 1000 else f"{figure:,.0f}"


def _figures(found: WhatIf, rows: Sequence[_Row]) -> list[Column]:
    longest_us = max(row.totals.dense_us or 0.0 for row in rows if row.totals)
    decimals = time_decimals(longest_us)
    columns = [_column("dense\nµs", rows, lambda totals: totals.dense_us, lambda us: Text(f"{us:,.{decimals}f}"))]
    if found.totals.sparse_us is not None:
        sparse = f"{found.pattern}\n"
        columns.append(_column(f"{sparse}µs", rows, lambda totals: totals.sparse_us, lambda us: Text(f"{us:,.{decimals}f}")))
        columns.append(_column(f"{sparse}speedup", rows, lambda totals: totals.sparse_speedup, _speedup))
    return columns


def _column(header: str, rows: Sequence[_Row], figure: Callable[[Totals], float | None], text: Callable[[float], Text]) -> Column:
    found = [figure(row.totals) if row.totals else None for row in rows]
    return Column(header, tuple(Text() if each is None else text(each) for each in found), 2, justify="right")


def _speedup(speedup: float) -> Text:
    return Text(f"{speedup:.2f}×", speedup_style(speedup))


def _sentences(found: WhatIf) -> Iterator[str]:
    if found.is_met_already:
        yield f"{found.arch} meets the target as it is."
        return
    best, *_ = found.answers
    if best.reached:
        settings = " ".join(f"--set {change.path}={change.after:.12g}" for change in best.changes)
        yield f"The smallest change found is {_changes(best)}: {settings}."
    for answer in found.answers:
        if not answer.reached:
            yield _not_reached(found, answer)


def _changes(answer: Answer) -> str:
    return " and ".join(f"{change.name} ×{change.factor:.3g}" for change in answer.changes)


def _not_reached(found: WhatIf, answer: Answer) -> str:
    """Return that a target is out of reach, how near it is, and what the time goes to there."""
    side = _SIDES.get(found.target.side, f"{found.pattern} time")
    parts = list(answer.bound.items())[:_PARTS_NAMED]
    bound = ", ".join(f"{PARTS.get(part, part)} {percent(share)}" for part, share in parts)
    nearest = f"{_changes(answer)} reaches {_figure_text(found, answer.figure)}" if answer.changes else "no change of it helps"
    varied = ", ".join(answer.varied)
    return f"{varied}: not reachable within ×{found.within:g}, {nearest}; bound by {bound} of the {side}."
