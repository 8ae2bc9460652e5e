"""Fail unless the wheel named on the command line carries every architecture, trace, the error model and the typing marker."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wanted() -> set[str]:
    """Return the paths that must be in the wheel."""
    data = [*ROOT.glob("arch_configs/*.yaml"), *ROOT.glob("traces/*.json")]
    return {f"stcsim/_data/{path.relative_to(ROOT)}" for path in data} | {"stcsim/py.typed", "stcsim/trust/accuracy.json"}


def main(wheel: str) -> str | None:
    """Return what is missing from ``wheel`` as a sentence, ``None`` if nothing is."""
    with zipfile.ZipFile(wheel) as archive:
        missing = wanted() - set(archive.namelist())
    return f"{wheel} lacks {', '.join(sorted(missing))}" if missing else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
