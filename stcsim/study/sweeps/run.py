"""A study run: what is not yet known of its cells is found out and kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stcsim.study.sweeps.crews import Crew
from stcsim.study.sweeps.execute import carried_out
from stcsim.study.sweeps.grid import Cell, Grid
from stcsim.study.sweeps.store import Store, WritableStore
from stcsim.study.sweeps.work import Job, job_of

Progress = Callable[[int, int], None]
"""Called with how many cells are done, and how many there are to do."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a study is, in cells.

    Attributes:
        left_out: those that constraints on GPUs leave out.
        done: those with figures.
        waiting: those that are still to be run.
        errors: those that have a sentence in the place of figures, by the sentence.
        runs: what there is to run for those that wait: cells with the same answer share one.
    """

    left_out: int
    done: int
    waiting: int
    errors: Mapping[str, int]
    runs: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has done.

    Attributes:
        runs: cells that were run; of those with the same answer one.
        errors: of these, those that ended with a sentence.
        seconds: what it took.
        spared: share of the engine's work that was none, because its workers remembered it from other cells.
    """

    runs: int
    errors: int
    seconds: float
    spared: float


def state_of(grid: Grid, store: Store | None, retry: bool = False) -> State:
    """Return how far a study is; with ``retry`` cells that ended with an error wait to be run again."""
    done = waiting = 0
    errors, keys = Counter[str](), set[str]()
    for cell in grid:
        ended = _ended(cell, store, retry)
        if ended is None:
            waiting += 1
            keys.add(cell.key)
        elif ended:
            errors[ended] += 1
        else:
            done += 1
    return State(len(grid) - done - waiting - errors.total(), done, waiting, errors, len(keys))


def run_study(grid: Grid, store: WritableStore, crew: Crew, retry: bool = False, progress: Progress | None = None) -> Outcome:
    """Run every cell of which nothing is known yet; each batch is kept as it comes, so that whatever ends this loses little.

    Args:
        grid: the cells.
        store: what is known, and where to keep what is found out.
        crew: who works.
        retry: whether cells that ended with an error are run again.
        progress: called after each batch.

    Raises:
        StcsimError: when an answer cannot be kept.
    """
    begun, runs = time.perf_counter(), state_of(grid, store, retry).runs
    done = errors = simulated = spared = 0
    for batch in carried_out(_waiting(grid, store, retry), crew):
        store.add(batch.answers)
        done += len(batch.answers)
        errors += sum(answer.figures is None for answer in batch.answers)
        simulated += batch.simulated
        spared += batch.spared
        if progress is not None:
            progress(done, runs)
    return Outcome(done, errors, time.perf_counter() - begun, spared / max(simulated + spared, 1))


def _waiting(grid: Grid, store: Store, retry: bool) -> Iterator[Job]:
    """Yield each cell that is to be run, those with the same answer once."""
    handed: set[str] = set()
    for cell in grid:
        if cell.key not in handed and _ended(cell, store, retry) is None:
            handed.add(cell.key)
            yield job_of(cell)


def _ended(cell: Cell, store: Store | None, retry: bool) -> str | None:
    """Return the sentence that a cell ended with, an empty one where it has figures, ``None`` where it waits."""
    if cell.error is not None:
        return str(cell.error)
    found = store.sentence(cell.key) if store else None
    return None if found and retry else found
