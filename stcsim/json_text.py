"""JSON in which every key of an object stands once: Python's reader takes the last of two in silence."""

from __future__ import annotations

import json
from typing import Any


class KeyTwiceError(ValueError):
    """A key stands twice in one object.

    Attributes:
        key: which.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def parse_json(text: str) -> Any:
    """Return what a text says.

    Raises:
        KeyTwiceError: when a key stands twice in one object.
        ValueError: when it is no JSON.
        RecursionError: when it nests too deeply.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of ``pairs``."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise KeyTwiceError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found
