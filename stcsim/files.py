"""Writing a file whole or not at all, and knowing before long work that it can be written."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from stcsim.errors import StcsimError

_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d{1,9})")
_STREAMS = {"stdout": 1, "stderr": 2}


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


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write ``content``, text in UTF-8, to ``path``: a draft beside it is renamed, so that no half-written file is ever seen.

    A pipe, a device or an open descriptor (``/dev/stdout``) is written to as it is.

    Raises:
        StcsimError: when nothing can be written there.
    """
    octets = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if (descriptor := _descriptor(path)) is not None:
            _write_open(descriptor, octets)
        elif Path(path).exists() and not Path(path).is_file():
            Path(path).write_bytes(octets)
        else:
            _replace(Path(path).resolve(), octets)
    except OSError as error:
        raise StcsimError(str(path), "a file that can be written", error.strerror or str(error)) from None


def is_stdout(path: Path) -> bool:
    """Return whether ``path`` is a name of standard output."""
    return _descriptor(path) == 1


def _replace(target: Path, octets: bytes) -> None:
    """Put a file in the place of ``target``."""
    draft = draft_of(target)
    try:
        draft.write_bytes(octets)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the open file that ``path`` names, ``None`` where it names one of a folder."""
    found = _DESCRIPTOR.fullmatch(os.path.abspath(path))
    return None if found is None else _STREAMS.get(found[1]) or int(found[2] or 0)


def _write_open(descriptor: int, octets: bytes) -> None:
    """Write to an open file from where it stands, behind what was printed before."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(octets)


def draft_of(path: Path) -> Path:
    """Return where to write what will be ``path``: a hidden name beside it, of this process.

    Drafts of the same file whose process on this machine was killed are removed.
    """
    here = platform.node().replace(".", "-") or "host"
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(here)}-*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition("-")[2]
        if process.isdecimal() and not _runs(int(process)):
            _remove(left)
    return path.with_name(f".{path.name}.{here}-{os.getpid()}.tmp")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's, or the system cannot say
        return True
    return True


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
        return
    with suppress(OSError):
        draft.unlink(missing_ok=True)


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
                _remove(draft)

    def _draft(self, path: Path) -> Path:
        target = path.resolve()
        draft = draft_of(target)
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
