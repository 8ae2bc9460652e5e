"""What ends a command is one sentence and an exit code: errors of the system, faults of our own, full streams, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.table import Column, Table

import stcsim
from stcsim.cli.net import one_sentence
from stcsim.report.terminal.console import show

ROOT = Path(stcsim.__file__).parents[1]
_SYSTEM = "files and devices that can be read and written"
GEMM = f"{sys.executable} -m stcsim gemm 64 64 64 --arch a100"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell."""
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(5, "Input/output error"), f"run x: expected {_SYSTEM}, found input/output error"),
        (PermissionError(13, "Permission denied", "/etc/x"), f"run x: /etc/x: expected {_SYSTEM}, found permission denied"),
        (MemoryError(), "run x: expected memory for it (a smaller batch, network or table, or another machine), found not"),
        (RecursionError("too deep"), "run x: expected no fault of stcsim, which this is (STCSIM_DEBUG=1 shows where; please"),
        (TypeError("first\nsecond"), "please report it), found TypeError (first)"),
    ],
)
def test_whatever_was_not_foreseen_is_one_sentence(error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, one_sentence(["run", "x"]):
        raise error
    said = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in said and said.count("\n") == 1


def test_the_traceback_is_shown_on_demand(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STCSIM_DEBUG", "1")
    with pytest.raises(SystemExit), one_sentence(["run"]):
        raise TypeError("what happened")
    said = capsys.readouterr().err
    assert said.startswith("Traceback") and "the traceback is above" in said.splitlines()[-1]


def test_words_of_the_command_are_shortened_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_sentence(["run", "\x1b[2J" + "a" * 5000]):
        raise MemoryError
    said = capsys.readouterr().err
    assert "\x1b" not in said and len(said) < 400


def test_signals_are_given_back_after_a_command() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with one_sentence([]):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_ends_a_command_as_an_error_does(tmp_path: Path) -> None:
    code = (
        "import os, signal; from stcsim.cli.net import one_sentence; from stcsim.files import Drafts; from pathlib import Path\n"
        "with one_sentence([]), Drafts() as drafts:\n"
        "    drafts.file(Path('k.json')).write_text('half'); os.kill(os.getpid(), signal.SIGTERM); print('not reached')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "") and os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_output_is_one_sentence() -> None:
    done = shell(f"{GEMM} > /dev/full")
    assert done.returncode == 2 and done.stderr.splitlines()[-1].endswith("found no space left on device")
    assert "Traceback" not in done.stderr


def test_closed_streams_are_no_streams(tmp_path: Path) -> None:
    done = shell(f"{GEMM} --json {tmp_path / 'o.json'} >&- 2>&- <&-")
    assert done.returncode == 0 and (tmp_path / "o.json").read_text().startswith("{")
    assert shell(f"{sys.executable} -m stcsim gemm 0 64 64 --arch a100 >&-").returncode == 2


def test_json_on_dev_stdout_is_json_and_nothing_else() -> None:
    done = shell(f"set -o pipefail; {GEMM} --json /dev/stdout | {sys.executable} -m json.tool | head -1")
    assert done.stdout == "{\n"


def test_a_reader_that_has_seen_enough_ends_a_command_quietly() -> None:
    done = shell(f"{sys.executable} -m stcsim run vit-l-16 --arch a100 --csv /dev/stdout | head -1")
    assert done.stdout.startswith("name,kind,m,n,k") and "Traceback" not in done.stderr and "expected" not in done.stderr


@pytest.mark.parametrize("threads", ["0", "-1", "x"])
def test_a_number_of_threads_that_is_none_is_ignored(threads: str) -> None:
    assert shell(GEMM, NUMBA_NUM_THREADS=threads).returncode == 0


def test_a_setting_that_numba_refuses_is_one_sentence() -> None:
    done = shell(GEMM, NUMBA_CACHE_LOCATOR_CLASSES="x")
    assert done.returncode == 2 and "environment: expected values that numba takes in the variables NUMBA_" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_machine_code_cache_that_is_cut_short_is_written_anew(tmp_path: Path) -> None:
    cold = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = shell(GEMM, **cold)
    kept = [path for path in tmp_path.rglob("*.nb?") if path.is_file()]
    for at, path in enumerate(sorted(kept)):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if at % 2 else b"")
    second = shell(GEMM, **cold)
    assert kept and (second.returncode, second.stdout) == (0, first.stdout)
    assert all(path.stat().st_size > 100 for path in kept if path.suffix == ".nbi")
    third = shell(GEMM, **cold)
    assert third.returncode == 0 and "compiling" not in third.stderr


def test_escapes_in_a_name_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(Table(Column("\x1b[2Jhead"), title="a\x1b]0;title\x07"))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown and "[2Jhead" in shown


def test_escapes_in_the_names_of_tensors_are_escaped_in_the_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    np.savez(tmp_path / "w.npz", **{"a\x1b[2Jb": np.ones((8, 8), np.float32)})
    assert r"a\x1b[2Jb" in refused("inspect", tmp_path / "w.npz")


def test_a_name_of_5000_characters_is_a_short_sentence(refused: Callable[..., str]) -> None:
    for ending in ("", ".csv", ".onnx", ".json"):
        assert len(refused("run", "a" * 5000 + ending, "--arch", "a100")) < 700
