"""Workers that share tasks out among them; one that dies is replaced, and the case at which it died is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.fuzz.case import Outcome

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Task:
    """Cases of one kind that follow each other."""

    kind: str
    seed: str
    first: int
    count: int


@dataclass(frozen=True)
class Tried:
    """One case that was tried."""

    kind: str
    seed: str
    index: int
    part: str
    repro: str
    outcome: Outcome
    fault: str
    detail: str
    seconds: float


Told = Callable[[Tried], None]


class _Worker:
    """A child process."""

    def __init__(self) -> None:
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )  # fmt: skip

    def run(self, task: Task, told: Told) -> Task | None:
        """Try the cases of a task; return what is left of it where the process died."""
        assert self.process.stdin and self.process.stdout
        at = None
        try:
            self.process.stdin.write(json.dumps(vars(task)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.process.stdout:
            said = json.loads(line)
            if said.get("end"):
                return None
            if "at" in said:
                at = said
                continue
            assert at
            told(Tried(task.kind, task.seed, at["at"], at["part"], at["repro"], Outcome(said.pop("outcome")), **said))
            at = None
        code = self.process.wait()
        if at is None:
            raise RuntimeError(f"a worker ended between cases of {task.kind} (exit {code}): {self._last_words()}")
        outcome = Outcome.HANG if code == -signal.SIGPROF else Outcome.DIED
        words = self._last_words()
        fault = f"exit {code}: {' '.join(words.split())[:200]}"
        told(Tried(task.kind, task.seed, at["at"], at["part"], at["repro"], outcome, fault, words[-3000:], 0.0))
        after = at["at"] + 1
        return replace(task, first=after, count=task.first + task.count - after)

    def _last_words(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-6000:]

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin and self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def run_all(tasks: Sequence[Task], jobs: int, told: Told) -> None:
    """Try the cases of all tasks in ``jobs`` processes; ``told`` is called with each, by one thread at a time.

    Raises:
        RuntimeError: when a worker fails outside of a case.
    """
    waiting: SimpleQueue[Task] = SimpleQueue()
    for task in tasks:
        waiting.put(task)
    lock, failed = threading.Lock(), []

    def tell(tried: Tried) -> None:
        with lock:
            told(tried)

    def work() -> None:
        worker = _Worker()
        try:
            while not failed:
                left: Task | None = waiting.get_nowait()
                while left is not None and left.count > 0 and not failed:
                    left = worker.run(left, tell)
                    if left is not None:
                        worker.end()
                        worker = _Worker()
        except Empty:
            pass
        except Exception as error:
            failed.append(error)
        finally:
            worker.end()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
