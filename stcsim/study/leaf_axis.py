"""Values of an axis that runs over one leaf of an architecture file: absolute, or relative to what the file has.

The grammar is that of other axes (``stcsim.study.axis``), with decimals and with the relative values of ``--set``::

    sm.count=80..160                   doubles: 80, 160
    dram.achieved_fraction=0.5..1:0.1  steps: 0.5, 0.6, … 1.0
    l2.capacity_mib=x0.5,x1,x2         factors; x0.5..x4 doubles, x1..x2:0.25 steps
    sm.count=-16..+16:8                steps: -16, -8, 0, +8, +16
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from stcsim.arch import unit_of
from stcsim.arch.overrides import Change, parse_change
from stcsim.arch.tree import NUMBERS
from stcsim.errors import StcsimError, closest, quoted

LeafValue = int | float | Change
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,12})?|\.\d{1,12}", re.ASCII)
_VALUES = (
    "numbers, factors (x1.5) or sums (+8, -8) with commas between, or ranges such as 80..160 (doubling) or 80..160:8 (steps)"
)
_ABSOLUTE, _FACTOR, _SUM = "absolute values", "factors", "sums"


def check_leaf(path: str) -> None:
    """Refuse a path at which no architecture file has a number.

    Raises:
        StcsimError: with the path that is nearest.
    """
    if path not in NUMBERS:
        raise StcsimError(
            "over", "the dotted path of one number, e.g. l2.capacity_mib", f"{quoted(path)}{closest(path, NUMBERS)}"
        )


def leaf_values(path: str, text: str, most: int) -> tuple[LeafValue, ...]:
    """Return the values that ``text`` lists for the leaf at ``path``, in ascending order, each once.

    Args:
        path: of a number.
        text: values and ranges with commas between.
        most: how many there may be.

    Raises:
        StcsimError: a path of no number, a word that is no value, values of several kinds, or too many.
    """
    check_leaf(path)
    where = f"over {path}"
    found: set[Decimal] = set()
    kinds: set[str] = set()
    for word in text.split(","):
        kind, amounts = _amounts(word.strip(), where, most)
        kinds.add(kind)
        found.update(amounts)
        if len(kinds) > 1:
            raise StcsimError(where, "values of one kind", " and ".join(sorted(kinds)))
        if len(found) > most:
            raise StcsimError(where, f"at most {most} values", str(len(found)))
    return tuple(_value(amount, kinds.copy().pop(), NUMBERS[path]) for amount in sorted(found))


def leaf_title(path: str, values: tuple[object, ...]) -> str:
    """Return the path with its unit, or with what its values are relative to: ``"l2.capacity_mib (MiB)"``."""
    first = values[0]
    unit = unit_of(path) if not isinstance(first, Change) else "times the file's" if first.is_factor else "added to the file's"
    return f"{path} ({unit})" if unit else path


def _value(amount: Decimal, kind: str, number: type[int] | type[float]) -> LeafValue:
    if kind != _ABSOLUTE:
        return Change(kind == _FACTOR, amount)
    return int(amount) if number is int and amount == amount.to_integral_value() else float(amount)


def _amounts(word: str, where: str, most: int) -> tuple[str, list[Decimal]]:
    """Return the kind of one value or range, and its amounts."""
    start, dots, rest = word.partition("..")
    kind, first = _number(start, where, word)
    if not dots:
        return kind, [first]
    stop, colon, step = rest.partition(":")
    end_kind, last = _number(stop, where, word)
    if kind != end_kind and {kind, end_kind} != {_SUM, _ABSOLUTE}:
        raise StcsimError(where, "a range between values of one kind", quoted(word))
    by = _number(step, where, word)[1] if colon else None
    if last < first or by is not None and by <= 0 or by is None and first <= 0:
        expected = "a range that ends above its start" if last < first else "steps above 0 (80..160:8), as nothing doubles from 0"
        raise StcsimError(where, expected, quoted(word))
    amounts = []
    for amount in _between(first, last, by):
        amounts.append(amount)
        if len(amounts) > most:
            raise StcsimError(where, f"at most {most} values", quoted(word))
    return _SUM if _SUM in (kind, end_kind) else kind, amounts


def _between(first: Decimal, last: Decimal, step: Decimal | None) -> Iterator[Decimal]:
    amount = first
    while amount <= last:
        yield amount
        amount = amount * 2 if step is None else amount + step


def _number(text: str, where: str, word: str) -> tuple[str, Decimal]:
    change = parse_change(text)
    if change is not None:
        return _FACTOR if change.is_factor else _SUM, change.amount
    if not _NUMBER.fullmatch(text.strip()):
        raise StcsimError(where, _VALUES, quoted(word))
    return _ABSOLUTE, Decimal(text.strip())
