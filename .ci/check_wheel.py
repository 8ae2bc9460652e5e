"""Fail unless the wheel named on the command line has all architectures, recipes, traces, schemas, error model, typing marker."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wanted() -> set[str]:
    """Return the paths that must be in the wheel."""
    data = [*ROOT.glob("arch_configs/*.yaml"), *ROOT.glob("recipes/*.yaml"), *ROOT.glob("traces/*.json")]
    inside = [
        *ROOT.glob("stcsim/result/schema/*.json"),
        ROOT / "stcsim" / "py.typed",
        ROOT / "stcsim" / "trust" / "accuracy.json",
    ]
    return {f"stcsim/_data/{path.relative_to(ROOT)}" for path in data} | {str(path.relative_to(ROOT)) for path in inside}


def main(wheel: str) -> str | None:
    """Return what is missing from ``wheel`` as a sentence, ``None`` if nothing is."""
    with zipfile.ZipFile(wheel) as archive:
        missing = wanted() - set(archive.namelist())
    return f"{wheel} lacks {', '.join(sorted(missing))}" if missing else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
