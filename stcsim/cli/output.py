"""Where results go: printed in one of four forms, and into files; what cannot be written is refused before any work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stcsim.errors import StcsimError
from stcsim.files import check_writable, is_stdout, write_whole
from stcsim.printable import harmless
from stcsim.words import Format

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stcsim.report.sheet import Sheet

T = TypeVar("T")

STDOUT = Path("-")
_FIGURE = "figure"
"""The option that names a picture."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a result is printed, and the files it goes to; ``-`` stands for standard output, where nothing else is then printed."""

    format: Format = Format.TABLE
    json: Path | None = None
    csv: Path | None = None

    @property
    def prints(self) -> bool:
        """Whether the result is printed beside what goes to files."""
        return STDOUT not in (self.json, self.csv)


def output(format: str, json: Path | None = None, csv: Path | None = None, **others: Path | None) -> Output:
    """Return where a result goes.

    Args:
        format: how it is printed.
        json: the file of the document, or ``-``.
        csv: the file of the lines, or ``-``.
        others: files of other kinds, by the name of their option.

    Raises:
        StcsimError: when a file cannot be written, or two things would stand on standard output.
    """
    json, csv = (STDOUT if path is not None and is_stdout(path) else path for path in (json, csv))
    check_outputs(json=json, csv=csv, **others)
    taken = [f"--{name} -" for name, path in (("json", json), ("csv", csv)) if path == STDOUT]
    taken += [f"--format {format}"] if format != Format.TABLE else []
    if len(taken) > 1:
        raise StcsimError(taken[0], "one thing on standard output", f"{taken[1]} beside it")
    return Output(Format(format), json, csv)


def check_outputs(**outputs: Path | None) -> None:
    """Refuse, before any work, what could not be drawn or written after it."""
    from stcsim.report.figures.figure_file import check_figure

    taken: dict[Path, str] = {}
    for name, path in outputs.items():
        if path is not None and (path != STDOUT or name not in ("json", "csv")):
            option = f"--{name.replace('_', '-')}"
            if name == _FIGURE:
                check_figure(path, option)
            check_writable(path, option)
            if (other := taken.setdefault(path.resolve(), option)) != option:
                raise StcsimError(f"{option} {path}", f"another file than that of {other}", "the same")


def deliver(
    out: Output,
    found: T,
    table: Callable[[T], RenderableType],
    document: Callable[[T], Mapping[str, Any]],
    lines: Callable[[T], Sequence[Mapping[str, object]]],
) -> None:
    """Write the files asked for, then print; each form is made only if it is wanted."""
    from stcsim.result.document import csv_text, json_text

    json_wanted, csv_wanted = out.format is Format.JSON, out.format is Format.CSV
    if out.json or json_wanted:
        content = document(found)
        if out.json and out.json != STDOUT:
            write_whole(out.json, json_text(content))
        if json_wanted or out.json == STDOUT:
            sys.stdout.write(json_text(content, ascii_only=not _speaks_unicode()))
    if out.csv or csv_wanted:
        text = csv_text(lines(found))
        if out.csv and out.csv != STDOUT:
            write_whole(out.csv, text)
        if csv_wanted or out.csv == STDOUT:
            sys.stdout.write(text)
    if out.prints and out.format is Format.MARKDOWN:
        from stcsim.report.markdown import markdown

        sys.stdout.write(harmless(markdown(table(found))))
    elif out.prints and out.format is Format.TABLE:
        from stcsim.report.terminal.console import show

        show(table(found))


def deliver_sheet(out: Output, sheet: Sheet) -> None:
    """Write and print a sheet."""
    deliver(out, sheet, type(sheet).table, type(sheet).document, type(sheet).row_lines)


def _speaks_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
