"""Do rows come out alike as a table, as markdown, as a document and as lines; and does markdown hold what a terminal shows?"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

import stcsim
from stcsim.report.markdown import markdown
from stcsim.report.phrases import Phrases
from stcsim.report.sheet import Field, Sheet, shown
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.inventory import arch_table
from stcsim.report.terminal.tables import run_table
from tests.unit.runs import TOYNET


@dataclass(frozen=True)
class Side:
    time_us: float
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    dense: Side | None
    note: str = "hidden"


SHEET = Sheet(
    "toys-1",
    "toys by hand",
    (Field("name", "toy"), Field("count"), Field("dense.time_us", "dense", "µs", lambda us: f"{us:.1f}"), Field("dense.parts")),
    (Row("a|b", 12000, Side(1.25, ("x", "y"))), Row("c", 2, None)),
    {"arch": "a100"},
    foot="two of them",
)


def drawn(content: object) -> list[str]:
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        console.print(content)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_sheet_is_a_table() -> None:
    assert drawn(SHEET.table()) == [
        "toys by hand",
        "             dense",
        "toy   count     µs  dense.parts",
        "───────────────────────────────",
        "a|b  12,000    1.2  x y",
        "c         2      –  –",
        "two of them",
    ]


def test_a_sheet_is_a_document_and_lines() -> None:
    document = SHEET.document()
    assert (document["schema"], document["inputs"]) == ("stcsim/toys-1", {"arch": "a100"})
    dense = {"time_us": 1.25, "parts": ["x", "y"]}
    assert document["rows"][0] == {"name": "a|b", "count": 12000, "dense": dense, "note": "hidden"}
    assert SHEET.row_lines()[0] == {
        "name": "a|b", "count": 12000, "dense.time_us": 1.25, "dense.parts": "x y", "note": "hidden",
    }  # fmt: skip


def test_a_sheet_is_markdown() -> None:
    assert markdown(SHEET.table()).splitlines() == [
        "**toys by hand**",
        "",
        "| toy | count | dense µs | dense.parts |",
        "| --- | ---: | ---: | --- |",
        "| a\\|b | 12,000 | 1.2 | x y |",
        "| c | 2 | – | – |",
        "",
        "two of them",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (True, "yes"), (1234, "1,234"), (0.123456, "0.1235"), ("x", "x"), (["a", 1], "a, 1")]
)
def test_figures_are_shown_plainly(value: object, text: str) -> None:
    assert shown(value) == text


def test_markdown_of_words_frames_and_drawings() -> None:
    table = FittedTable((Column("a_b\nc", (Text("<1 %"),)),))
    content = Group(Panel(Group(Phrases("work", "39 launches", 8), table), title="[bold]toy_net[/]"), Text("x*y", "bold"))
    assert markdown(content).splitlines() == [
        "**toy\\_net**", "", "**work** 39 launches", "", "| a\\_b c |", "| --- |", "| \\<1 % |", "", "**x\\*y**",
    ]  # fmt: skip


def test_every_row_of_every_table_has_the_cells_of_its_header() -> None:
    for content in (run_table(TOYNET), arch_table(stcsim.load_arch("a100"))):
        tables = [block.splitlines() for block in markdown(content).split("\n\n") if block.startswith("| ")]
        assert tables
        for table in tables:
            assert {line.replace("\\|", "").count("|") for line in table} == {table[0].count("|")}


def test_what_is_drawn_stands_in_a_block() -> None:
    text = markdown(run_table(TOYNET))
    assert text.count("```text\n") * 2 == text.count("```") and "█" in text
    assert "**prune these 2 layers: " in text and "| layers |" in text and "model.layers.31.mlp.down\\_proj" in text
