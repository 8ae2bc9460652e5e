"""What is printed for a terminal, as Markdown: tables become tables, words stay words, and bars stand in a block of text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.inventory import Leaves
from stcsim.report.terminal.pruning import PruneTable
from stcsim.report.terminal.summary import Fenced

_WIDTH = 120
_SPECIAL = re.compile(r"([\\`*_<>|\[\]])")


def markdown(content: RenderableType) -> str:
    """Return ``content`` as GitHub shows it: every column of every table, no colours."""
    blocks = [block for block in _blocks(content) if block.strip()]
    return "\n\n".join(blocks) + "\n"


def _blocks(content: object) -> Iterator[str]:
    """Yield the blocks of what is printed, from top to bottom."""
    if isinstance(content, Group):
        for part in content.renderables:
            yield from _blocks(part)
    elif isinstance(content, FittedTable):
        yield _table(content)
        yield from map(_escaped, content.foot.split("\n"))
    elif isinstance(content, Panel):
        yield f"**{_escaped(Text.from_markup(str(content.title)).plain)}**"
        yield from _blocks(content.renderable)
    elif isinstance(content, Fenced):
        yield from _blocks(content.content)
    elif isinstance(content, Leaves):
        yield _table(content.table())
    elif isinstance(content, PruneTable):
        yield from (block for part in (content.heading(), content.table()) for block in _blocks(part))
    elif isinstance(content, Text | Phrases | str):
        yield _sentence(content)
    else:
        yield f"```text\n{_drawn(content)}\n```"


def _table(table: FittedTable) -> str:
    columns = table.columns
    marks = ("---:" if column.justify == "right" else "---" for column in columns)
    lines = [[_header(column) for column in columns], list(marks)]
    rows = zip(*(column.cells for column in columns), strict=True)
    lines += [[_escaped(" ".join(cell.plain.split())) for cell in cells] for cells in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _header(column: Column) -> str:
    return _escaped(" ".join(column.header.split()))


def _sentence(content: Text | Phrases | str) -> str:
    """Return words on their own line; a label, and a line that is bold as a whole, are bold."""
    text = content.text if isinstance(content, Phrases) else content
    plain = (text.plain if isinstance(text, Text) else text).strip()
    words = "  \n".join(_escaped(line.strip()) for line in plain.split("\n"))
    if isinstance(content, Phrases) and content.label.strip():
        return f"**{_escaped(' '.join(content.label.split()))}** {words}"
    style = str(text.style) if isinstance(text, Text) else content.style if isinstance(content, Phrases) else ""
    return f"**{words}**" if words and style.startswith("bold") and "\n" not in words else words


def _drawn(content: object) -> str:
    """Return what a terminal without colours would show."""
    file = io.StringIO()
    Console(file=file, width=_WIDTH, color_system=None, highlight=False, emoji=False).print(content)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
