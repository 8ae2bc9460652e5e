"""A table that fits the terminal: columns leave in order of importance, and no cell ever wraps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from stcsim.report.phrases import broken

_GAP = 2
_NICE_TO_HAVE = 3
"""Columns of this rank and above leave before a name is cut."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a :class:`FittedTable`.

    Attributes:
        header: up to two lines.
        cells: one text for each row.
        rank: importance; columns of the highest rank leave first, those of rank 0 never.
        elastic: whether its text may be shortened, and where: dotted names at the start, sentences at the end.
        justify: where the text stands.
    """

    header: str
    cells: tuple[Text, ...]
    rank: int = 0
    elastic: Literal["start", "end"] | None = None
    justify: Literal["left", "right"] = "left"

    @property
    def columns(self) -> int:
        """Characters that header and cells need."""
        return max(map(cell_len, [*self.header.split("\n"), *(cell.plain for cell in self.cells)]))


@dataclass(frozen=True, slots=True)
class FittedTable:
    """Columns that are chosen when the width is known.

    Attributes:
        columns: in the order shown.
        foot: a line below, dim.
        least_elastic: characters that an elastic column keeps while others are still there to leave.
        says_what_is_left_out: whether a line below names the columns that found no room.
    """

    columns: tuple[Column, ...]
    foot: str = ""
    least_elastic: int = 16
    says_what_is_left_out: bool = True

    def chosen(self, width: int) -> tuple[Column, ...]:
        """Return the columns that fit in ``width`` characters.

        The least important leave first so that no name need be cut; only then are names, and then the other columns.
        """
        for full, least_rank in ((True, _NICE_TO_HAVE), (False, 1)):
            for rank in sorted({column.rank for column in self.columns if column.rank >= least_rank - 1}, reverse=True):
                kept = tuple(column for column in self.columns if column.rank <= rank)
                if self._needed(kept, full) <= width:
                    return kept
        return tuple(column for column in self.columns if column.rank == 0)

    def left_out(self, width: int) -> str:
        """Return what does not fit in ``width`` characters, in words; empty where all does."""
        shown = self.chosen(width)
        names = dict.fromkeys(" ".join(column.header.split()) for column in self.columns if column not in shown)
        return f"no room for {', '.join(name for name in names if name)}" if any(names) else ""

    def _needed(self, columns: Sequence[Column], full: bool = False) -> int:
        """Return the characters that ``columns`` need, with the elastic ones short; ``full`` leaves names as they are."""
        kept = (None, "start") if full else (None,)
        texts = [each.columns if each.elastic in kept else min(each.columns, self.least_elastic) for each in columns]
        return sum(texts) + _GAP * (len(columns) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the columns that fit."""
        chosen = self.chosen(options.max_width)
        widths = self._widths(chosen, options.max_width)
        for line in _header(chosen, widths):
            yield Text(line, "dim", no_wrap=True, overflow="ellipsis")
        yield Text("─" * (sum(widths) + _GAP * (len(widths) - 1)), "dim", no_wrap=True, overflow="crop")
        for cells in zip(*(column.cells for column in chosen), strict=True):
            yield _line(chosen, widths, cells)
        for note in (self.foot, self.left_out(options.max_width) if self.says_what_is_left_out else ""):
            if note:
                yield from (Text(line, "dim") for line in broken(note, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Report the least and the best width."""
        return Measurement(self._needed(self.chosen(0)), min(self._needed(self.columns), options.max_width))

    def _widths(self, chosen: Sequence[Column], width: int) -> list[int]:
        """Return the characters of each chosen column; an elastic one takes what is left of ``width``."""
        spare = max(width - self._needed(chosen), 0)
        most = self.least_elastic + spare
        return [min(column.columns, most) if column.elastic else column.columns for column in chosen]


def _header(columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    """Yield the header's lines, standing on the rule: a header of one line is in the last."""
    headers = [column.header.split("\n") for column in columns]
    depth = max(map(len, headers))
    for level in range(depth):
        words = [header[level - depth] if level >= depth - len(header) else "" for header in headers]
        cells = [
            f"{word:{'>' if column.justify == 'right' else '<'}{width}}"
            for column, word, width in zip(columns, words, widths, strict=True)
        ]
        yield (" " * _GAP).join(cells).rstrip()


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[Text]) -> Text:
    """Return one row, every cell cut or padded to its column."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for place, (column, width, cell) in enumerate(zip(columns, widths, cells, strict=True)):
        short = _cut(cell, width) if column.elastic == "end" else shortened(cell, width)
        pad = " " * (width - cell_len(short.plain))
        line.append(" " * _GAP if place else "")
        line.append_text(Text(pad) + short if column.justify == "right" else short + Text(pad))
    line.rstrip()
    return line


def _cut(cell: Text, width: int) -> Text:
    """Return ``cell`` cut at its end to ``width`` characters."""
    return cell if cell_len(cell.plain) <= width else cell[: width - 1] + Text("…")


def shortened(cell: Text, width: int) -> Text:
    """Return a dotted name in ``width`` characters: ``r.encoder.3.conv``, ``r.e.3.conv``, and cut at its start at last."""
    words, start = cell.plain.split("."), 0
    short = Text()
    for word in words[:-1]:
        left = cell_len(cell.plain[start:]) + cell_len(short.plain)
        kept = len(word) if left <= width or word[:1].isdecimal() else 1
        short.append_text(cell[start : start + kept] + Text("."))
        start += len(word) + 1
    short.append_text(cell[start:])
    over = cell_len(short.plain) - width
    return short if over <= 0 else Text("…") + short[over + 1 :]
