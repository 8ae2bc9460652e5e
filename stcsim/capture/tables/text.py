"""The lines of a table as cells: reads as it goes, in UTF-8 or UTF-16, between commas, semicolons, tabs or bars."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from stcsim.errors import TraceError

DELIMITERS = ",;\t|"
_NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAID = "sep="
"""How spreadsheets say in a first line of its own which delimiter follows."""
_HEAD = 1 << 16
_BLANKS = "\ufeff \t\r\n"


class Table:
    """One table that is being read.

    Attributes:
        line: number of the line that was read last.
    """

    def __init__(self, file: TextIO) -> None:
        """Find out which delimiter the table has."""
        first = _first_line(file)
        self._skipped = first.lower().startswith(_SAID) and len(first) > len(_SAID)
        said = first[len(_SAID)] if self._skipped else ""
        self._delimiter = said if said in DELIMITERS and said else max(DELIMITERS, key=first.count)
        self._reader = csv.reader(file, delimiter=self._delimiter, skipinitialspace=True, strict=True)

    @property
    def line(self) -> int:
        """Number of the line that was read last."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the cells of each line, blank ones included.

        Raises:
            TraceError: naming the line that is no cells.
        """
        if self._skipped:
            next(self._reader, None)
        try:
            yield from self._reader
        except csv.Error as error:
            raise TraceError(f"line {self.line}", f"cells between {_NAMED[self._delimiter]}", str(error)) from None


def encoding_of(path: Path) -> str:
    """Return the encoding that a file's first bytes say: a mark of UTF-16 before a Latin letter, else UTF-8.

    Raises:
        TraceError: when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise TraceError(str(path), "a file that can be read", error.strerror or str(error)) from None
    letter = head[2:].strip(b"\0")
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if marked and len(letter) == 1 and letter.isascii() and letter.decode().isprintable() else "utf-8-sig"


def _first_line(file: TextIO) -> str:
    """Return the first line that is not blank, and go back to the start."""
    head = file.read(_HEAD)
    file.seek(0)
    return next((line for line in head.splitlines() if line.strip(_BLANKS)), "")
