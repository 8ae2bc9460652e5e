"""Long work on several processes, with word of how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Work = TypeVar("Work")
Found = TypeVar("Found")
Notify = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def on_processes(
    work: Callable[[Work], Found],
    todo: Sequence[Work],
    jobs: int | None = None,
    notify: Notify | None = None,
    chunk: int = 1,
) -> Iterator[Found]:
    """Yield what ``work`` returns for each of ``todo``, in their order.

    Args:
        work: a function at the top of a module; processes find it by its name.
        todo: what it is called with, once each.
        jobs: processes, by default one for each core; with 1 the work is done in this process.
        notify: called after each.
        chunk: how many of ``todo`` a process takes at a time.
    """
    jobs = min(jobs or os.cpu_count() or 1, max(len(todo), 1))
    if jobs == 1:
        yield from _noted(map(work, todo), len(todo), notify)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        yield from _noted(pool.map(work, todo, chunksize=chunk), len(todo), notify)
    finally:
        pool.shutdown(cancel_futures=True)


def _noted(results: Iterator[Found], total: int, notify: Notify | None) -> Iterator[Found]:
    for done, found in enumerate(results, 1):
        yield found
        if notify is not None:
            notify(done, total)
