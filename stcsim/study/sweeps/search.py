"""A search for good GPUs in a space that is too large to enumerate, by Optuna, over the same cells and the same store.

A *point* is a GPU with one change of each axis and one way to run; it is tried with every network and GEMM of the study, and an
objective of it is the geometric mean of the figure over these. Optuna's tree-structured Parzen estimator (Bergstra et al. 2011)
says which points to try next, so many at a time whoever works on them: with the same seed the same points are tried, and
a search that was stopped finds what it knew in the store and goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from stcsim.errors import StcsimError
from stcsim.study.sweeps.crews import Crew
from stcsim.study.sweeps.criteria import Objective
from stcsim.study.sweeps.execute import carried_out
from stcsim.study.sweeps.figures import Figures
from stcsim.study.sweeps.grid import Options, Space
from stcsim.study.sweeps.hardware import Hardware
from stcsim.study.sweeps.rows import Row, columns_of, place_of
from stcsim.study.sweeps.run import Progress
from stcsim.study.sweeps.store import WritableStore
from stcsim.study.sweeps.views import Fronts, fronts_of
from stcsim.study.sweeps.work import Job, job_of

AT_ONCE = 8
"""Points that are asked for before the answers to any of them are told: the same whoever works, so that all find the same."""
MOST_TRIALS = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the space: a GPU, and how everything runs on it."""

    hardware: Hardware
    way: Options


def search(
    space: Space, store: WritableStore, crew: Crew, trials: int, seed: int = 0, progress: Progress | None = None
) -> Fronts:
    """Return the points that no other point beats, among so many that were tried.

    Args:
        space: the points, what is run, the constraints and the objectives.
        store: what is known, and where to keep what is found out.
        crew: who works.
        trials: how many points are tried; one that is tried again is not run again.
        seed: of the search.
        progress: called after some points, with how many were tried and how many there are to try.

    Raises:
        StcsimError: when Optuna is not installed, the study has no objective, or no point meets its constraints.
    """
    optuna = _optuna()
    objectives = space.study.objectives
    if not objectives:
        raise StcsimError("objectives", "at least one, e.g. objectives: [max speedup, min best_uj]", "none")
    if not 1 <= trials <= MOST_TRIALS:
        raise StcsimError("trials", f"a whole number from 1 to {MOST_TRIALS:,}", str(trials))
    directions = ["minimize" if each.better == "min" else "maximize" for each in objectives]
    asked = optuna.create_study(directions=directions, sampler=optuna.samplers.TPESampler(seed=seed))
    marks = [Point(mark, way) for mark in space.marks for way in space.ways]
    found = {repr(row): row for row in _tried(marks, space, store, crew)}
    for begin in range(0, trials, AT_ONCE):
        handed = [asked.ask() for _ in range(min(AT_ONCE, trials - begin))]
        rows = _tried([_point(trial, space) for trial in handed], space, store, crew)
        for trial, row in zip(handed, rows, strict=True):
            values = [row[each.name] for each in objectives] if row["feasible"] else None
            asked.tell(trial, values, state=None if values else optuna.trial.TrialState.FAIL)
            found[repr(row)] = row
        if progress is not None:
            progress(begin + len(handed), trials)
    return _fronts(list(found.values()), objectives, space)


def _optuna() -> Any:
    """Return Optuna, which is told to be quiet.

    Raises:
        StcsimError: when it is not installed.
    """
    if find_spec("optuna") is None:
        raise StcsimError("search", "Optuna (pip install 'stcsim[search]')", "none")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _point(trial: Any, space: Space) -> Point:
    """Return the point that a trial asks for: a place on each axis that has several."""
    base = space.bases[_place(trial, "arch", len(space.bases))]
    changes = [axis.changes[_place(trial, axis.name, len(axis.changes))] for axis in space.study.axes]
    options = {name: values[_place(trial, name, len(values))] for name, values in space.study.options.items()}
    return Point(base.changed(changes), {name: value for name, value in options.items() if value is not None})


def _place(trial: Any, name: str, places: int) -> int:
    return int(trial.suggest_int(name, 0, places - 1)) if places > 1 else 0


def _tried(points: Sequence[Point], space: Space, store: WritableStore, crew: Crew) -> list[Row]:
    """Return a row for each point, once everything is run on it."""
    for done in carried_out(_jobs(points, space, store), crew):
        store.add(done.answers)
    return [_row(point, space, store) for point in points]


def _jobs(points: Sequence[Point], space: Space, store: WritableStore) -> Iterator[Job]:
    """Yield the cells of points of which nothing is known yet, each once."""
    handed: set[str] = set()
    for point in points:
        if not space.allows(point.hardware):
            continue
        for cell in space.cells(point.hardware, [point.way]):
            if cell.error is None and cell.key not in handed and store.sentence(cell.key) is None:
                handed.add(cell.key)
                yield job_of(cell)


def _row(point: Point, space: Space, store: WritableStore) -> Row:
    """Return what a point is, whether it meets all constraints with everything that is run, and its objectives."""
    row: Row = dict.fromkeys(columns_of(space.study))
    row |= {**place_of(point.hardware, space.study), **point.way, "feasible": False}
    if not space.allows(point.hardware):
        return row
    figures = [_figures(cell.key, store) for cell in space.cells(point.hardware, [point.way]) if cell.error is None]
    every = [each for each in figures if each is not None]
    if len(every) < len(space.sources) or not all(_meets(each, space) for each in every):
        return row
    means = {each.name: _mean(each, point.hardware, every) for each in space.study.objectives}
    return row | means | {"feasible": None not in means.values()}


def _figures(key: str, store: WritableStore) -> Figures | None:
    answer = store.answer(key)
    return answer.figures if answer is not None else None


def _meets(figures: Figures, space: Space) -> bool:
    return all(each.holds(getattr(figures, each.name)) for each in space.study.constraints if not each.of_gpu)


def _mean(objective: Objective, hardware: Hardware, every: Sequence[Figures]) -> float | None:
    """Return the geometric mean of a figure over all that was run, or the value of a leaf; ``None`` where one has none."""
    if "." in objective.name:
        values = [hardware.value(objective.name)]
    else:
        values = [getattr(figures, objective.name) for figures in every]
    logarithms = [math.log(value) for value in values if isinstance(value, int | float) and value > 0]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if len(logarithms) == len(values) else None


def _fronts(rows: list[Row], objectives: Sequence[Objective], space: Space) -> Fronts:
    """Return the front of all rows together: they say nothing of what was run, for they stand for all of it."""
    if not any(row["feasible"] for row in rows):
        raise StcsimError("constraints", "at least one point that meets them with everything that is run", "none that was tried")
    rows = sorted((row for row in rows if row["feasible"]), key=lambda row: [_cost(row, each) for each in objectives])
    return fronts_of(rows, space.study, objectives)


def _cost(row: Row, objective: Objective) -> float:
    value = row[objective.name]
    assert isinstance(value, int | float)
    return objective.cost(value)
