"""What stands behind a name in a study: one value or several, ranges among them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from stcsim.errors import StcsimError, quoted

MOST_VALUES = 1000
"""Values of one axis."""
_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")
_EXPECTED = "values, or ranges such as 1..64 (doubling) or 80..160:16 (steps)"


def texts_of(given: object, where: str) -> tuple[str, ...]:
    """Return the values behind a name as texts, each once, in the order of the file.

    Args:
        given: a value, or a list of them; numbers, words, relative values such as ``"x1.5"``, ranges such as ``"80..160:16"``.
        where: the name, for the error.

    Raises:
        StcsimError: when there is none, too many, or the same one twice.
    """
    members = given if isinstance(given, list) else [given]
    if not members:
        raise StcsimError(where, "at least one value", "an empty list")
    found: list[str] = []
    for member in members:
        found += _of_member(member, where)
        if len(found) > MOST_VALUES:
            raise StcsimError(where, f"at most {MOST_VALUES:,} values", "more")
    return once(found, where)


def once(words: Iterable[str], where: str) -> tuple[str, ...]:
    """Return ``words`` as a tuple.

    Raises:
        StcsimError: when one is there twice.
    """
    several = tuple(words)
    for at, word in enumerate(several):
        if word in several[:at]:
            raise StcsimError(where, "each value once", f"{quoted(word)} twice")
    return several


def text_of(value: object) -> str:
    """Return a plain value as ``--set`` reads it."""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _of_member(member: object, where: str) -> Iterator[str]:
    if isinstance(member, dict):
        raise StcsimError(where, _EXPECTED, "a mapping")
    if not isinstance(member, str) or ".." not in member:
        yield text_of(member)
        return
    parts = _RANGE.fullmatch(member.strip())
    if parts is None:
        raise StcsimError(where, _EXPECTED, quoted(member))
    start, stop = Decimal(parts[1]), Decimal(parts[2])
    step = Decimal(parts[3]) if parts[3] else None
    if not 0 < start <= stop or step == 0:
        raise StcsimError(where, "a range above 0 that ends above its start, in steps above 0", quoted(member))
    yield from _numbers(start, stop, step)


def _numbers(start: Decimal, stop: Decimal, step: Decimal | None) -> Iterator[str]:
    """Yield one number more than an axis may have at most."""
    value = start
    for _ in range(MOST_VALUES + 1):
        if value > stop:
            return
        yield f"{value:f}"
        value = value * 2 if step is None else value + step
