"""The command line around public tables: what is said before anything is fetched, and who reads the cache."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.study.public.sources import Source
from tests.unit.study.public import VENOM, VIDUR, VIDUR_FILE, mirrored, source_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git fetches public tables")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Vidur and VENOM, the only sources known here, in a folder of bare repositories; the cache is ``tmp_path / "data"``."""
    folder = tmp_path / "mirror"
    venom = dict.fromkeys(source_of("venom").paths, VENOM)
    sources: tuple[Source, ...] = (mirrored(folder, "vidur", {VIDUR_FILE: VIDUR}), mirrored(folder, "venom", venom))
    monkeypatch.setattr("stcsim.study.public.sources.SOURCES", sources)
    monkeypatch.setenv("STCSIM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("COLUMNS", "160")
    return folder


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts a terminal there on which somebody types."""

    def types(text: str) -> None:
        keyboard = io.StringIO(text)
        for stream in (keyboard, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", keyboard)

    return types


def call(*arguments: object) -> None:
    cli.main([str(argument) for argument in arguments])


def run(*arguments: object) -> None:
    """Run a command that must succeed."""
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == 0


def test_size_and_licence_are_said_before_anybody_is_asked(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        call("data", "pull", "--mirror", mirror)
    printed = capsys.readouterr()
    assert stop.value.code == 2 and not (mirror.parent / "data").exists()
    assert printed.err == "stcsim: command line: expected --yes where nobody can be asked (no terminal), found none\n"
    lines = [line.split("  ") for line in printed.out.splitlines()]
    said = {words[0]: [word.strip() for word in words if word.strip()] for words in lines}
    assert said["vidur"][1:3] == ["MIT", "a few MB"] and said["venom"][1:3] == ["Apache-2.0", "5 small files"]


@pytest.mark.parametrize(("answer", "there"), [("n\n", False), ("y\n", True), ("\n", True)])
def test_on_a_terminal_the_answer_counts(
    answer: str, there: bool, mirror: Path, answered: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    answered(answer)
    run("data", "pull", "vidur", "--mirror", mirror)
    assert (mirror.parent / "data" / "vidur" / "vidur-a40.csv").exists() == there
    printed = capsys.readouterr()
    assert "Fetch it? [Y/n]" in printed.err and ("stcsim: nothing was fetched" in printed.err) != there


def test_a_pull_says_what_it_brought_and_what_it_left(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("data", "pull", "vidur", "--mirror", mirror, "--yes")
    folder = mirror.parent / "data"
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"vidur: 6 rows of 1 file in {folder / 'vidur'}" in " ".join(said.split())
    for words in ("vidur-a40.csv: 6 rows", "left out: 1 row without a time (not run)", "left out: 1 row faster than 1.15 dense"):
        assert words in said
    run("data", "pull", "--mirror", mirror, "--yes")
    printed = capsys.readouterr()
    assert printed.err == f"stcsim: vidur is in {folder} already\n" and "venom: 10 rows of 5 files" in printed.out
    run("data", "pull", "vidur", "--mirror", mirror, "--yes", "--again")
    assert "vidur: 6 rows" in capsys.readouterr().out
    run("data", "list")
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert " 6 rows, 20" in lines["vidur"] and " 10 rows, 20" in lines["venom"]


def test_another_folder_is_used_where_asked_for(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = mirror.parent / "elsewhere"
    run("data", "pull", "venom", "--mirror", mirror, "--yes", "--to", elsewhere)
    assert (elsewhere / "venom" / "venom-rtx3090.csv").exists() and not (mirror.parent / "data").exists()
    capsys.readouterr()
    run("data", "list", "--to", elsewhere)
    assert " 10 rows" in capsys.readouterr().out


def test_what_cannot_be_pulled_is_said(mirror: Path, refused: Callable[..., str]) -> None:
    assert refused("data", "pull", "vidor").startswith("SOURCE: expected one of vidur, venom, found 'vidor'")
    none = mirror / "none"
    assert refused("data", "pull", "--mirror", none) == (
        f"--mirror {none}: expected a folder of bare repositories OWNER+NAME/repo, found no such folder"
    )


READERS = (
    ("validate",),
    ("accuracy", "build", "-o", "model.json"),
    ("accuracy", "check"),
    ("calibrate", "a40", "-o", "new.yaml"),
)


@pytest.mark.parametrize("reader", READERS, ids=lambda words: " ".join(words[:2]))
def test_without_a_path_the_cache_is_read(
    reader: tuple[str, ...], mirror: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(*reader) == (
        "command line: expected the PATH of measured tables, or public ones in the cache (`stcsim data pull` fetches them), "
        f"found neither (nothing in {tmp_path / 'data'})"
    )
    seen: list[list[Path]] = []

    def read(*arguments: object, **_: object) -> None:
        seen.append(next(each for each in arguments if isinstance(each, list)))
        raise KeyboardInterrupt

    run("data", "pull", "--mirror", mirror, "--yes")
    for name in ("stcsim.study.validate.validate", "stcsim.study.calibration.calibrate.calibrate"):
        monkeypatch.setattr(name, read)
    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: True)
    for arguments in (reader, (*reader, "--data", "mine.csv") if reader[0] == "calibrate" else (*reader, "mine.csv")):
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            call(*arguments)
    folder = tmp_path / "data"
    assert seen == [[folder / "venom" / "venom-rtx3090.csv", folder / "vidur" / "vidur-a40.csv"], [Path("mine.csv")]]


def test_validate_predicts_public_rows_and_refuses_altered_ones(
    mirror: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    folder = mirror.parent / "data"
    run("data", "pull", "--mirror", mirror, "--yes")
    capsys.readouterr()
    run("validate", "--json", mirror / "errors.json")
    printed = capsys.readouterr()
    assert f"stcsim: 2 public tables in {folder}" in printed.err and "error of 16 predictions" in printed.out
    table = folder / "vidur" / "vidur-a40.csv"
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert refused("validate").startswith(f"{table}: expected the table of the pull of ")
    assert refused("data", "pull", "--mirror", mirror, "--yes").startswith(f"{table}: expected the table of the pull of ")
    run("data", "pull", "--mirror", mirror, "--yes", "--again")
