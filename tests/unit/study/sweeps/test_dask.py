"""Studies on clusters of Dask: a local one, and a scheduler with workers of its own, of which one is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs Dask (pip install 'stcsim[dask]')")

from stcsim.errors import StcsimError
from stcsim.study.sweeps.crews import Crew, crew_of
from stcsim.study.sweeps.run import run_study, state_of
from stcsim.study.sweeps.store import WritableStore
from tests.unit.study.sweeps.studies import TWELVE, grid_in, lines_of

ROOT = Path(__file__).parents[4]
LONGER = TWELVE.replace("[64, 128, 256]", "[256, 512, 1024, 2048, 4096]").replace("n: 64", "n: [256, 512, 1024]")
quiet = pytest.mark.filterwarnings("ignore")  # those of another library, about itself


def found(folder: Path, name: str, crew: Crew, text: str = TWELVE) -> list[str]:
    """Run a study and return its rows."""
    grid = grid_in(folder, text)
    with WritableStore(folder / name) as store, crew:
        run_study(grid, store, crew)
    return lines_of(grid, folder / name)


@quiet
def test_a_local_cluster_finds_what_this_process_finds(tmp_path: Path) -> None:
    assert found(tmp_path, "cluster", crew_of(2, "local")) == found(tmp_path, "here", crew_of())


@quiet
def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.study.sweeps.crews._PATIENCE", "1s")
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        with pytest.raises(StcsimError, match=f"dask: expected local, or the address of a scheduler .*, found '{address}'"):
            with crew_of(1, address):
                pass


def test_without_dask_a_cluster_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.study.sweeps.crews.find_spec", lambda name: None)
    with pytest.raises(StcsimError, match=r"dask: expected Dask .pip install 'stcsim\[dask\]'., found none"):
        crew_of(1, "local")


@contextmanager
def process(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of Dask while the block runs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", *words, "--no-dashboard"]
    running = subprocess.Popen(command, cwd=folder, env=environment, **nowhere)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Give the address of a scheduler with two workers, and the processes of the scheduler and the first worker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as running:
        words = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
        scheduler = running.enter_context(process(folder, *words))
        worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny")
        first, _ = (running.enter_context(process(folder, *worker)) for _ in range(2))
        yield address, scheduler, first


@quiet
def test_a_worker_of_a_cluster_is_killed_midway_and_nothing_is_lost(tmp_path: Path) -> None:
    grid, done_when_killed = grid_in(tmp_path, LONGER), []
    with cluster(tmp_path) as (address, _, first):

        def progress(done: int, total: int) -> None:
            if not done_when_killed:
                first.kill()
                done_when_killed.append(done)

        with WritableStore(tmp_path / "cluster") as store, crew_of(1, address) as crew:
            both_are_there(crew)
            outcome = run_study(grid, store, crew, progress=progress)
    assert done_when_killed[0] < outcome.runs == len(grid) and outcome.errors == 0
    assert lines_of(grid, tmp_path / "cluster") == found(tmp_path, "here", crew_of(), LONGER)


@quiet
def test_a_scheduler_that_goes_is_one_sentence_and_what_was_done_stays(tmp_path: Path) -> None:
    grid = grid_in(tmp_path, LONGER)
    with cluster(tmp_path) as (address, scheduler, _), WritableStore(tmp_path / "cluster") as store:
        with pytest.raises(
            StcsimError, match="dask: expected a scheduler that stays until all is done .*, found that it is gone"
        ):
            with crew_of(1, address) as crew:
                both_are_there(crew)
                run_study(grid, store, crew, progress=lambda done, total: scheduler.kill())
        assert 0 < state_of(grid, store).done < len(grid)


def both_are_there(crew: Crew) -> None:
    """Wait until two workers have room for two batches each."""
    until = time.monotonic() + 60
    while crew.room() < 4:
        assert time.monotonic() < until, "workers did not come"
        time.sleep(0.1)
