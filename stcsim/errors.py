"""The one error family of stcsim: every user error says where, what was expected, and what was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StcsimError(Exception):
    """A user's input cannot be used; the message is one clear sentence.

    Args:
        where: the place, e.g. ``"a100.yaml: l2.capacity_mib"``.
        expected: what would have been accepted, e.g. ``"a number above 0"``.
        found: what stood there instead, e.g. ``"'forty'"``.
    """

    def __init__(self, where: str, expected: str, found: str) -> None:
        """Keep the three parts so that callers can test them apart."""
        self.where, self.expected, self.found = where, expected, found
        super().__init__(f"{where}: expected {expected}, found {found}")


class ArchError(StcsimError):
    """An architecture file, name or override cannot be used."""


class TraceError(StcsimError):
    """A trace file, model or measured table cannot be used."""


class UnsupportedError(StcsimError):
    """The GPU, kernel or instruction asked for cannot do what was asked."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the known word nearest to ``word``, else an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{matches[0]}'?)" if matches else ""
