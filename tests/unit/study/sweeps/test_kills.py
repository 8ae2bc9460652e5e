"""A study that is killed at random times and resumed, and one that is interrupted; ``kills.py`` does that by the dozen."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.study.sweeps import kills

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The export of a study that nobody killed."""
    return kills.whole(tmp_path_factory.mktemp("whole") / "study")


@pytest.mark.parametrize("words", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_study_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, expected: bytes, words: tuple[str, ...]) -> None:
    folder, dice = kills.fresh(tmp_path / "killed"), random.Random(len(words))
    for _ in range(2):
        kills.run_killed(folder, dice.uniform(0.8, 2.5), *words)
    assert kills.run_killed(folder, 600, *words)
    assert kills.exported(folder) == expected and expected.count(b"\n") == 129


@pytest.mark.parametrize("words", [("--workers", "2"), ("--workers", "2", "--dask", "local")], ids=["processes", "dask"])
def test_ctrl_c_keeps_what_is_done_and_leaves_nobody_behind(tmp_path: Path, words: tuple[str, ...]) -> None:
    if "--dask" in words:
        pytest.importorskip("distributed", reason="needs Dask (pip install 'stcsim[dask]')")
    folder = kills.fresh(tmp_path / "stopped")
    long = kills.STUDY.replace("[x1, x1.5]", str([f"x{1 + at / 10}" for at in range(20)]))
    (folder / "s.yaml").write_text(long, encoding="utf-8")
    running = subprocess.Popen(
        [*kills.WORDS, "run", "s.yaml", *words], cwd=folder, env=kills.environment(), stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: done(folder) > 0)
    os.killpg(running.pid, signal.SIGINT)
    printed, said = running.communicate(timeout=60)
    assert running.returncode == 130 and printed == b"" and said.count(b"\n") <= 1
    wait_until(lambda: not in_group(running.pid))
    assert 0 < done(folder) < 1280


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def done(folder: Path) -> int:
    """Return how many cells are done; also before there is a store."""
    words = [*kills.WORDS, "status", "s.yaml", "--format", "json"]
    printed = subprocess.run(words, cwd=folder, env=kills.environment(), capture_output=True).stdout
    return sum(row["cells"] for row in json.loads(printed)["rows"] if row["state"] == "done")


def in_group(group: int) -> bool:
    """Say whether any process of a group is at work."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
