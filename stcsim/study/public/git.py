"""Running git so that the user's configuration changes no byte, nobody is asked for a password, and failures are sentences."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stcsim.errors import StcsimError

_SETTINGS = (
    "core.autocrlf=false", "core.symlinks=false", "core.hooksPath=/dev/null", "core.sparseCheckout=true", "protocol.version=2",
    "advice.detachedHead=false", "gc.auto=0", "maintenance.auto=false", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60",
)  # fmt: skip

_DROPPED = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX",
    "GIT_LFS_SKIP_SMUDGE",
)  # fmt: skip
"""Variables that a git which runs us (a hook) leads into its own repository with, and the one that leaves LFS files out."""

_ENVIRONMENT = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


class GitError(Exception):
    """A git command failed; the text is git's own last word."""


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Return what a git command prints.

    Args:
        folder: where it runs.
        given: its standard input.

    Raises:
        GitError: it failed.
        StcsimError: there is no git.
    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED} | _ENVIRONMENT
    command = ["git", *settings, *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, check=False)
    except FileNotFoundError:
        raise StcsimError("git", "the program that fetches public tables (https://git-scm.com)", "none on the PATH") from None
    if done.returncode:
        raise GitError(_last_word(done.stderr.decode(errors="replace")))
    return done.stdout


def _last_word(printed: str) -> str:
    """Return the first line that git calls fatal or an error, else the first of all."""
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    fatal = [line for line in lines if line.lower().startswith(("fatal", "error"))]
    return (fatal or lines or ["no word why"])[0].removeprefix("fatal: ").removeprefix("error: ")
