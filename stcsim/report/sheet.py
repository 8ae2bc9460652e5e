"""Rows with named columns, in all four forms at once: a table, markdown, a document and lines. What a new command prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING
from stcsim.result import document as documents


def shown(value: object) -> str:
    """Return a figure as a table shows it: numbers with four digits or more, lists with commas, a dash for nothing."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a :class:`Sheet`.

    Attributes:
        name: the path of its figures in a row, which is the name of the CSV column too, e.g. ``"dense.time_us"``.
        header: what a table calls it; the name by default.
        unit: stands below the header.
        text: how a table shows a figure.
        rank: importance; columns of the highest rank leave a narrow terminal first, those of rank 0 never.
        elastic: whether its text may be shortened, and at which end.
    """

    name: str
    header: str = ""
    unit: str = ""
    text: Callable[[Any], str] = shown
    rank: int = 0
    elastic: Literal["start", "end"] | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows that are printed and written alike.

    Attributes:
        schema: what the document is, with its version, e.g. ``"kernels-1"``.
        title: a line above the table.
        fields: the columns of the table, in order; document and lines hold every figure of the rows.
        rows: dataclasses or mappings.
        inputs: the arguments that the rows were made from, by name.
        foot: a line below the table.
        notes: further figures of the document, beside the rows.
    """

    schema: str
    title: str
    fields: Sequence[Field]
    rows: Sequence[Any]
    inputs: Mapping[str, Any]
    foot: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> RenderableType:
        """Return title and rows for a terminal."""
        lines = self.row_lines()
        columns = tuple(_column(each, [line.get(each.name) for line in lines]) for each in self.fields)
        table = FittedTable(columns, foot=self.foot)
        return Group(Text(self.title, "bold"), table) if self.title else table

    def document(self) -> dict[str, Any]:
        """Return rows and inputs as a document."""
        return documents.document(self.schema, {**self.notes, "rows": self.rows, "inputs": self.inputs})

    def row_lines(self) -> list[dict[str, object]]:
        """Return one flat line for each row."""
        return [documents.flat(documents.plain(row)) for row in self.rows]


def _column(form: Field, values: Sequence[object]) -> Column:
    header = (form.header or form.name.replace("_", " ")) + (f"\n{form.unit}" if form.unit else "")
    numbers = any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    cells = tuple(Text(form.text(value)) if value is not None else Text(NOTHING, "dim") for value in values)
    return Column(header, cells, form.rank, form.elastic, "right" if numbers else "left")
