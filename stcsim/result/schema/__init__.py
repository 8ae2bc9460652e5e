"""JSON schemas of saved results, as files: the contract that other programs read results by."""

from __future__ import annotations

from pathlib import Path

from stcsim.data import shipped_name
from stcsim.errors import StcsimError, closest, quoted

_FOLDER = Path(__file__).resolve().parent


def schema_names() -> list[str]:
    """Return the names of all schemas, each with its version: ``"run-1"``."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def schema_text(name: object) -> str:
    """Return the JSON schema called so; the name alone, ``"run"``, is its newest version.

    Raises:
        StcsimError: when there is none.
    """
    names = schema_names()
    newest = {each.rpartition("-")[0]: each for each in sorted(names, key=lambda each: int(each.rpartition("-")[2]))}
    found = shipped_name(name, names) or newest.get(str(name).lower())
    if found is None:
        raise StcsimError("schema", f"one of {', '.join([*newest, *names])}", f"{quoted(name)}{closest(name, [*newest, *names])}")
    return (_FOLDER / f"{found}.json").read_text(encoding="utf-8")
