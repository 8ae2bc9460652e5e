"""Who works on a study: this process, processes of its own, or a cluster of Dask. All take batches by one interface."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from stcsim.errors import StcsimError
from stcsim.processes import pool_of
from stcsim.study.sweeps.key import model
from stcsim.study.sweeps.work import Done, Job, work

P = ParamSpec("P")
T = TypeVar("T")

LOCAL = "local"
"""In place of a scheduler's address: a cluster on this machine."""
_AHEAD = 2
"""Batches for each worker: one that it is at, and one that waits, so that it is never idle."""
_MOST_WORKERS = 1024
_LOGGERS = ("distributed", "distributed.client")
_PATIENCE = "20s"
"""How long a scheduler may take to answer."""


@dataclass(slots=True)
class Crew:
    """Workers, as a context: none of their processes outlives it.

    Attributes:
        opened: gives an executor.
        capacity: says how many batches may be with them now.
        deaths: errors by which a batch says that the worker that was at it died.
        losses: errors by which a cluster says that its scheduler is gone.
        replaced: whether another executor is needed then; a cluster starts workers itself.
    """

    opened: Callable[[], AbstractContextManager[Executor]]
    capacity: Callable[[], int]
    deaths: tuple[type[BaseException], ...] = ()
    losses: tuple[type[BaseException], ...] = ()
    replaced: bool = False
    _open: ExitStack = field(default_factory=ExitStack)
    _executor: Executor | None = None

    def __enter__(self) -> Self:
        """Start the workers."""
        self._executor = self._open.enter_context(self.opened())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End them, at once where the block ended by an error."""
        self._open.__exit__(kind, error, trace)

    def room(self) -> int:
        """Return how many batches may be with them now."""
        with self.staying():
            return self.capacity()

    def submit(self, jobs: Sequence[Job]) -> Future[Done]:
        """Hand a batch to whoever is free next."""
        assert self._executor is not None
        try:
            with self.staying():
                return self._executor.submit(work, tuple(jobs), model())
        except BrokenExecutor as error:  # it broke since the last batch
            future: Future[Done] = Future()
            future.set_exception(error)
            return future

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Let a cluster that is gone be a sentence.

        Raises:
            StcsimError: when it is.
        """
        try:
            yield
        except self.losses:
            expected = "a scheduler that stays until all is done (what is done is kept)"
            raise StcsimError("dask", expected, "that it is gone") from None

    def mend(self) -> None:
        """Be whole again after workers died."""
        if self.replaced:
            self._open.close()
            self._executor = self._open.enter_context(self.opened())


def crew_of(workers: int = 1, dask: str | None = None) -> Crew:
    """Return a crew.

    Args:
        workers: processes on this machine; with 1 the work is done in this one. Of a local cluster its workers.
        dask: ``"local"``, or the address of a scheduler such as ``"tcp://10.0.0.1:8786"``, all of whose workers take part.

    Raises:
        StcsimError: when Dask is not installed, or the number of workers is none.
    """
    if not 1 <= workers <= _MOST_WORKERS:
        raise StcsimError("workers", f"a whole number from 1 to {_MOST_WORKERS}", str(workers))
    if dask is not None:
        return _of_dask(workers, dask)
    if workers == 1:
        return Crew(_Here, lambda: 1)
    return Crew(lambda: pool_of(workers, begin), lambda: _AHEAD * workers, (BrokenExecutor,), replaced=True)


def begin() -> None:
    """Begin as a worker: Ctrl-C is for the process that asked, and the engine's code is loaded before the first batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from stcsim.timing.engine import fast

    fast.warm_up()


class _Here(Executor):
    """Works at once, in this process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn``."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _of_dask(workers: int, dask: str) -> Crew:
    if find_spec("distributed") is None:
        raise StcsimError("dask", "Dask (pip install 'stcsim[dask]')", "none")
    from distributed.client import ClosedClientError
    from distributed.scheduler import KilledWorker

    clients: list[Any] = []

    def capacity() -> int:
        return _AHEAD * max(1, len(clients[-1].ncores()))

    losses = (OSError, CancelledError, ClosedClientError)
    return Crew(lambda: _cluster(workers, dask, clients), capacity, (KilledWorker,), losses)


@contextmanager
def _cluster(workers: int, dask: str, clients: list[Any]) -> Iterator[Executor]:
    """Give the executor of a cluster, and add its client to ``clients``."""
    from distributed import Client, LocalCluster

    for logger in map(logging.getLogger, _LOGGERS):  # what ends a study is said in a sentence
        logger.setLevel(logging.CRITICAL)
    with ExitStack() as opened:
        if dask == LOCAL:
            quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
            with _deaf_to_interrupts():
                cluster = opened.enter_context(LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **quiet))
            dask = cluster.scheduler_address
        try:
            client = opened.enter_context(Client(dask, timeout=_PATIENCE))
        except (OSError, ValueError) as error:
            expected = f"{LOCAL}, or the address of a scheduler that answers, e.g. tcp://10.0.0.1:8786"
            raise StcsimError("dask", expected, f"'{dask}' ({str(error).strip() or type(error).__name__})") from None
        clients.append(client)
        yield client.get_executor(pure=False)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that start in the block never hear of Ctrl-C, which is for the process that asked."""
    before = None
    with suppress(ValueError):  # signals belong to the main thread
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
