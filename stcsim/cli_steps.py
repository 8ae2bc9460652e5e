"""Steps that several commands share: loading, checking before long work, compiling, writing and printing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from stcsim.errors import StcsimError
from stcsim.files import check_writable

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.result import RunResult

_COMPILE_SECONDS = 5
"""What the first use of the fast engine takes, as its message promises (3 s were measured on a 2-core machine)."""


def refuse_negatives(arguments: Sequence[str]) -> None:
    """Refuse ``-1``, which would be read as an unknown option (after ``--`` the command itself will)."""
    for argument in takewhile(lambda word: word != "--", arguments):
        if argument.startswith("-") and argument[1:].replace(".", "", 1).isdecimal():
            raise StcsimError("command line", "numbers above 0", f"'{argument}'")


def load_gpu(name_or_path: str, settings: list[str] | None) -> Arch:
    """Load a GPU with its overrides."""
    from stcsim.arch import load_arch

    return load_arch(name_or_path, settings or [])


def check_outputs(**outputs: Path | None) -> None:
    """Refuse, before any work, what could not be written after it."""
    for option, path in outputs.items():
        if path is not None:
            check_writable(path, f"--{option}")


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise StcsimError(name, "a whole number above 0", str(size))


def sizes_of(shape: str | None) -> tuple[int, ...] | None:
    """Return ``3x224x224`` as numbers."""
    if shape is None:
        return None
    words = shape.lower().split("x")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise StcsimError("--shape", "sizes above 0 with an x between, e.g. 3x224x224", f"'{shape}'")
    return tuple(map(int, words))


def prepare() -> None:
    """Compile the fast engine if that was never done here, and say so."""
    from stcsim.report.terminal import say
    from stcsim.timing import fast

    if not fast.is_compiled():
        say(f"compiling the engine, once (about {_COMPILE_SECONDS} s)…")
        fast.warm_up()


def deliver(result: RunResult, json: Path | None, csv: Path | None, top: int | None) -> None:
    """Write the files asked for, then print."""
    from stcsim.report.export import to_json, write_csv, write_json
    from stcsim.report.tables import run_table
    from stcsim.report.terminal import show

    if json:
        write_json(to_json(result), json)
    if csv:
        write_csv(result, csv)
    show(run_table(result, top))
