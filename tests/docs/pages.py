"""The documents of this project: which pages there are, their fenced blocks with the marks above them, their generated blocks.

A mark is an HTML comment on a line of its own, directly above a fence, which readers do not see::

    <!-- not run: REASON -->    the block is not run; the tests print the reason
    <!-- needs: torch -->       the block is run where that library is installed
    <!-- file: NAME -->         the block is a file, written before the page's commands run

A generated block stands between ``<!-- generated: WHAT -->`` and ``<!-- end -->``; ``tests.docs.generated`` says what may be
asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"

MARK = re.compile(r"^<!-- (not run|needs|file): (.+?) -->$")
_FENCE = re.compile(r"^( *)(`{3,})([\w-]*)$")
_GENERATED = re.compile(r"^<!-- generated: (?P<what>.+?) -->\n(?P<content>.*?)^<!-- end -->$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*-->$")


def pages() -> list[Path]:
    """Return the pages whose commands are run and whose blocks are generated."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def linking_pages() -> list[Path]:
    """Return all Markdown files whose links must lead somewhere."""
    return [*pages(), *(ROOT / name / "README.md" for name in ("arch_configs", "traces", "tests", "tests/validation"))]


def short(page: Path) -> str:
    """Return a page's path from the root of the project."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Fence:
    """A fenced block: the line of its opening fence, its language, its text, and the marks above it."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it stands, as an editor takes it."""
        return f"{short(self.page)}:{self.line}"


@dataclass(frozen=True)
class Generated:
    """A generated block of a page: the line it starts at, what is to be in it, and what is."""

    page: Path
    line: int
    what: str
    content: str

    @property
    def place(self) -> str:
        """Where it stands, as an editor takes it."""
        return f"{short(self.page)}:{self.line}"


def fences(page: Path) -> list[Fence]:
    """Return the fenced blocks of a page, in order."""
    return list(_fences(page, page.read_text(encoding="utf-8").splitlines()))


def _fences(page: Path, lines: list[str]) -> Iterator[Fence]:
    at, marks = 0, dict[str, str]()
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            marks = marks | _mark(lines[at]) if _COMMENT.match(lines[at]) else {}
            at += 1
            continue
        indent, ticks, language = opening.groups()
        end = next((place for place in range(at + 1, len(lines)) if lines[place] == indent + ticks), None)
        assert end is not None, f"{short(page)}:{at + 1}: a fence that is never closed"
        text = "\n".join(line.removeprefix(indent) for line in lines[at + 1 : end])
        yield Fence(page, at + 1, language, text, marks)
        at, marks = end + 1, {}


def _mark(line: str) -> dict[str, str]:
    found = MARK.match(line)
    return {found[1]: found[2]} if found else {}


def generated(page: Path) -> list[Generated]:
    """Return the generated blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [Generated(page, text.count("\n", 0, at.start()) + 1, at["what"], at["content"]) for at in _GENERATED.finditer(text)]
    opened = len(re.findall(r"^<!-- generated: ", text, re.MULTILINE))
    assert len(found) == opened, f"{short(page)}: {opened} generated blocks begin, {len(found)} end in <!-- end -->"
    return found


def filled(page: Path, contents: list[str]) -> str:
    """Return the text of a page with other contents in its generated blocks, in order."""
    left = iter(contents)
    text = page.read_text(encoding="utf-8")
    return _GENERATED.sub(lambda at: f"<!-- generated: {at['what']} -->\n{next(left)}\n<!-- end -->", text)
