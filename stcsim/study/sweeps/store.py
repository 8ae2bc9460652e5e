"""Where answers are kept: one SQLite file, a row for each key, written by one process at a time and read by any.

The file is in WAL mode: whoever reads it while a study runs sees whole batches. A process that is killed loses the batch that it
had not yet written, nothing more; that another process writes is told by a lock beside the file, which the system takes back
from a process that dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from stcsim.errors import StcsimError
from stcsim.files import draft_of
from stcsim.study.sweeps.figures import FIGURES, Figures
from stcsim.study.sweeps.work import Answer

SCHEMA = 1
"""The shape of the file; a change of its columns is another number."""
_APPLICATION = 0x53544353
"""What tells the file from other SQLite files: "STCS"."""
_LOCK = ".lock"
_KINDS = {"int": "INTEGER", "float": "REAL", "bool": "INTEGER", "str": "TEXT"}
_FLAGS = tuple(field.name for field in fields(Figures) if "bool" in str(field.type))
_COLUMNS = ", ".join(FIGURES)


class Store:
    """The answers of one file, to be read; as a context it is closed at the end."""

    def __init__(self, path: Path) -> None:
        """Open a file that is there.

        Raises:
            StcsimError: when there is none, it is no store, or that of a version with another schema.
        """
        self.path = path
        if not path.is_file():
            raise StcsimError(f"store {path}", "a store that stcsim study run has made", "no such file")
        self._database = _opened(path, "ro")
        try:
            with self._speaking():
                self._check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def answer(self, key: str) -> Answer | None:
        """Return what is known of a cell, ``None`` where nothing is."""
        with self._speaking():
            row = self._database.execute(f"SELECT error, {_COLUMNS} FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else _answer(key, row)

    def sentence(self, key: str) -> str | None:
        """Return the sentence that a cell ended with, an empty one where it has figures, ``None`` where nothing is known."""
        with self._speaking():
            row = self._database.execute("SELECT error FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0] or "")

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Let what SQLite says be a sentence that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StcsimError(f"store {self.path}", "a store that can be read and written", str(error)) from None

    def _check(self) -> None:
        """Refuse a file of another kind or schema."""
        application, schema = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if application != _APPLICATION:
            raise StcsimError(f"store {self.path}", "a store that stcsim study run has made", "another SQLite file")
        if schema != SCHEMA:
            expected = f"a store of schema {SCHEMA}, which this version of stcsim reads (name a new file with --store)"
            raise StcsimError(f"store {self.path}", expected, f"schema {schema}")


class WritableStore(Store):
    """The answers of one file, which this process alone may add to."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StcsimError: when another process writes to it, it cannot be written, it is no store, or has another schema.
        """
        self.path = path
        self._lock = _locked(path)
        try:
            if not path.exists():
                _make(path)
            self._database = _opened(path, "rw")
            with self._speaking():
                self._check()
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, which is then one file again and nothing beside it, and let another process write to it."""
        with suppress(AttributeError, sqlite3.Error):  # it could not be opened; or another process reads it
            self._database.execute("PRAGMA journal_mode = DELETE")
        with suppress(AttributeError):
            self._database.close()
        self._lock.close()

    def add(self, answers: Iterable[Answer]) -> None:
        """Keep answers, all of them or none; one that is there already is replaced.

        Raises:
            StcsimError: when they cannot be written, e.g. on a full disk; what was written before stays.
        """
        places = ", ".join("?" * (len(FIGURES) + 2))
        rows = [(each.key, each.error, *_row(each.figures)) for each in answers]
        with self._speaking(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(f"INSERT OR REPLACE INTO answers (key, error, {_COLUMNS}) VALUES ({places})", rows)


def _make(path: Path) -> None:
    """Make an empty store, whole before anybody sees it."""
    columns = ", ".join(f"{field.name} {_KINDS[str(field.type).split(' ')[0]]}" for field in fields(Figures))
    draft = draft_of(path)
    try:
        with closing(_opened(draft, "rwc")) as database:
            database.execute(f"CREATE TABLE answers (key TEXT PRIMARY KEY, error TEXT, {columns}) WITHOUT ROWID")
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")
        draft.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StcsimError(f"store {path}", "a place that can be written to", str(error)) from None
    finally:
        draft.unlink(missing_ok=True)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise StcsimError(f"store {path}", "a store that can be read and written", str(error)) from None


def _locked(path: Path) -> sqlite3.Connection:
    """Return a lock beside the file, which holds until it is closed or this process ends in any way."""
    beside = path.with_name(path.name + _LOCK)
    try:
        lock = sqlite3.connect(beside, isolation_level=None, timeout=0)
    except sqlite3.Error as error:
        raise StcsimError(f"store {path}", "a place that can be written to", str(error)) from None
    try:
        lock.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        lock.close()
        if "locked" in str(error):
            raise StcsimError(f"store {path}", "a store that no other process writes to", "a study at work on it") from None
        raise StcsimError(f"store {path}", f"a lock beside it that can be taken ({beside.name})", str(error)) from None
    return lock


def _row(figures: Figures | None) -> tuple[object, ...]:
    return astuple(figures) if figures is not None else (None,) * len(FIGURES)


def _answer(key: str, row: tuple[object, ...]) -> Answer:
    error, *values = row
    if error is not None:
        return Answer(key, None, str(error))
    found = dict(zip(FIGURES, values, strict=True))
    flags = {name: bool(found[name]) for name in _FLAGS if found[name] is not None}
    return Answer(key, Figures(**{**found, **flags}))  # type: ignore[arg-type]  # the columns have the types of the fields
