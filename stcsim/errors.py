"""The one error family of stcsim: every user error says where, what was expected, and what was found."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

from stcsim.printable import escaped, shortened

LONGEST = 600
"""Characters of a sentence; only what is longer is cut."""
_MOST_PLACE, _MOST_FOUND = 180, 200
"""Of these, what the two parts may take in which a user's input stands, which may have any length."""
_MOST_COMPARED = 200
"""Characters of a word up to which a guess is made at what was meant."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 3, 8, 80, 80


class StcsimError(Exception):
    """A user's input cannot be used; the message is one clear sentence.

    Args:
        where: the place, e.g. ``"a100.yaml: l2.capacity_mib"``; for an argument of a function its name, and what in it if that
            helps, e.g. ``"kernel"``, ``"over batch"``. The command line writes such a name as its option.
        expected: what would have been accepted, e.g. ``"a number above 0"``.
        found: what stood there instead, e.g. ``"'forty'"``.
    """

    def __init__(self, where: str, expected: str, found: str) -> None:
        """Keep the three parts so that callers can test them apart; the message has them on one line, shortened."""
        self.where, self.expected, self.found = where, expected, found
        super().__init__(_sentence(escaped(where), escaped(expected), escaped(found)))

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
    """Return the sentence of three parts, each without its middle where all are too long."""
    whole = f"{where}: expected {expected}, found {found}"
    if len(whole) <= LONGEST:
        return whole
    place, thing = shortened(where, _MOST_PLACE), shortened(found, _MOST_FOUND)
    room = LONGEST - len(f"{place}: expected , found {thing}")
    return f"{place}: expected {shortened(expected, room)}, found {thing}"


def closest(word: object, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to ``word``, in any case of letters, else an empty text."""
    lower = {each.lower(): each for each in known}
    try:
        meant = str(word)[:_MOST_COMPARED].lower()
    except Exception:  # a number of thousands of digits, or an object that cannot be printed
        return ""
    matches = difflib.get_close_matches(meant, lower, n=1, cutoff=0.5)
    return f" (did you mean '{lower[matches[0]]}'?)" if matches else ""


def quoted(value: object) -> str:
    """Return a value as an error shows it: text in quotes, and everything else as Python writes it, on one line, shortened."""
    try:
        return " ".join(_SHORT.repr(value).split()) if not isinstance(value, str) else _SHORT.repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number too long to print"


def described(value: object) -> str:
    """Return what kind of thing a file holds, without a word of it: the file may be another one than was meant."""
    return _KINDS.get(type(value), "a number" if isinstance(value, int | float) else "something else")


_KINDS = {str: "a text", list: "a list", dict: "an object", bool: "true or false", type(None): "nothing"}
