"""Which layers a word of a user means: a name, a pattern as in a shell, a number, a range, ``first`` or ``last``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from stcsim.errors import UnsupportedError, closest, quoted
from stcsim.trace.ops import Memory
from stcsim.words import text

FIRST, LAST = "first", "last"
"""Words that stand for the first and the last layer with weights."""

EXPECTED = "a layer's name or number, a pattern such as '*.fc*', a range such as 2-5, first or last"
_RANGE = re.compile(r"(\d{1,99})(?:-(\d{1,99}))?")


class Layer(Protocol):
    """What has a name, and perhaps weights: an operation of a trace, or a weight of a checkpoint."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    @property
    def weight_elements(self) -> int:
        """How many weights it has."""


def chosen(ops: Sequence[Layer], words: object, argument: str, pool: Sequence[Layer]) -> list[str]:
    """Return the names that ``words`` stand for, in the order of the words.

    Args:
        ops: the operations of a trace, or layers alone. GEMMs and convolutions are numbered from 1.
        words: one, or several with commas between.
        argument: what the user called them, for the error.
        pool: those of ``ops`` that may be meant.

    Raises:
        UnsupportedError: when a word stands for none of ``pool``.
    """
    whole = text(words, argument, EXPECTED).strip()
    found = list(_of_word(ops, whole, pool))
    if found or "," not in whole:
        return found or _refuse(whole, argument, pool)
    parts = [part.strip() for part in whole.split(",") if part.strip()]
    names = [name for part in parts for name in (list(_of_word(ops, part, pool)) or _refuse(part, argument, pool))]
    return list(dict.fromkeys(names)) or _refuse(whole, argument, pool)


def _of_word(ops: Sequence[Layer], word: str, pool: Sequence[Layer]) -> Iterator[str]:
    """Yield the names that one word stands for; a name goes before a number that is written alike."""
    weighted = [op.name for op in ops if op.weight_elements]
    ends = {FIRST: weighted[:1], LAST: weighted[-1:]}
    if ends.get(word):
        yield from ends[word]
        return
    fitting = [op.name for op in pool if op.name == word or fnmatchcase(op.name, word)]
    if not fitting and (numbers := _RANGE.fullmatch(word)):
        first, last, may_be = int(numbers[1]), int(numbers[2] or numbers[1]), {op.name for op in pool}
        layers = [op.name for op in ops if not isinstance(op, Memory)]
        fitting = [name for at, name in enumerate(layers, 1) if first <= at <= last and name in may_be]
    yield from fitting


def _refuse(word: str, argument: str, pool: Sequence[Layer]) -> list[str]:
    raise UnsupportedError(argument, EXPECTED, f"{quoted(word)}, which no layer has{closest(word, [op.name for op in pool])}")
