"""Which cells of a study count, and which are better: constraints and objectives over the columns of its rows."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stcsim.arch.tree import EXPECTED
from stcsim.errors import StcsimError, closest, quoted
from stcsim.study.sweeps.figures import NUMBERS

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "=": operator.eq,
}
_SPELLED = {"≤": "<=", "≥": ">=", "==": "="}
_CONSTRAINT = re.compile(r"\s*([\w.]+)\s*(?:(<=|>=|==|<|>|=|≤|≥)\s*(\S+)\s*)?")
_BETTER: dict[str, Literal["min", "max"]] = {"min": "min", "minimise": "min", "max": "max", "maximise": "max"}
FLAGS = ("fits",)
"""Figures that are true or false, which a constraint names alone."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition that a cell must hold.

    Attributes:
        text: as the file has it.
        name: a figure, or the path of a leaf of the GPU.
        compare: ``"<="`` and the like.
        bound: what it is compared with; 1 of what is true or false.
    """

    text: str
    name: str
    compare: str
    bound: float

    @property
    def of_gpu(self) -> bool:
        """Whether it speaks of the GPU alone, so that it is known before anything is run."""
        return self.name in EXPECTED

    def holds(self, value: object) -> bool:
        """Say whether a figure meets it; one that is not there meets nothing."""
        return isinstance(value, int | float) and _COMPARE[self.compare](float(value), self.bound)


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure, or a leaf of the GPU, of which less or more is better."""

    name: str
    better: Literal["min", "max"]

    @property
    def text(self) -> str:
        """As a file has it: ``"max speedup"``."""
        return f"{self.better} {self.name}"

    def cost(self, value: float) -> float:
        """Return what is to be as small as can be."""
        return value if self.better == "min" else -value


def parse_constraint(text: str, where: str = "constraints") -> Constraint:
    """Return the constraint that a text describes: ``"power.limit_w <= 400"``, or ``"fits"``.

    Raises:
        StcsimError: when it is none, or names no leaf and no figure.
    """
    found = _CONSTRAINT.fullmatch(text)
    if found is None:
        raise StcsimError(where, "a name, a comparison and a number, e.g. best_watts <= 400, or fits", quoted(text))
    name, compare, bound = found.groups()
    check_column(name, where)
    if compare is None:
        if name not in FLAGS:
            raise StcsimError(where, f"a comparison with a number, e.g. {name} <= 400", quoted(text))
        return Constraint(text.strip(), name, "=", 1.0)
    return Constraint(text.strip(), name, _SPELLED.get(compare, compare), _number(bound, where, text))


def parse_objective(text: str, where: str = "objectives") -> Objective:
    """Return the objective that a text describes: ``"max speedup"``.

    Raises:
        StcsimError: when it is none, or names no leaf and no figure.
    """
    better, _, name = text.strip().partition(" ")
    if better.lower() not in _BETTER or not name.strip():
        raise StcsimError(where, "min or max and a name, e.g. max speedup", quoted(text))
    return Objective(check_column(name.strip(), where), _BETTER[better.lower()])


def check_column(name: str, where: str, others: Iterable[str] = ()) -> str:
    """Return the name of a figure, of a leaf of the GPU, or of one of ``others``.

    Raises:
        StcsimError: for any other, with the nearest.
    """
    known = (*NUMBERS, *others, *(path for path in EXPECTED if "." in path))
    if name not in known:
        expected = "a figure (speedup, best_us, best_uj, …) or the path of a leaf of the GPU"
        raise StcsimError(where, expected, f"{quoted(name)}{closest(name, known)}")
    return name


def front(rows: Iterable[Mapping[str, object]], objectives: Sequence[Objective]) -> list[int]:
    """Return the places of the rows that no other row beats, in their order: the Pareto front.

    A row beats another that is nowhere better and somewhere worse. Of rows that are equal in all objectives each stays. A row
    that lacks an objective's figure stands in no front.
    """
    costs = [(at, cost) for at, row in enumerate(rows) if (cost := _costs(row, objectives)) is not None]
    costs.sort(key=lambda pair: (pair[1], pair[0]))
    kept: list[tuple[int, tuple[float, ...]]] = []
    for at, cost in costs:  # whatever beats a row sorts before it
        if not any(other != cost and all(map(operator.le, other, cost)) for _, other in kept):
            kept.append((at, cost))
    return sorted(at for at, _ in kept)


def _costs(row: Mapping[str, object], objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    values = [row.get(objective.name) for objective in objectives]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return None
    return tuple(objective.cost(number) for objective, number in zip(objectives, numbers, strict=True))


def _number(text: str, where: str, whole: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise StcsimError(where, "a number after the comparison, without a unit", quoted(whole))
    return number
