"""Names of layers: what alike ones share, and the patterns that name just those."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations

_NUMBER = re.compile(r"\d+")
_SPECIAL = re.compile(r"([*?[])")
_MOST_NUMBERS = 6
"""Numbers in a name of which every choice is tried; names with more are named one by one."""


def kind_of(name: str) -> str:
    """Return ``name`` with every number replaced by ``*``: what alike layers of a network share."""
    return _NUMBER.sub("*", name)


def alike(name: str, m: int, n: int, k: int, batch: int, dtype: str) -> tuple[object, ...]:
    """Return what alike layers share: the same for those of one size and type whose names differ in their numbers only."""
    return kind_of(name), m, n, k, batch, dtype


def common_name(names: Sequence[str]) -> str:
    """Return the name that ``names`` of one kind have in common: ``*`` for the numbers in which they differ."""
    columns = zip(*map(_NUMBER.findall, names), strict=True)
    numbers = [column[0] if len(set(column)) == 1 else "*" for column in columns]
    words = _NUMBER.split(names[0])
    return "".join(word + number for word, number in zip(words, [*numbers, ""], strict=True))


def patterns_for(names: Sequence[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return patterns, as in a shell, that fit all of ``names`` and none of ``others``.

    As few as a greedy choice finds. Each is a name in which some numbers stand for others: ``*``, or where that fits too much
    ``[0-9]`` for each digit, or a range of those that there are.
    """
    others, left, found = list(others), list(names), []
    while left:
        fitting = ((pattern, fits(pattern, left)) for pattern in _candidates(left[0], left) if not fits(pattern, others))
        best, covered = max(fitting, key=lambda pair: len(pair[1]), default=(_escaped(left[0]), left[:1]))
        found.append(best)
        left = [name for name in left if name not in set(covered)]
    return tuple(found)


def fits(pattern: str, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that ``pattern`` fits."""
    return [name for name in names if fnmatchcase(name, pattern)]


def _candidates(name: str, names: Sequence[str]) -> Iterator[str]:
    """Yield ``name``, and ``name`` with every choice of its numbers opened in each of three ways."""
    words = _NUMBER.split(name)
    numbers = _NUMBER.findall(name)
    yield _escaped(name)
    if len(numbers) > _MOST_NUMBERS:
        return
    others = [found for other in names if len(found := _NUMBER.findall(other)) == len(numbers)]
    digits = [[found[at] for found in others] for at in range(len(numbers))]
    ranges = [_range(number, column) for number, column in zip(numbers, digits, strict=True)]
    for way in (["*"] * len(numbers), ["[0-9]" * len(number) for number in numbers], ranges):
        for size in range(1, len(numbers) + 1):
            for opened in combinations(range(len(numbers)), size):
                parts = [way[at] if at in opened else number for at, number in enumerate(numbers)]
                yield "".join(_escaped(word) + part for word, part in zip(words, [*parts, ""], strict=True))


def _range(number: str, numbers: Iterable[str]) -> str:
    """Return a class of the digits that numbers of the same length have at each place."""
    alike = [other for other in numbers if len(other) == len(number)]
    columns = ((min(column), max(column)) for column in zip(*alike, strict=True))
    return "".join(low if low == high else f"[{low}-{high}]" for low, high in columns)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"[\1]", text)
