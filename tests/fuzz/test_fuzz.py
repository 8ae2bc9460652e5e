"""Does any damaged input end in something other than a result that holds, or one clear sentence?

500 inputs of every kind, the same ones each time; ``python -m tests.fuzz --count 100000 --seed 11`` tries others.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from tests.fuzz import kinds
from tests.fuzz.__main__ import shares, tasks_of
from tests.fuzz.case import LONGEST_SENTENCE, Case, Outcome, tried
from tests.fuzz.kinds import KINDS
from tests.fuzz.pool import Task, run_all
from tests.fuzz.tally import Tally
from tests.fuzz.worker import made, prepared

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are bounded by signals that Windows lacks")

EACH = int(os.environ.get("STCSIM_FUZZ_EACH", "500"))
SEED, JOBS = "11", 2


def lacking(kind: str) -> list[str]:
    return [need for need in KINDS[kind].needs if find_spec(need) is None]


@pytest.fixture(scope="module")
def tally() -> Tally:
    """Try all kinds at once, so that no worker waits for another."""
    found = Tally()
    run_all(tasks_of({kind: EACH for kind in KINDS if not lacking(kind)}, SEED), JOBS, found.add)
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_input_of_a_kind_ends_in_a_fault(tally: Tally, kind: str) -> None:
    if missing := lacking(kind):
        pytest.skip(f"needs {', '.join(missing)}")
    own = [line for line in tally.fault_lines(details=True) if f" {kind}: " in line.splitlines()[0]]
    assert not own, "\n".join(own)
    assert tally.total(kind) == EACH
    assert tally.counts[kind][Outcome.OK], "every input was refused, so nothing was run"
    assert tally.counts[kind][Outcome.CLEAN], "no input was refused, so nothing was damaged"


def outcome(folder: Path, call: object, **options: object) -> Outcome:
    return tried(Case("part", "repro", call, **options), folder).outcome  # type: ignore[arg-type]


def refuse(where: str = "x", found: str = "y") -> None:
    raise StcsimError(where, "z", found)


def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    assert outcome(tmp_path, lambda: 1) is Outcome.OK
    assert outcome(tmp_path, lambda: 1, check=lambda result: [f"law | {result}"]) is Outcome.WRONG
    assert outcome(tmp_path, lambda: 1 / 0) is Outcome.FAULT
    assert outcome(tmp_path, refuse) is Outcome.CLEAN


def test_a_sentence_that_is_too_long_or_no_line_is_a_fault(tmp_path: Path) -> None:
    class Noisy(StcsimError):
        def __str__(self) -> str:
            return self.found

    def noisy(text: str) -> Outcome:
        def call() -> None:
            raise Noisy("x", "y", text)

        return outcome(tmp_path, call)

    assert noisy("a" * LONGEST_SENTENCE) is Outcome.CLEAN
    assert noisy("a" * (LONGEST_SENTENCE + 1)) is Outcome.FAULT
    assert noisy("a\nb") is Outcome.FAULT
    assert noisy("\x1b[31m") is Outcome.FAULT


def test_what_an_error_leaves_behind_is_wrong_where_it_must_leave_nothing(tmp_path: Path) -> None:
    def half_written() -> None:
        (tmp_path / "out").write_text("half")
        refuse()

    assert outcome(tmp_path, half_written) is Outcome.CLEAN
    assert outcome(tmp_path, half_written, spotless=True) is Outcome.WRONG
    assert outcome(tmp_path, refuse, files={"out": b""}, spotless=True) is Outcome.CLEAN


@pytest.mark.parametrize("kind", ["traces", "checkpoints", "recipes", "lists"])
def test_a_case_is_a_function_of_kind_seed_and_index(kind: str) -> None:
    kept = prepared(kind)
    first, again, other = (made(kept, kind, seed, 4711) for seed in ("1", "1", "2"))
    assert (first.repro, first.files) == (again.repro, again.files)
    assert (first.repro, first.files) != (other.repro, other.files)


def test_a_worker_that_dies_or_never_ends_costs_one_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text(
        "import os, signal\n"
        "from tests.fuzz.case import Case\n"
        "calls = [lambda: 1, lambda: os.abort(), lambda: 1, lambda: os.kill(os.getpid(), signal.SIGPROF), lambda: 1]\n"
        "setup = lambda: None\n"
        "make = lambda state, rng, index: Case('part', f'case {index}', calls[index])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = Tally()
    run_all([Task("dying", "1", 0, 5)], 1, found.add)
    assert found.counts["dying"] == {Outcome.OK: 3, Outcome.DIED: 1, Outcome.HANG: 1}
    told = "\n".join(found.fault_lines())
    assert f"exit -{signal.SIGABRT.value}" in told and "case 1" in told
    assert f"exit -{signal.SIGPROF.value}" in told and "case 3" in told


def test_shares_are_of_a_whole_and_leave_no_kind_out() -> None:
    shared = shares(1000, list(KINDS))
    assert sum(shared.values()) == 1000
    assert min(shared.values()) >= 1
    tasks = tasks_of({"traces": 600, "lists": 10}, "1", first=100)
    assert sorted((task.kind, task.first, task.count) for task in tasks) == [
        ("lists", 100, 10),
        ("traces", 100, 250),
        ("traces", 350, 250),
        ("traces", 600, 100),
    ]


def test_every_kind_is_a_module_of_its_own() -> None:
    modules = {path.stem for path in Path(kinds.__file__).parent.glob("*.py")}
    assert {row.module for row in KINDS.values()} <= modules
