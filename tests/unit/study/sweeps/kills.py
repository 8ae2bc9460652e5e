"""``python -m tests.unit.study.sweeps.kills 50``: studies killed (-9) at random times and resumed until done, so many kills.

Each time the export is held, byte for byte, against that of a study which nobody killed. Half of them run with two workers. With
``--dask`` as the last word all of them run on a local cluster of Dask.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[4]
STUDY = """
arch: [a100, h100]
gemm: {m: 256..2048, n: 64..512, k: [512, 1024]}
axes: {l2.bandwidth_bytes_per_clk: [x1, x1.5]}
"""
"""128 cells, a few seconds."""
WORDS = [sys.executable, "-m", "stcsim", "study"]


def exported(folder: Path) -> bytes:
    """Return the rows of the study in a folder."""
    return subprocess.run([*WORDS, "export", "s.yaml"], cwd=folder, env=environment(), check=True, capture_output=True).stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def fresh(folder: Path) -> Path:
    """Return a new folder with the study."""
    folder.mkdir()
    (folder / "s.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def run_killed(folder: Path, seconds: float, *words: str) -> bool:
    """Run the study and kill it after so many seconds; say whether it was done before."""
    running = subprocess.Popen(
        [*WORDS, "run", "s.yaml", *words], cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
    _, said = running.communicate()
    assert running.returncode in (0, -signal.SIGKILL), said.decode()
    return running.returncode == 0


def whole(folder: Path) -> bytes:
    """Return the rows of a study that nobody killed."""
    assert run_killed(fresh(folder), 600)
    return exported(folder)


def killed_until_done(folder: Path, dice: random.Random, *words: str) -> int:
    """Kill and resume a study until it is done; return how often it was killed."""
    kills = 0
    while not run_killed(folder, dice.uniform(0.5, 6.0), *words):
        kills += 1
        time.sleep(0.05)
    return kills


def main(wanted: int, *words: str) -> None:
    """Kill so often, and say how it went."""
    dice, kills, studies = random.Random(1), 0, 0
    with tempfile.TemporaryDirectory() as name:
        expected = whole(Path(name) / "whole")
        while kills < wanted:
            folder, studies = fresh(Path(name) / str(studies)), studies + 1
            kills += killed_until_done(folder, dice, *(words or (["--workers", "2"] if studies % 2 else [])))
            assert exported(folder) == expected, f"study {studies} differs"
            print(f"{kills} kills, {studies} studies, every export equal", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *(["--dask", "local", "--workers", "2"] if sys.argv[-1] == "--dask" else []))
