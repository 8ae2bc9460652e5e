"""The one loop that hands batches of cells to a crew and takes what comes back, whoever the crew is and whoever of it dies."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice

from stcsim.errors import StcsimError
from stcsim.study.sweeps.crews import Crew
from stcsim.study.sweeps.work import Answer, Done, Job

Batch = Sequence[Job]

BATCH_SECONDS = 1.0
"""What a batch is to take: so much is lost when a worker dies, and so often does each have something to write down."""
_MOST_CELLS, _MOST_GROWTH = 1000, 4
_NEWS = 0.5
"""Weight of the last batch in the pace."""
_LIVES = 2
"""So many workers may die over a cell that was alone with them; then it is the cell."""


class Pace:
    """How many cells make a batch, as fast as the last ones were."""

    def __init__(self) -> None:
        """Begin with one cell, whose time nobody knows."""
        self.cells = 1
        self._seconds: float | None = None

    def learn(self, cells: int, seconds: float) -> None:
        """Take note of a batch of so many cells."""
        each = max(seconds, 1e-6) / cells
        self._seconds = each if self._seconds is None else _NEWS * each + (1 - _NEWS) * self._seconds
        self.cells = max(1, min(round(BATCH_SECONDS / self._seconds), _MOST_GROWTH * self.cells, _MOST_CELLS))


def carried_out(jobs: Iterator[Job], crew: Crew) -> Iterator[Done]:
    """Yield all jobs done, batch by batch as they come.

    A batch whose worker died is run again while nothing else is, so that it is known whose fault it is if that happens again;
    then its cells are run one by one. A cell that no worker survives is an error.

    Raises:
        StcsimError: when a worker runs another version of stcsim, or a scheduler is gone.
    """
    pace = Pace()
    at_work: dict[Future[Done], Batch] = {}
    while True:
        while len(at_work) < crew.room() and (taken := tuple(islice(jobs, pace.cells))):
            at_work[crew.submit(taken)] = taken
        if not at_work:
            return
        finished, _ = wait(at_work, return_when=FIRST_COMPLETED)
        lost: list[Batch] = []
        while finished:
            future = finished.pop()
            batch = at_work.pop(future)
            done = _result(future, crew)
            if done is None:
                lost.append(batch)
                finished |= at_work.keys()  # where one worker died others may have: all that is at work is waited for
                continue
            pace.learn(len(batch), done.seconds)
            yield done
        if lost:
            crew.mend()
            yield from _alone(lost, crew)


def _alone(lost: Sequence[Batch], crew: Crew) -> Iterator[Done]:
    """Yield, done, the batches over which workers died, one batch at a time."""
    waiting, deaths = deque(lost), Counter[str]()
    while waiting:
        batch = waiting.popleft()
        done = _result(crew.submit(batch), crew)
        if done is not None:
            yield done
            continue
        crew.mend()
        deaths[batch[0].key] += len(batch) == 1
        if len(batch) > 1 or deaths[batch[0].key] < _LIVES:
            waiting.extendleft((job,) for job in reversed(batch))
        else:
            sentence = str(StcsimError("this cell", "a worker that lives to its end (is there memory for it?)", "that each died"))
            yield Done((Answer(batch[0].key, None, sentence),), 0.0)


def _result(future: Future[Done], crew: Crew) -> Done | None:
    """Return what a batch came to, once it has; ``None`` where its worker died."""
    try:
        with crew.staying():
            return future.result()
    except crew.deaths:
        return None
