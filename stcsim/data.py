"""Where the data files that ship with stcsim are, and what they are called."""

from __future__ import annotations

from pathlib import Path


def data_folder(kind: str) -> Path:
    """Return the folder of shipped data called ``kind``, e.g. ``"arch_configs"``.

    An installed wheel carries it inside the package; in a checkout it stands at the top of the repository.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_data" / kind
    return packaged if packaged.is_dir() else package.parent / kind


def data_names(kind: str, ending: str) -> list[str]:
    """Return the names of the shipped files of one kind, without their ending (``".yaml"``), in alphabetical order."""
    return sorted(path.stem for path in data_folder(kind).glob(f"*{ending}"))


def shipped_name(name: object, names: list[str]) -> str | None:
    """Return the one of ``names`` that is meant, in any case of letters; ``None`` where it is none of them."""
    lower = str(name).lower()
    return next((each for each in names if each.lower() == lower), None)
