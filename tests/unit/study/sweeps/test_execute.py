"""The loop that hands batches out: their size, workers that die, cells that kill, and what each crew makes of a study."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from stcsim.errors import StcsimError
from stcsim.study.sweeps import work as working
from stcsim.study.sweeps.crews import Crew, crew_of
from stcsim.study.sweeps.execute import Pace, carried_out
from stcsim.study.sweeps.key import model
from stcsim.study.sweeps.run import Outcome, State, run_study, state_of
from stcsim.study.sweeps.store import Store, WritableStore
from stcsim.study.sweeps.work import Answer, Done, Job, job_of
from tests.unit.study.sweeps.studies import TWELVE, grid_in, lines_of

DIES = (
    "this cell: expected a worker that lives to its end (is there memory for it?), found that each died",
    "this cell: expected no fault of stcsim, which this is (please report it), found ZeroDivisionError (why not)",
)


def job(key: str) -> Job:
    return Job(key, None, (), (1, 1, 1), {})  # type: ignore[arg-type]  # nobody looks at its GPU


class Mortal:
    """A crew that answers at once; batches for which ``dies`` is true come back as broken."""

    deaths = (BrokenExecutor,)
    staying = nullcontext

    def __init__(self, dies: Callable[[Sequence[str], int], bool], room: int = 3, seconds: float = 1.0) -> None:
        self._dies, self._room, self._seconds = dies, room, seconds
        self.handed: list[list[str]] = []
        self.mended = 0

    def room(self) -> int:
        return self._room

    def submit(self, jobs: Sequence[Job]) -> Future[Done]:
        keys = [each.key for each in jobs]
        self.handed.append(keys)
        future: Future[Done] = Future()
        if self._dies(keys, len(self.handed)):
            future.set_exception(BrokenExecutor())
        else:
            future.set_result(Done(tuple(Answer(key, None, "done") for key in keys), self._seconds))
        return future

    def mend(self) -> None:
        self.mended += 1


def answers(crew: Any, keys: str) -> dict[str, str | None]:
    found = [answer for batch in carried_out(iter(map(job, keys)), crew) for answer in batch.answers]
    assert len({each.key for each in found}) == len(found)
    return {each.key: each.error for each in found}


def test_batches_grow_to_a_second_and_shrink_again() -> None:
    pace, sizes = Pace(), []
    for seconds_each in (0.01, 0.01, 0.01, 0.01, 4.0, 4.0):
        sizes.append(pace.cells)
        pace.learn(pace.cells, seconds_each * pace.cells)
    assert sizes == [1, 4, 16, 64, 100, 1]  # four times as many at most, then 1 s / 10 ms; of 2.005 s each not even one


def test_a_batch_whose_worker_died_is_run_again() -> None:
    crew = Mortal(lambda keys, nth: nth == 2)
    assert answers(crew, "abcdef") == dict.fromkeys("abcdef", "done") and crew.mended == 1
    assert crew.handed[:4] == [["a"], ["b"], ["c"], ["b"]]


def test_a_cell_that_kills_is_an_error_and_the_others_are_not() -> None:
    crew = Mortal(lambda keys, nth: "d" in keys, seconds=0.01)
    found = answers(crew, "abcdefgh")
    assert found.pop("d") == DIES[0] and found == dict.fromkeys("abcefgh", "done")
    assert crew.handed.count(["d"]) == 2 and crew.mended == 4  # in its batch, that batch alone, then twice itself


def test_an_error_in_a_cell_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("why not")

    monkeypatch.setattr(working, "_run", fails)
    assert working.answer(job("a"), {}) == Answer("a", None, DIES[1])

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(working, "_run", exhausted)
    assert working.answer(job("a"), {}).error == "this cell: expected memory for it, found not enough"


def test_a_worker_of_another_version_is_refused() -> None:
    with pytest.raises(StcsimError, match="workers: expected the same stcsim as here .0.0.0 other., found"):
        working.work((), "0.0.0 other")
    assert working.work((), model()).answers == ()


@pytest.mark.parametrize("workers", [0, 1025])
def test_a_number_of_workers_that_is_none_is_refused(workers: int) -> None:
    with pytest.raises(StcsimError, match="workers: expected a whole number from 1 to 1024"):
        crew_of(workers)


def run(folder: Path, name: str, crew: Crew, text: str = TWELVE, retry: bool = False) -> Outcome:
    with WritableStore(folder / name) as store, crew:
        return run_study(grid_in(folder, text), store, crew, retry)


def test_a_study_is_run_once(tmp_path: Path) -> None:
    grid, seen = grid_in(tmp_path), []
    with WritableStore(tmp_path / "a") as store, crew_of() as crew:
        assert state_of(grid, store) == State(0, 0, 12, {}, 12)
        outcome = run_study(grid, store, crew, progress=lambda done, total: seen.append((done, total)))
        assert (outcome.runs, outcome.errors) == (12, 0) and seen[0] == (1, 12) and seen[-1] == (12, 12)
        assert state_of(grid, store) == State(0, 12, 0, {}, 0)
        assert run_study(grid, store, crew).runs == 0


def test_a_changed_axis_runs_what_it_touches_alone(tmp_path: Path) -> None:
    run(tmp_path, "a", crew_of())
    assert run(tmp_path, "a", crew_of(), TWELVE.replace("[x1, x1.5]", "[x1, x1.5, x2]")).runs == 6
    assert run(tmp_path, "a", crew_of(), TWELVE.replace("[a100, h100]", "h100")).runs == 0


def test_cells_with_the_same_answer_are_run_once(tmp_path: Path) -> None:
    outcome = run(tmp_path, "a", crew_of(), TWELVE + "fusion: [epilogue, none]\n")
    assert outcome.runs == 12 and len(lines_of(grid_in(tmp_path, TWELVE + "fusion: [epilogue, none]\n"), tmp_path / "a")) == 24


def test_errors_are_kept_and_run_again_when_asked(tmp_path: Path) -> None:
    text = TWELVE + "dtype: [fp16, fp8]\n"
    first = run(tmp_path, "a", crew_of(), text)
    assert (first.runs, first.errors) == (24, 6) and run(tmp_path, "a", crew_of(), text).runs == 0
    with Store(tmp_path / "a") as store:
        (sentence,) = state_of(grid_in(tmp_path, text), store).errors
        assert sentence.startswith("a100: expected a type of its tensor cores") and sentence.endswith("found 'fp8'")
    again = run(tmp_path, "a", crew_of(), text, retry=True)
    assert (again.runs, again.errors) == (6, 6)


def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    run(tmp_path, "one", crew_of())
    run(tmp_path, "two", crew_of(2))
    grid = grid_in(tmp_path)
    assert lines_of(grid, tmp_path / "one") == lines_of(grid, tmp_path / "two")


def killed_once(jobs: Sequence[Job], wanted_model: str) -> Done:
    """Work, but die over the first batch that anybody takes."""
    flag = Path(os.environ["KILLED_ONCE"])
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return working.work(jobs, wanted_model)


def test_a_worker_that_is_killed_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "killed"))
    monkeypatch.setattr("stcsim.study.sweeps.crews.work", killed_once)
    outcome = run(tmp_path, "killed.sqlite", crew_of(2))
    assert (tmp_path / "killed").exists() and (outcome.runs, outcome.errors) == (12, 0)


def test_jobs_carry_all_that_they_take(tmp_path: Path) -> None:
    cell = next(iter(grid_in(tmp_path)))
    assert job_of(cell) == Job(cell.key, cell.hardware.base, (), (64, 64, 256), cell.options)
