"""Runs what the documents show: commands of stcsim and blocks of Python, all in this process, in a folder of their own.

One process, because starting Python and loading numba for each of a hundred commands would take minutes.
"""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stcsim.cli import main
from tests.docs.made import MADE
from tests.docs.pages import ROOT, Fence, fences, pages

SHELL = ("sh", "console")
COLUMNS = 100
"""Width of the terminal that the documents show."""
_REACHED = ("arch_configs", "recipes", "tests", "traces")
"""What commands of the documents may name as if they ran in a clone of this project."""


@dataclass(frozen=True)
class Command:
    """One command of stcsim in a document, with the block that it stands in."""

    text: str
    fence: Fence


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    return [Command(text, fence) for fence in fences(page) if fence.language in SHELL for text in _commands(fence.text)]


def reason_to_skip(fence: Fence) -> str:
    """Return why a block is not run, as its marks say; empty where it is."""
    if reason := fence.marks.get("not run"):
        return f"not run: {reason}"
    library = fence.marks.get("needs")
    return f"needs {library}" if library and find_spec(library) is None else ""


def is_program(fence: Fence) -> bool:
    """Whether a block is Python to be run, and not a file that a command reads."""
    return fence.language == "python" and "file" not in fence.marks


def _commands(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        text = line.strip().removeprefix("$ ")
        if text.startswith("stcsim "):
            yield shlex.join(shlex.split(text, comments=True))


class Workshop:
    """A folder in which commands run once each; files that one writes are there for the next."""

    def __init__(self, folder: Path) -> None:
        """Put the files of the project, and those that pages define, into ``folder``."""
        self._folder = folder
        self._printed: dict[str, str] = {}
        self._names: dict[Path, dict[str, object]] = {}
        self._done: dict[tuple[Path, int], str] = {}
        for name in _REACHED:
            (folder / name).symlink_to(ROOT / name)
        for fence in (each for page in pages() for each in fences(page)):
            if name := fence.marks.get("file"):
                path = folder / name
                assert not path.exists() or path.read_text(encoding="utf-8") == fence.text + "\n", (
                    f"{fence.place}: another page has a file called {name}, with another text"
                )
                path.write_text(fence.text + "\n", encoding="utf-8")

    def printed_by(self, command: str) -> str:
        """Return what a command prints on stdout, run here when it has not been yet.

        Raises:
            AssertionError: it ends in another exit code than 0; the message holds what it said.
        """
        words = shlex.split(command, comments=True)
        key = shlex.join(words)
        if key not in self._printed:
            self._printed[key] = self._run(words[1:], command)
        return self._printed[key]

    def run_above(self, page: Path, line: int) -> None:
        """Run the commands of a page that stand above a line, as far as they can be: what is below may need their files."""
        for command in commands_of(page):
            if command.fence.line < line and not reason_to_skip(command.fence):
                self.printed_by(command.text)

    def _run(self, arguments: list[str], command: str) -> str:
        assert not {"|", ">", "&&", ";"} & set(arguments), f"{command}: no shell runs it, so it cannot use one"
        self._make(arguments)
        out, err, code = io.StringIO(), io.StringIO(), 0
        with self._inside(out, err):
            try:
                main(arguments)
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 0
        assert code == 0, f"{command}: exit code {code}\n{err.getvalue()}{out.getvalue()}"
        return out.getvalue()

    def _make(self, words: list[str]) -> None:
        """Make the files among ``words`` that are too large to ship."""
        for name in {*words} & {*MADE}:
            if not (self._folder / name).exists():
                MADE[name](self._folder / name)

    def printed_by_python(self, fence: Fence) -> str:
        """Return what a block of Python prints; the blocks of a page share their names and run in order."""
        for other in fences(fence.page):
            if is_program(other) and "not run" not in other.marks and (fence.page, other.line) not in self._done:
                names = self._names.setdefault(fence.page, {"__name__": "__main__"})
                out = io.StringIO()
                self._make([name for name in MADE if name in other.text])
                with self._inside(out, io.StringIO()):
                    exec(compile("\n" * other.line + other.text, str(other.page), "exec"), names)
                self._done[other.page, other.line] = out.getvalue()
            if other.line == fence.line:
                break
        return self._done[fence.page, fence.line]

    @contextmanager
    def _inside(self, out: io.StringIO, err: io.StringIO) -> Iterator[None]:
        """Work in the folder, at the width of the documents and without colour."""
        before = dict(os.environ)
        os.environ.update(COLUMNS=str(COLUMNS), NO_COLOR="1")
        try:
            with chdir(self._folder), redirect_stdout(out), redirect_stderr(err):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)
