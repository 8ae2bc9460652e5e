"""Long lines broken where a reader would pause: between phrases, never inside one that fits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_PAUSE = re.compile(r"(?<=[,;]) ")
_SHORT_PAUSE = re.compile(r"(?<=:) | (?=\()")
"""Where a phrase is broken that no line can hold."""
_WORD = re.compile(r" (?!%|[µm]?s\b|[KMG]?i?B\b|M?Hz\b|W\b|TOPS\b|→|×)")
"""A space between words; a number stays with its unit."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """A label and phrases with commas between, on as many lines as they need.

    Attributes:
        label: stands before the first line.
        text: the phrases.
        indent: where all lines begin.
        style: of a text that has none.
        label_style: of the label.
    """

    label: str
    text: str | Text
    indent: int
    style: str = ""
    label_style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        text = self.text if isinstance(self.text, Text) else Text(self.text, self.style)
        place = 0
        for at, line in enumerate(broken(text.plain, options.max_width - self.indent)):
            place = text.plain.index(line, place)
            yield Text(f"{self.label if at == 0 else '':<{self.indent}}", self.label_style) + text[place : place + len(line)]
            place += len(line)


def broken(text: str, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` characters, broken behind commas and the like; inside a long phrase only."""
    return [line for paragraph in text.split("\n") for line in _lines(paragraph, max(width, 1))]


def _lines(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for phrase in _phrases(text, width):
        joined = f"{line} {phrase}" if line else phrase
        if line and cell_len(joined) > width:
            lines.append(line)
            joined = phrase
        line = joined
    return [*lines, line]


def _phrases(text: str, width: int) -> list[str]:
    """Return the phrases of ``text``, each with its comma; parts of a phrase that no line can hold, and at last its words."""
    found = _PAUSE.split(text)
    for pause in (_SHORT_PAUSE, _WORD):
        found = [each for phrase in found for each in ([phrase] if cell_len(phrase) <= width else pause.split(phrase))]
    return found
