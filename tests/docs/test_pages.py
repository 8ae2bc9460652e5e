"""Do the documents hold together: links, lengths, and every word that a command prints?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stcsim.report import words
from stcsim.trust.accuracy import Evidence
from stcsim.trust.verdict import Verdict
from tests.docs.markdown import anchors, links, prose
from tests.docs.pages import FIGURES, ROOT, linking_pages, pages, short

MOST_LINES = 120
MOST_CHARACTERS = 130
_SOURCE = re.compile(r"`((?:stcsim|tests|arch_configs|traces|docs)/[\w./-]*)`")
KINDS = ("vendor", "measured", "fitted", "assumed")


@pytest.mark.parametrize("page", linking_pages(), ids=short)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for line, target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        if not leads_to.exists() or (anchor and anchor not in anchors(leads_to)):
            lost.append(f"{short(page)}:{line}: {target}")
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("page", pages(), ids=short)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = [(line, path) for line, text in prose(page) for path in _SOURCE.findall(text)]
    lost = [f"{short(page)}:{line}: {path}" for line, path in named if not (ROOT / path).exists()]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("page", pages(), ids=short)
def test_lines_of_prose_are_short(page: Path) -> None:
    def length(line: str) -> int:
        return len(re.sub(r"\]\([^)]*\)", "]", line))

    long = [number for number, line in prose(page) if not line.lstrip().startswith("|") and length(line) > MOST_CHARACTERS]
    assert not long, f"{short(page)}: lines of more than {MOST_CHARACTERS} characters: {', '.join(map(str, long))}"


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_every_page_of_docs_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for _, target in links(index)}
    missing = [short(page) for page in (ROOT / "docs").rglob("*.md") if page != index and page.resolve() not in linked]
    decisions = [name for name in missing if name.startswith("docs/decisions/0")]  # these are listed in an index of their own
    assert missing == decisions, f"docs/README.md: no link to {', '.join(sorted(set(missing) - set(decisions)))}"


def test_every_room_is_in_the_house() -> None:
    named = set(_SOURCE.findall((ROOT / "docs" / "house.md").read_text(encoding="utf-8")))
    packages = {f"{short(path.parent)}/" for path in (ROOT / "stcsim").rglob("__init__.py")} - {"stcsim/"}
    modules = {short(path) for path in (ROOT / "stcsim").glob("[!_]*.py")}
    missing = sorted((packages | modules) - named)
    assert not missing, f"docs/house.md: no room {', '.join(missing)}"


def test_every_picture_is_shown() -> None:
    shown = {(page.parent / target).resolve() for page in pages() for _, target in links(page)}
    unseen = [path.name for path in FIGURES.iterdir() if path.suffix != ".json" and path.resolve() not in shown]
    assert not unseen, f"docs/figures: in no page: {', '.join(unseen)}"


def test_every_word_for_parts_resources_and_verdicts_is_in_the_glossary() -> None:
    glossary = "\n".join(line for _, line in prose(ROOT / "docs" / "glossary.md"))
    terms = {term.lower() for entry in re.findall(r"\*\*(.+?)\*\*", glossary) for term in entry.split(" · ")}
    printed = [
        *words.PARTS.values(),
        *words.PARTS,
        *words.RESOURCES.values(),
        *words.ENERGIES.values(),
        *Verdict,
        *Evidence,
        *KINDS,
    ]
    missing = sorted({word for word in printed if word.lower() not in terms})
    assert not missing, f"docs/glossary.md: no entry for {', '.join(missing)}"


def test_the_citation_file_has_what_the_format_asks_for() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["authors"] == [{"name": "stcsim contributors"}]
    assert {"message", "title", "license"} <= set(citation) and "doi" not in citation
