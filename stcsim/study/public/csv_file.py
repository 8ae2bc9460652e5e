"""Reading a CSV file of a source: ``# key: value`` lines, a header, records; every complaint names file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from stcsim.errors import TraceError, closest


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a CSV file. where: the file, by its path in the repository, and the line."""

    where: str
    cells: dict[str, str]

    def whole(self, column: str) -> int:
        """Return a whole number above 0; ``8.0`` is one, too.

        Raises:
            TraceError: with the line and the column, for anything else.
        """
        value = self.number(column)
        if not math.isfinite(value) or value < 1 or value != int(value):
            raise TraceError(f"{self.where}: {column}", "a whole number above 0", f"'{self.cells[column]}'")
        return int(value)

    def number(self, column: str) -> float:
        """Return a number; an empty cell is 0.

        Raises:
            TraceError: with the line and the column, for anything else.
        """
        text = (self.cells.get(column) or "").strip()
        try:
            return float(text or 0)
        except ValueError:
            raise TraceError(f"{self.where}: {column}", "a number", f"'{text}'") from None


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file. comments: its first lines that begin with ``#``, without it. name: its path in the repository."""

    name: str
    comments: tuple[str, ...]
    columns: tuple[str, ...]
    records: tuple[Record, ...]

    def comment(self, key: str) -> str:
        """Return what stands after ``key:`` among the comments, empty where nothing does."""
        found = (line.partition(":")[2].strip() for line in self.comments if line.partition(":")[0].strip().lower() == key)
        return next(found, "")

    def require(self, columns: Sequence[str]) -> None:
        """Do nothing if all ``columns`` are there.

        Raises:
            TraceError: naming the first that is not.
        """
        for column in columns:
            if column not in self.columns:
                found = f"{', '.join(self.columns) or 'an empty file'}{closest(column, self.columns)}"
                raise TraceError(f"{self.name}: header", f"a column '{column}'", found)


def read_csv(file: Path, name: str, columns: Sequence[str]) -> CsvFile:
    """Read ``file``, which must have ``columns``.

    Raises:
        TraceError: it is no UTF-8 CSV table, or a column is missing.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        comments = tuple(takewhile(lambda line: line.startswith("#") or not line.strip(), lines))
        reader = csv.DictReader(lines[len(comments) :], skipinitialspace=True)
        header = tuple(column.strip() for column in reader.fieldnames or ())
        reader.fieldnames = list(header)
        records = tuple(_records(reader, name, len(comments)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(name, "a UTF-8 CSV table", str(error)) from None
    table = CsvFile(name, tuple(line[1:].strip() for line in comments), header, records)
    table.require(columns)
    return table


def _records(reader: csv.DictReader[str], name: str, skipped: int) -> Iterator[Record]:
    for cells in reader:
        yield Record(f"{name}:{skipped + reader.line_num}", cells)
