"""Columns of the tables of evidence, and their figures as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from stcsim.report.terminal.columns import Column


def texts(header: str, cells: Iterable[str], rank: int = 0, elastic: bool = False) -> Column:
    """Return a column of texts, which may be cut at their end if ``elastic``."""
    return Column(header, tuple(map(Text, cells)), rank=rank, elastic="end" if elastic else None)


def figures(header: str, cells: Iterable[str], rank: int = 0) -> Column:
    """Return a column of figures."""
    return Column(header, tuple(map(Text, cells)), rank=rank, justify="right")


def signed(fraction: float) -> str:
    """Return a fraction as percent with its sign: ``+1.5 %``."""
    return f"{100 * fraction:+.1f} %"


def from_to(before: float, after: float, sign: str = "") -> str:
    """Return two fractions as percent: ``5.3 → 7.5 %``; ``sign`` is ``+`` for both with their signs."""
    return f"{100 * before:{sign}.1f} → {100 * after:{sign}.1f} %"


def spread(errors: Sequence[float]) -> tuple[str, str, str]:
    """Return mean absolute error, median and 90th percentile, all fractions, as percent."""
    mean, median, p90 = errors
    return f"{100 * mean:.1f} %", signed(median), f"{100 * p90:.1f} %"
