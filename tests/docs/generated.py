"""What stands in the generated blocks of the documents, by what their first line asks for.

``stcsim …``         what the command prints on a terminal of 100 columns; `` | `` cuts lines out of it, one cut after another:
                     ``from "TEXT"`` and ``to "TEXT"`` keep what stands between the first lines that hold these texts,
                     ``head N`` and ``tail N`` so many lines. ``…`` stands where something was left out.
``python``           what the block of Python above it prints.
``options COMMAND``  the arguments and options of a command, as a table.
``table NAME``       a table, or a sentence, made from measured times (``tests.docs.tables``).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.docs.options import options_table
from tests.docs.pages import Generated, fences, generated
from tests.docs.tables import TABLES
from tests.docs.workshop import Workshop, is_program, reason_to_skip

LEFT_OUT = "…"


def content_of(block: Generated, workshop: Workshop) -> str:
    """Return what is to stand in a block now."""
    kind, _, rest = block.what.partition(" ")
    if kind == "stcsim":
        command, *cuts = block.what.split(" | ")
        workshop.run_above(block.page, block.line)
        return fenced(cut(_lines(workshop.printed_by(command)), cuts))
    if kind == "python":
        above = [fence for fence in fences(block.page) if is_program(fence) and fence.line < block.line]
        return fenced(_lines(workshop.printed_by_python(above[-1])))
    if kind == "options":
        return options_table(rest)
    assert kind == "table" and rest in TABLES, f"{block.place}: expected one of {', '.join(TABLES)}, found '{block.what}'"
    return TABLES[rest]()


def reason_to_keep(block: Generated) -> str:
    """Return why a block cannot be made here, as the marks above the commands above it say; empty where it can."""
    above = [fence for fence in fences(block.page) if fence.line < block.line]
    return reason_to_skip(above[-1]) if above and block.what.startswith(("stcsim ", "python")) else ""


def contents_of(page: Path, workshop: Workshop) -> list[str]:
    """Return what is to stand in all blocks of a page now; what cannot be made here stays."""
    return [
        block.content.removesuffix("\n") if reason_to_keep(block) else content_of(block, workshop) for block in generated(page)
    ]


def fenced(lines: Sequence[str]) -> str:
    """Return lines as a block of plain text."""
    return "\n".join(["```text", *lines, "```"])


def _lines(printed: str) -> list[str]:
    return [line.rstrip() for line in printed.strip("\n").splitlines()]


def cut(lines: list[str], cuts: Sequence[str]) -> list[str]:
    """Return the lines that cuts leave, with ``…`` where something is missing."""
    for each in cuts:
        verb, argument = shlex.split(each)
        lines = _CUTS[verb](lines, argument)
    return lines


def _index(lines: Sequence[str], text: str) -> int:
    found = next((at for at, line in enumerate(lines) if text in line), None)
    assert found is not None, f"no line holds '{text}':\n" + "\n".join(lines)
    return found


def _first(lines: list[str], count: int) -> list[str]:
    return lines if count >= len(lines) else [*lines[:count], LEFT_OUT]


def _last(lines: list[str], count: int) -> list[str]:
    return lines if count >= len(lines) else [LEFT_OUT, *lines[len(lines) - count :]]


_CUTS: dict[str, Callable[[list[str], str], list[str]]] = {
    "from": lambda lines, text: _last(lines, len(lines) - _index(lines, text)),
    "to": lambda lines, text: _first(lines, _index(lines, text) + 1),
    "head": lambda lines, count: _first(lines, int(count)),
    "tail": lambda lines, count: _last(lines, int(count)),
}
