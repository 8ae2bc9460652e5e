"""Long work on several processes, with its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Work = TypeVar("Work")
Found = TypeVar("Found")


def on_processes(work: Callable[[Work], Found], todo: Sequence[Work], jobs: int, every: int = 10) -> Iterator[Found]:
    """Yield ``work`` of each of ``todo``, in order; after so many say on stderr how far it is."""
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done, found in enumerate(pool.map(work, todo, chunksize=4), 1):
            yield found
            if done % every == 0:
                print(f"{done} of {len(todo)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
