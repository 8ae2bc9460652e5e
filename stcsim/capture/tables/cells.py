"""Cells of a table as numbers and words, each refused in one sentence that names its column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stcsim.errors import TraceError, UnsupportedError, closest
from stcsim.isa import dtype as known_dtype
from stcsim.isa import timed_types
from stcsim.trace.model import shorten

Row = Mapping[str, str]
"""The cells of one line by the field that their column is; what a line does not say is missing or empty."""

_MOST_DIGITS = 10
_MOST_LETTERS = 40
_WEIGHTS: dict[str, Literal["a"] | None] = {"yes": "a", "no": None}


def whole(row: Row, field: str, column: str | None = None) -> int:
    """Return a cell as a whole number above 0.

    Args:
        row: its cells.
        field: which one.
        column: what its column is called, where that is not the field.

    Raises:
        TraceError: for anything else.
    """
    cell, place = row.get(field, ""), column or field
    if not (cell.isascii() and cell.isdecimal()):
        raise TraceError(place, "a whole number above 0", shorten(cell) if cell else "an empty cell")
    digits = cell.lstrip("0")
    if len(digits) > _MOST_DIGITS:
        raise TraceError(place, "a number below 2147483648", f"one of {len(digits):,} digits")
    if not digits:
        raise TraceError(place, "a whole number above 0", shorten(cell))
    return int(digits)


def whole_or(row: Row, field: str, default: int, column: str | None = None) -> int:
    """Return a cell as a whole number above 0; an empty one stands for ``default``. Raises as :func:`whole`."""
    return whole(row, field, column) if row.get(field) else default


def weight_operand(row: Row) -> Literal["a"] | None:
    """Return whether A is a weight, which may be pruned (``yes``, also where nothing is said), or an activation (``no``).

    Raises:
        TraceError: for another word.
    """
    word = row.get("weights", "").lower() or "yes"
    if word not in _WEIGHTS:
        raise TraceError("weights", "yes or no", shorten(row["weights"]))
    return _WEIGHTS[word]


def element(row: Row) -> str:
    """Return the name of the element type a line asks for; empty where it asks for none.

    Raises:
        TraceError: for an unknown type.
    """
    word = row.get("dtype", "").lower()
    try:
        return known_dtype(word).name if word else ""
    except UnsupportedError as error:
        known = [row.name for row in timed_types()]
        raise TraceError("dtype", error.expected, f"{shorten(word)}{closest(word[:_MOST_LETTERS], known)}") from None
