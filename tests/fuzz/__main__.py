"""``python -m tests.fuzz``: many inputs of every kind, or one again, with its traceback and its files."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.case import GOOD
from tests.fuzz.kinds import KINDS
from tests.fuzz.pool import Task, Tried, run_all
from tests.fuzz.tally import Tally

_IN_ONE_TASK = 250
_EVERY_S = 10.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=None, help="inputs in all, shared out by the cost of kinds; one by default")
    parser.add_argument("--each", type=int, default=None, help="inputs of every kind, in the place of --count")
    parser.add_argument("--seed", default="11")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="this kind alone; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="the first index")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--details", action="store_true", help="show tracebacks in the list of faults")
    return parser.parse_args()


def tasks_of(counts: dict[str, int], seed: str, first: int = 0) -> list[Task]:
    """Return tasks of a size that workers can share, kinds in turn."""
    tasks = [
        Task(kind, seed, at, min(_IN_ONE_TASK, first + count - at))
        for kind, count in counts.items()
        for at in range(first, first + count, _IN_ONE_TASK)
    ]
    return sorted(tasks, key=lambda task: (task.first - first) / counts[task.kind])


def shares(count: int, kinds: list[str]) -> dict[str, int]:
    """Return how many of ``count`` inputs each kind has: as many as its share says, and none fewer than one."""
    whole = sum(KINDS[kind].share for kind in kinds)
    found = {kind: max(1, count * KINDS[kind].share // whole) for kind in kinds}
    found[kinds[0]] += max(0, count - sum(found.values()))
    return found


class _Progress:
    """A line on stderr now and then: how many are done, and how long the rest will take."""

    def __init__(self, count: int, tally: Tally) -> None:
        self.count, self.tally, self.done = count, tally, 0
        self.began = self.said = time.monotonic()

    def add(self, tried: Tried) -> None:
        self.tally.add(tried)
        self.done += 1
        now = time.monotonic()
        if now - self.said > _EVERY_S or self.done == self.count:
            left_s = (now - self.began) / self.done * (self.count - self.done)
            faults = len(self.tally.faults)
            print(f"{self.done:,} of {self.count:,}, {left_s / 60:.1f} min left, {faults} distinct faults", file=sys.stderr)
            self.said = now


def _again(kind: str, seed: str, index: int) -> int:
    """Run one case in this process, and show everything."""
    from tests.fuzz.worker import limit, made, prepared, run_case

    case = made(prepared(kind), kind, seed, index)
    folder = Path(tempfile.mkdtemp(prefix=f"stcsim-fuzz-{kind}-{index}-"))
    print(f"{kind} {index} of seed {seed}, {case.part}, in {folder}\n{case.repro}", flush=True)
    limit()
    verdict, took = run_case(case, folder)
    print(f"{verdict.outcome} after {took:.2f} s of CPU: {verdict.fault}\n{verdict.detail}")
    return int(verdict.outcome not in GOOD)


def main() -> int:
    """Run what the command line asks for; exit 1 where there is a fault."""
    given = _arguments()
    kinds = given.kind or list(KINDS)
    if given.count is None and given.each is None:
        return _again(kinds[0], given.seed, given.first)
    counts = dict.fromkeys(kinds, given.each) if given.each is not None else shares(given.count, kinds)
    tally = Tally()
    progress = _Progress(sum(counts.values()), tally)
    try:
        run_all(tasks_of(counts, given.seed, given.first), given.jobs, progress.add)
    except KeyboardInterrupt:
        print("stopped; what was tried until then:", file=sys.stderr)
    print(tally.table())
    print("\n".join(tally.fault_lines(given.details)))
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
