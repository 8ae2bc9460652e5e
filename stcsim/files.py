"""Writing a file whole or not at all, and knowing before long work that it can be written."""

from __future__ import annotations

import os
from pathlib import Path

from stcsim.errors import StcsimError


def check_writable(path: Path, option: str) -> None:
    """Do nothing if a file can be written at ``path``.

    Args:
        path: where a result is to go.
        option: what the user called it, e.g. ``"--json"``, for the error.

    Raises:
        StcsimError: when the folder is missing or closed, or ``path`` is a folder.
    """
    where, folder = f"{option} {path}", path.parent
    if path.is_dir():
        raise StcsimError(where, "the path of a file", "a folder")
    if not folder.is_dir():
        raise StcsimError(where, "a file in a folder that exists", f"no folder '{folder}'")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise StcsimError(where, "a file that can be written", f"no permission to write in '{folder}'")


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` in UTF-8 to ``path``: a draft beside it is renamed, so that no half-written file is ever seen.

    Raises:
        StcsimError: when nothing can be written there.
    """
    target = Path(path).resolve()
    try:
        if target.exists() and not target.is_file():  # a pipe or device is written to, not replaced
            target.write_text(text, encoding="utf-8")
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StcsimError(str(path), "a file that can be written", error.strerror or str(error)) from None
