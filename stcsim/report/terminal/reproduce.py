"""Published case studies beside predictions, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.curve import axis_value_text
from stcsim.report.units import NOTHING, three_digits, time_text

if TYPE_CHECKING:
    from stcsim.study.reproduce.model import Point, Published, Quantity, Reproduction, Row, Study


def studies_table(studies: Sequence[Study]) -> RenderableType:
    """Return every study: its name, the GPU, what was run, what was published, and where."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for study in studies:
        text = Text.assemble(f"{study.title}: {study.claim}", "\n", (study.source, "dim"))
        table.add_row(Text(study.name, "bold"), study.gpu, text)
    return Group(table, Text("`stcsim reproduce NAME` runs one, `stcsim reproduce --all` runs them all", "dim"))


def reproduction_view(found: Reproduction) -> RenderableType:
    """Return the figures of a study beside the published ones, its source, and what had to be assumed."""
    study = found.study
    return Group(
        Text(f"{study.name}: {study.title}, {study.gpu}", "bold"),
        _table(found),
        Text(),
        _notes((("published", study.claim), ("source", study.source), *(("assumed", each) for each in study.assumed))),
    )


def reproductions_view(found: Sequence[Reproduction]) -> RenderableType:
    """Return several studies, one below the other, without their assumptions."""
    parts: list[RenderableType] = []
    for each in found:
        parts += [Text(f"{each.study.name}: {each.study.title}, {each.study.gpu}", "bold"), _table(each), Text()]
    return Group(*parts, Text("`stcsim reproduce NAME` says where the figures come from and what was assumed", "dim"))


def figure_text(quantity: Quantity, figure: float) -> str:
    """Return ``figure`` with its unit: ``1.21×``, ``11.47 ms``, ``312 TOPS``, ``43.75 %``."""
    if quantity.unit == "×":
        return f"{figure:.2f}×"
    if quantity.unit == "%":
        return f"{100 * figure:.2f} %"
    return time_text(figure) if quantity.unit == "µs" else f"{three_digits(figure)} {quantity.unit}"


def published_text(quantity: Quantity, published: Published) -> str:
    """Return a published figure: in its words, or as a number, or as both ends."""
    if published.text:
        return published.text + ("×" if quantity.unit == "×" else f" {quantity.unit}")
    ends = dict.fromkeys(figure_text(quantity, end) for end in (published.low, published.high))
    return "–".join(ends)


def difference_text(row: Row) -> str:
    """Return how far a prediction is off: ``+3.7 %``; empty where nothing was published."""
    return "" if row.difference is None else f"{100 * row.difference:+.1f} %"


def point_name(point: Point) -> str:
    """Return where a point stands: its label, or its place on the axis."""
    return point.label or ("" if point.value is None else axis_value_text(point.value))


def _table(found: Reproduction) -> FittedTable:
    rows, axis = found.rows, found.study.axis
    on_axis = bool(axis) and all(row.point.value is not None for row in rows)
    columns = [Column(axis, _texts(rows, lambda row: point_name(row.point)), justify="right" if on_axis else "left")]
    if any(row.point.series for row in rows):
        columns.append(Column("", _texts(rows, lambda row: row.point.series)))
    if len({row.quantity.title for row in rows}) > 1:
        columns.append(Column("", _texts(rows, lambda row: row.quantity.title)))
    columns += [
        _numbers("predicted", rows, lambda row: figure_text(row.quantity, row.predicted)),
        _numbers("published", rows, _published),
        _numbers("difference", rows, difference_text),
    ]
    return FittedTable(tuple(columns))


def _notes(notes: Iterable[tuple[str, str]]) -> Table:
    """Return sentences with a word before each; a word that repeats is written once."""
    table, before = Table.grid(padding=(0, 2)), ""
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for word, sentence in notes:
        table.add_row("" if word == before else word, Text(sentence))
        before = word
    return table


def _published(row: Row) -> str:
    return published_text(row.quantity, row.point.published) if row.point.published else ""


def _texts(rows: Sequence[Row], text: Callable[[Row], str]) -> tuple[Text, ...]:
    return tuple(Text(text(row)) for row in rows)


def _numbers(header: str, rows: Sequence[Row], text: Callable[[Row], str]) -> Column:
    cells = (text(row) for row in rows)
    return Column(header, tuple(Text(cell) if cell else Text(NOTHING, "dim") for cell in cells), justify="right")
