"""What a network lacks: operators that no reader takes and steps of unknown size, which are missing from every total."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_MOST_NAMES = 5
"""Operators that a sentence names before it only counts."""


@dataclass(frozen=True, slots=True)
class Partial:
    """Why every total of a network is too small.

    Attributes:
        products: operators that multiply and whose work is in no total, each with its place: ``odd.bil: aten._trilinear``.
        steps: steps left out because their sizes are unknown, each with its place.
        least_share: share of the products that is missing at least, 0 to 1; ``None`` where no shape bounds it.
    """

    products: tuple[str, ...]
    steps: tuple[str, ...] = ()
    least_share: float | None = None

    @classmethod
    def of(cls, products: Iterable[str], steps: Iterable[str], least_macs: int, macs: int) -> Partial | None:
        """Return what is missing, or ``None`` of a whole network.

        Args:
            products: operators that multiply, as in ``Source.unhandled``.
            steps: as in ``Source.unsized``.
            least_macs: multiply-accumulates of ``products`` at least; 0 where nothing bounds them.
            macs: those that are in the totals.
        """
        products, steps = tuple(products), tuple(steps)
        if not products and not steps:
            return None
        return cls(products, steps, least_macs / (least_macs + macs) if products and least_macs else None)

    @property
    def sentence(self) -> str:
        """What is missing, in one line: ``partial: an unknown share of the products is missing: Loop ×1``."""
        parts = []
        if self.products:
            parts.append(f"{_missing(self.least_share)}: {_counted(self.products)}")
        if self.steps:
            parts.append(f"steps of unknown size are left out: {_counted(self.steps)}")
        return f"partial: {'; '.join(parts)}"


def _missing(share: float | None) -> str:
    """Return how much is missing; a share is rounded down, so that "at least" holds."""
    percent = math.floor(100 * share) if share else 0
    return f"at least {percent} % of the products are missing" if percent else "an unknown share of the products is missing"


def _counted(entries: Iterable[str]) -> str:
    """Return operators with how often each is met, the most frequent first."""
    counts = Counter(map(_operator, entries)).most_common()
    shown = [f"{name} ×{count}" for name, count in counts[:_MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(counts) - _MOST_NAMES} more kinds" if len(counts) > _MOST_NAMES else "")


def _operator(entry: str) -> str:
    """Return the operator of ``place: Operator (reason)``."""
    _, _, operator = entry.split(" (")[0].rpartition(": ")
    return operator.split(" of ")[0]
