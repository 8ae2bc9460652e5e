"""Long work on several processes, with word of how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
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
    with pool_of(jobs) as pool:
        yield from _noted(pool.map(work, todo, chunksize=chunk), len(todo), notify)


@contextmanager
def pool_of(jobs: int, begin: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of processes none of which outlives this one, however it ends.

    Args:
        jobs: how many.
        begin: a function at the top of a module that each calls first.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(begin,))
    try:
        yield pool
    except BaseException:  # what they are at is of no use any more
        for child in set(active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(begin: Callable[[], None] | None) -> None:
    """Begin as a process of a pool: end with the parent, even where that was killed and could not say so."""
    Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _noted(results: Iterator[Found], total: int, notify: Notify | None) -> Iterator[Found]:
    for done, found in enumerate(results, 1):
        yield found
        if notify is not None:
            notify(done, total)
