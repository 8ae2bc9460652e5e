"""Files that a repository keeps in Git LFS: fetched by it, held against the pointer, or refused with what is missing."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.study.public.pull import pull
from stcsim.study.public.sources import Source
from tests.unit.study.public import VIDUR, VIDUR_FILE, mirrored

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git fetches public tables")

SHA256 = hashlib.sha256(VIDUR.encode()).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize {len(VIDUR)}\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Vidur's repository with a pointer in place of the table; only git is on the PATH, no Git LFS."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = mirrored(tmp_path / "mirror", "vidur", {VIDUR_FILE: POINTER, ".gitattributes": "*.csv filter=lfs diff=lfs -text\n"})
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(programs))
    return made


def install_lfs(tmp_path: Path, content: str) -> None:
    """Put a Git LFS there that holds the pointer it is given against ours, and has ``content`` for it."""
    (tmp_path / "pointer").write_text(POINTER, encoding="utf-8")
    (tmp_path / "content").write_text(content, encoding="utf-8")
    script = tmp_path / "programs" / "git-lfs"
    test = f'test "$1" = smudge && /usr/bin/env cmp -s - "{tmp_path}/pointer" || exit 3'
    script.write_text(f'#!/bin/sh\nPATH=/bin:/usr/bin\n{test}\ncat "{tmp_path}/content"\n', encoding="utf-8")
    script.chmod(0o755)


def test_a_pointer_is_replaced_by_the_file(source: Source, tmp_path: Path) -> None:
    install_lfs(tmp_path, VIDUR)
    manifest = pull(source, tmp_path / "data", tmp_path / "mirror")
    assert manifest.files == {VIDUR_FILE: SHA256} and manifest.rows == 6


def test_another_file_than_the_pointers_is_refused(source: Source, tmp_path: Path) -> None:
    install_lfs(tmp_path, VIDUR.replace("0.2", "0.1"))
    with pytest.raises(StcsimError) as error:
        pull(source, tmp_path / "data", tmp_path / "mirror")
    assert str(error.value).startswith(f"{source.pinned}: {VIDUR_FILE}: expected a file of SHA-256 {SHA256}, found ")
    assert not (tmp_path / "data").exists()


def test_without_git_lfs_it_is_asked_for(source: Source, tmp_path: Path) -> None:
    with pytest.raises(StcsimError) as error:
        pull(source, tmp_path / "data", tmp_path / "mirror")
    assert str(error.value).startswith(
        f"{source.pinned}: {VIDUR_FILE}: expected a file that Git LFS fetches (install it from https://git-lfs.com), "
        "found a pointer (git: 'lfs' is not a git command"
    )
    assert "\n" not in str(error.value) and not (tmp_path / "data").exists()
