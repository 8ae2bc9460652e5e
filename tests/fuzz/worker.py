"""The process that tries cases: it may die or be stopped, and its parent knows at which case.

It reads a task a line from its input (kind, seed, first, count), and writes a line before and after each case.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tests.fuzz.case import LIMIT_S, Case, Outcome, Verdict, tried
from tests.fuzz.kinds import Kind, kind_called

_STOP_CPU_S, _STOP_WALL_S = 3 * LIMIT_S, 30 * LIMIT_S
"""When a case is stopped from outside Python: after so much CPU, and after so long where it only waits."""
_MEMORY_BYTES = 10 * 2**30


@dataclass
class _Kept:
    """A kind and what it has set up."""

    kind: Kind
    state: Any


def rng_of(kind: str, seed: str, index: int) -> random.Random:
    """Return the source of everything that is random in a case."""
    return random.Random(f"{kind}:{seed}:{index}")


def made(kept: _Kept, name: str, seed: str, index: int) -> Case:
    """Return a case."""
    return kept.kind.make(kept.state, rng_of(name, seed, index), index)


def prepared(name: str) -> _Kept:
    """Set a kind up."""
    kind = kind_called(name)
    return _Kept(kind, kind.setup())


def run_case(case: Case, folder: Path) -> tuple[Verdict, float]:
    """Try a case in an empty ``folder``, and return its verdict and seconds of CPU."""
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    for name, content in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.chdir(folder)
    began = time.process_time()
    verdict = tried(case, folder)
    took = time.process_time() - began
    if took > LIMIT_S:
        verdict = Verdict(Outcome.HANG, f"over {LIMIT_S} s of CPU ({case.part}, {verdict.outcome})", f"{took:.0f} s")
    return verdict, took


def limit() -> None:
    """Bound what a case may take: memory, CPU, and time."""
    soft = min([_MEMORY_BYTES, *(each for each in resource.getrlimit(resource.RLIMIT_AS) if each >= 0)])
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # writes where it was, and then the signal ends the process
    warnings.simplefilter("ignore")


def _serve(tasks: TextIO, answers: TextIO, folder: Path) -> None:
    kept: dict[str, _Kept] = {}
    for line in tasks:
        task = json.loads(line)
        name = task["kind"]
        if name not in kept:
            kept[name] = prepared(name)
        for index in range(task["first"], task["first"] + task["count"]):
            case = made(kept[name], name, task["seed"], index)
            _say(answers, {"at": index, "part": case.part, "repro": case.repro[:2000]})
            signal.setitimer(signal.ITIMER_PROF, _STOP_CPU_S)
            faulthandler.dump_traceback_later(_STOP_WALL_S, exit=True)
            verdict, took = run_case(case, folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
            detail = "" if verdict.outcome in (Outcome.OK, Outcome.CLEAN) else verdict.detail
            _say(answers, {"outcome": verdict.outcome, "fault": verdict.fault[:300], "detail": detail, "seconds": took})
        _say(answers, {"end": True})


def _say(answers: TextIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def main() -> None:
    """Serve until the input ends; what libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    limit()
    with tempfile.TemporaryDirectory(prefix="stcsim-fuzz-") as folder:
        _serve(sys.stdin, answers, Path(folder))


if __name__ == "__main__":
    main()
