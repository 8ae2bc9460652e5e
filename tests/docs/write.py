"""Writes the generated blocks of the documents anew: ``python -m tests.docs.write [PAGE…]``.

``--studies`` runs case studies first (half a minute), ``--silicon DIR`` predicts measured tables, too (some ten minutes),
``--ablation DIR --rates DIR`` does so without each mechanism (some twenty minutes of one core), ``--siblings FILE`` keeps what
``stcsim evidence leave-one-out --json FILE`` wrote (an hour and a half of one core), ``--workflows DIR`` runs
the recipes that ship (a quarter of an hour; DIR keeps their stages), and ``--figures`` draws the pictures that stand below a line
``<!-- drawn: stcsim … --figure NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from tests.docs.generated import contents_of
from tests.docs.measured import ablate, keep_siblings, measure, study
from tests.docs.pages import FIGURES, filled, generated, pages, short
from tests.docs.workflows import run_recipes
from tests.docs.workshop import Workshop

DRAWN = re.compile(r"^<!-- drawn: (stcsim .+) -->$", re.MULTILINE)


def draw(page: Path, workshop: Workshop, folder: Path) -> list[str]:
    """Draw the pictures of a page, and return their names."""
    names = []
    text = page.read_text(encoding="utf-8")
    for found in DRAWN.finditer(text):
        command = found[1]
        words = shlex.split(command)
        workshop.run_above(page, text.count("\n", 0, found.start()))
        name = words[words.index("--figure") + 1]
        workshop.printed_by(command)
        shutil.copyfile(folder / name, FIGURES / name)
        names.append(name)
    return names


def main() -> None:
    """Write what is asked for, and say which pages changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="*", type=Path, help="only these pages; all by default")
    parser.add_argument("--silicon", type=Path, metavar="DIR", help="measured tables to predict, and to check intervals on")
    parser.add_argument("--siblings", type=Path, metavar="FILE", help="what stcsim evidence leave-one-out --json wrote")
    parser.add_argument("--ablation", type=Path, metavar="DIR", help="measured tables to predict without each mechanism")
    parser.add_argument("--rates", type=Path, metavar="DIR", help="published microbenchmarks, for --ablation")
    parser.add_argument("--studies", action="store_true", help="run case studies")
    parser.add_argument("--workflows", type=Path, metavar="DIR", help="run the recipes, their stages kept in DIR")
    parser.add_argument("--figures", action="store_true", help="draw the pictures, too")
    given = parser.parse_args()
    if bool(given.ablation) != bool(given.rates):
        parser.error("--ablation and --rates go together")
    if given.silicon:
        measure(given.silicon)
    if given.studies or given.silicon:
        study()
    if given.siblings:
        keep_siblings(given.siblings)
    if given.ablation:
        ablate(given.ablation, given.rates)
    if given.workflows:
        given.workflows.mkdir(parents=True, exist_ok=True)
        run_recipes(given.workflows)
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        for page in [path.resolve() for path in given.page] or pages():
            if given.figures:
                for name in draw(page, workshop, Path(folder)):
                    print(f"drawn: {name}")
            if generated(page):
                text = filled(page, contents_of(page, workshop))
                if text != page.read_text(encoding="utf-8"):
                    page.write_text(text, encoding="utf-8")
                    print(f"written: {short(page)}")


if __name__ == "__main__":
    main()
