"""Markdown: tables with aligned columns, headings, links, and the prose of a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns are as wide as their widest cell."""
    cells = [header, *lines]
    widths = [max(len(line[at]) for line in cells) for at in range(len(header))]
    texts = ["| " + " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page outside of fenced blocks and comments, with their numbers."""
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        ticks = re.match(r" *(`{3,})", line)
        if fence:
            fence = "" if ticks and line.strip() == fence else fence
        elif ticks:
            fence = ticks[1]
        elif not line.startswith("<!--"):
            yield number, line


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    anchors = set()
    for _, line in prose(page):
        if heading := _HEADING.match(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            anchors.add(f"{anchor}-{found[anchor]}" if found[anchor] else anchor)
            found[anchor] += 1
    return anchors


def links(page: Path) -> list[tuple[int, str]]:
    """Return the targets of a page's links, with their lines."""
    return [(number, target) for number, line in prose(page) for target in _LINK.findall(_CODE.sub("", line))]
