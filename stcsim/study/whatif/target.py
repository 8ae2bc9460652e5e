"""A target: a figure of a run and a bound on it, e.g. ``"sparse_speedup >= 1.8"``. Figures are called as JSON calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stcsim.errors import StcsimError, closest, quoted
from stcsim.result import Totals
from stcsim.result.parts import Side
from stcsim.words import text as text_of

#: What a bound may be set on: its name among the totals, its unit, and the side whose time says what is in the way.
METRICS: dict[str, tuple[str, Side]] = {
    "speedup": ("×", "best"),
    "sparse_speedup": ("×", "2:4"),
    "dense_us": ("µs", "dense"),
    "sparse_us": ("µs", "2:4"),
    "best_us": ("µs", "best"),
    "dense_tops": ("TOPS", "dense"),
    "best_tops": ("TOPS", "best"),
    "dense_uj": ("µJ", "dense"),
    "sparse_uj": ("µJ", "2:4"),
    "best_uj": ("µJ", "best"),
    "perf_per_watt_gain": ("×", "best"),
}
_SHAPE = re.compile(r"\s*(\w+)\s*(>=|<=|≥|≤)\s*(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})\s*×?\s*", re.ASCII)
_EXAMPLE = "a figure, >= or <=, and a number, e.g. 'sparse_speedup >= 1.8'"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of a run and a bound on it.

    Attributes:
        metric: one of ``METRICS``.
        at_least: whether the figure must reach the bound from below, or stay below it.
        bound: in the unit of the figure.
    """

    metric: str
    at_least: bool
    bound: float

    def __str__(self) -> str:
        """Return it as a user writes it."""
        return f"{self.metric} {'>=' if self.at_least else '<='} {self.bound:.12g}"

    @property
    def unit(self) -> str:
        """The unit of the figure."""
        return METRICS[self.metric][0]

    @property
    def side(self) -> Side:
        """The side of a run whose time says what is in the way."""
        return METRICS[self.metric][1]

    def figure(self, totals: Totals) -> float:
        """Return the figure of a run.

        Raises:
            StcsimError: when the run has none, for want of Sparse Tensor Cores or of layers that may be pruned.
        """
        found: float | None = getattr(totals, self.metric)
        if found is None or totals.sparse_us is None and self.unit == "×":
            raise StcsimError(f"target {self.metric}", "a GPU with Sparse Tensor Cores", "one without, whose runs are all dense")
        return found

    def is_met(self, figure: float) -> bool:
        """Whether a figure reaches the bound."""
        return figure >= self.bound if self.at_least else figure <= self.bound

    def gain(self, figure: float, before: float) -> float:
        """Return by which share a figure is nearer to the target than another one, negative where it is farther."""
        return figure / before - 1 if self.at_least else before / figure - 1


def parse_target(text: str) -> Target:
    """Return the target that ``text`` describes, e.g. ``"speedup >= 1.8"``.

    Raises:
        StcsimError: when it is none.
    """
    found = _SHAPE.fullmatch(text_of(text, "target", _EXAMPLE))
    if found is None:
        raise StcsimError("target", _EXAMPLE, quoted(text))
    metric = found[1].lower()
    if metric not in METRICS:
        raise StcsimError("target", f"one of {', '.join(METRICS)}", f"{quoted(found[1])}{closest(metric, METRICS)}")
    if float(found[3]) == 0:
        raise StcsimError("target", "a bound above 0", quoted(text))
    return Target(metric, found[2] in (">=", "≥"), float(found[3]))
