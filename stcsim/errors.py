"""The one error family of stcsim: every user error says where, what was expected, and what was found."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 3, 8, 80, 80

LONGEST = 600
"""Characters of a sentence; what is longer is cut in its middle, since names and values of a file may have any length."""
_WHERE, _FOUND = 180, 200
"""Of these, what a place and what was found may take, at most."""


class StcsimError(Exception):
    """A user's input cannot be used; the message is one clear sentence.

    Args:
        where: the place, e.g. ``"a100.yaml: l2.capacity_mib"``; for an argument of a function its name, and what in it if that
            helps, e.g. ``"kernel"``, ``"over batch"``. The command line writes such a name as its option.
        expected: what would have been accepted, e.g. ``"a number above 0"``.
        found: what stood there instead, e.g. ``"'forty'"``.
    """

    def __init__(self, where: str, expected: str, found: str) -> None:
        """Keep the three parts so that callers can test them apart."""
        self.where, self.expected, self.found = where, expected, found
        super().__init__(_sentence(where, expected, found))

    def __reduce__(self) -> tuple[type[StcsimError], tuple[str, str, str]]:
        """Return the three parts, so that an error may leave the process that raised it."""
        return type(self), (self.where, self.expected, self.found)


class ArchError(StcsimError):
    """An architecture file, name or override cannot be used."""


class TraceError(StcsimError):
    """A trace file, model or measured table cannot be used."""


class UnsupportedError(StcsimError):
    """The GPU, kernel or instruction asked for cannot do what was asked, or a word, a size or a type is none."""


def _sentence(where: str, expected: str, found: str) -> str:
    """Return the sentence of three parts: one line of at most ``LONGEST`` characters that a terminal can show."""
    whole = _printable(f"{where}: expected {expected}, found {found}")
    if len(whole) <= LONGEST:
        return whole
    place, thing = _cut(_printable(where), _WHERE), _cut(_printable(found), _FOUND)
    room = LONGEST - len(f"{place}: expected , found {thing}")
    return f"{place}: expected {_cut(_printable(expected), room)}, found {thing}"


def _printable(text: str) -> str:
    """Return a text with escapes in the place of what moves a cursor, ends a line, turns the direction or is no character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, most: int) -> str:
    """Return a text without its middle where it is longer than ``most``."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def closest(word: object, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to ``word``, in any case of letters, else an empty text."""
    lower = {each.lower(): each for each in known}
    matches = difflib.get_close_matches(str(word).lower(), lower, n=1, cutoff=0.5)
    return f" (did you mean '{lower[matches[0]]}'?)" if matches else ""


def quoted(value: object) -> str:
    """Return a value as an error shows it: text in quotes, and everything else as Python writes it, on one line, shortened."""
    try:
        return " ".join(_SHORT.repr(value).split()) if not isinstance(value, str) else _SHORT.repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number too long to print"
