"""Files are written whole or not at all, pipes are written to, and what a killed process left is cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stcsim import files
from stcsim.errors import StcsimError
from stcsim.files import Drafts, draft_of, is_stdout, write_whole

DEAD = 2**22 + 1
"""The number of no process: systems count to 2^22."""


def python(code: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, with the package of these tests."""
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, **more)  # type: ignore[call-overload,no-any-return]


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    write_whole(pipe, "µ")
    reader.join(10)
    assert read == ["µ"] and os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_under_any_name_is_written_to_in_order(name: str, tmp_path: Path) -> None:
    code = f"from stcsim.files import write_whole; print('first'); write_whole({name!r}, 'second\\n'); print('third')"
    assert is_stdout(Path(name)) and not is_stdout(Path("stdout"))
    assert python(code, tmp_path).stdout == "first\nsecond\nthird\n"
    with (tmp_path / "out.txt").open("w") as out:  # a file that a shell has opened is not replaced
        subprocess.run([sys.executable, "-c", code], cwd=Path(files.__file__).parents[1], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "first\nsecond\nthird\n"


def test_a_full_device_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(StcsimError, match="/dev/full: expected a file that can be written, found No space left on device"):
        write_whole(full, "x")


@pytest.mark.parametrize("content", ["text", b"bytes"])
def test_a_full_disk_leaves_what_was_there(content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "k.json"
    target.write_text("before")

    def full(path: Path, octets: bytes) -> int:
        with path.open("wb") as file:
            file.write(octets[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StcsimError, match="No space left"):
        write_whole(target, content)
    assert target.read_text() == "before" and os.listdir(tmp_path) == ["k.json"]


def test_a_figure_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    from stcsim.report.figures.figure_file import write_drawing

    def full(path: Path, octets: bytes) -> int:
        with path.open("wb") as file:
            file.write(octets[:8])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StcsimError, match="--figure .*out.png: expected a file that can be written, found No space left"):
        write_drawing(Figure, tmp_path / "out.png", "--figure")
    assert os.listdir(tmp_path) == []


def test_drafts_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    target = tmp_path / "k.json"
    mine = draft_of(target)
    dead, folder = (Path(str(mine).replace(str(os.getpid()), str(each))) for each in (DEAD, DEAD + 1))
    other = Path(str(draft_of(tmp_path / "other.json")).replace(str(os.getpid()), str(DEAD)))
    for each in (mine, dead, other):
        each.write_text("half")
    folder.mkdir()
    (folder / "part").write_text("half")
    draft_of(target)
    assert set(tmp_path.iterdir()) == {mine, other}


def test_a_process_that_is_killed_leaves_a_draft_that_the_next_one_removes(tmp_path: Path) -> None:
    code = "from stcsim.files import draft_of; import os, pathlib; draft_of(pathlib.Path('k.json')).write_text('x')"
    python(f"{code}; os.kill(os.getpid(), 9)", tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    write_whole(tmp_path / "k.json", "whole")
    assert os.listdir(tmp_path) == ["k.json"]


def test_drafts_of_several_files_share_the_rule(tmp_path: Path) -> None:
    dead = Path(str(draft_of(tmp_path / "w.npz")).replace(str(os.getpid()), str(DEAD)))
    dead.write_text("half")
    with Drafts() as drafts:
        drafts.file(tmp_path / "w.npz").write_text("whole")
    assert os.listdir(tmp_path) == ["w.npz"]


LOOP = """
import sys, time
from stcsim.processes import on_processes
if __name__ == '__main__':
    print('go', flush=True)
    for found in on_processes(time.sleep, [60, 60, 60], jobs=2): pass
"""


def children_of(process: int) -> list[int]:
    """Living processes whose parent, or whose parent's parent, is ``process``."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout.split("\n")
    rows = [line.split() for line in found if line and "Z" not in line.split()[2]]
    return [int(pid) for pid, parent, *_ in rows if int(parent) == process]


@pytest.mark.parametrize("number", ["TERM", "KILL"])
def test_no_process_of_a_pool_outlives_its_parent(number: str, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    command = [sys.executable, "loop.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        began = time.monotonic()
        while len(workers := children_of(parent.pid)) < 3 and time.monotonic() - began < 60:  # two and a tracker of resources
            time.sleep(0.1)
        time.sleep(1)
        parent.send_signal(getattr(signal, f"SIG{number}"))
        parent.wait(30)
    began = time.monotonic()
    while (left := [each for each in workers if Path(f"/proc/{each}").exists()]) and time.monotonic() - began < 10:
        time.sleep(0.1)
    assert len(workers) >= 3 and left == []
