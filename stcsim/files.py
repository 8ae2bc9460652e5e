"""Writing a file whole or not at all, and knowing before long work that it can be written."""

from __future__ import annotations

import os
import shutil
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


class Drafts:
    """Several files or folders that appear together when all of them are written, or not at all.

    Each is written as a draft beside its place. When the ``with`` block ends well all drafts are renamed; when it ends in any
    other way they are removed, and what stood there before is as it was.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._drafts: list[tuple[Path, Path]] = []

    def file(self, path: Path) -> Path:
        """Return where to write the file that will be ``path``."""
        return self._draft(path)

    def folder(self, path: Path) -> Path:
        """Return a new empty folder, which will be ``path``; that must not exist, or be empty.

        Raises:
            StcsimError: when no folder can be made there.
        """
        draft = self._draft(path)
        try:
            draft.mkdir()
        except OSError as error:
            raise _unwritable(path, error) from None
        return draft

    def __enter__(self) -> Drafts:
        """Return itself."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Rename all drafts, or remove them."""
        try:
            if kind is None:
                for draft, path in self._drafts:
                    self._rename(draft, path)
        finally:
            for draft, _ in self._drafts:
                shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)

    def _draft(self, path: Path) -> Path:
        target = path.resolve()
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        self._drafts.append((draft, target))
        return draft

    @staticmethod
    def _rename(draft: Path, path: Path) -> None:
        try:
            if draft.is_dir() and path.is_dir():
                path.rmdir()
            draft.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> StcsimError:
    return StcsimError(str(path), "a place that can be written to", (error.strerror or str(error)).lower())
