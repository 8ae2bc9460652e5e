"""The folder that pulled tables lie in: one folder a source, each with a manifest that every later reading is held against."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stcsim.errors import StcsimError

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Table:
    """A measured table in the cache: SHA-256 and rows."""

    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was pulled.

    Attributes:
        source: its name.
        url, commit, licence: where it is from.
        date: of the pull, ``2026-11-27``.
        version: of the stcsim that read it.
        files: SHA-256 of every file fetched, by its path in the repository.
        tables: by file name, beside the manifest.
        left_out: rows not used, by reason.
    """

    source: str
    url: str
    commit: str
    licence: str
    date: str
    version: str
    files: dict[str, str]
    tables: dict[str, Table]
    left_out: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def cache_folder() -> Path:
    """Return where pulled tables lie: ``$STCSIM_DATA``, else ``stcsim/data`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``."""
    if own := os.environ.get("STCSIM_DATA"):
        return Path(own)
    shared = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "stcsim" / "data"  # XDG: relative paths are ignored


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        StcsimError: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise StcsimError(str(file), "a file that can be read", error.strerror or str(error)) from None


def read_manifest(folder: Path, source: str) -> Manifest | None:
    """Return what was pulled of ``source`` into the cache ``folder``; ``None`` where nothing was.

    Raises:
        StcsimError: the manifest is not as it was written.
    """
    file = folder / source / MANIFEST
    if not file.exists():
        return None
    try:
        fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        tables = {name: Table(**table) for name, table in fields.pop("tables").items()}
        return Manifest(**fields, tables=tables)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise StcsimError(str(file), "a manifest as `stcsim data pull` writes it", f"another; {_anew(source)}") from None


def check(folder: Path, manifest: Manifest) -> list[Path]:
    """Return the tables of a manifest, each of which has the bytes that were pulled.

    Raises:
        StcsimError: one was altered or removed.
    """
    files = [folder / manifest.source / name for name in manifest.tables]
    for file, table in zip(files, manifest.tables.values(), strict=True):
        found = sha256_of(file) if file.is_file() else "no file"
        if found != table.sha256:
            expected = f"the table of the pull of {manifest.date} (SHA-256 {table.sha256[:12]}…)"
            raise StcsimError(str(file), expected, f"{found[:12]}{'…' * (found != 'no file')}; {_anew(manifest.source)}")
    return files


def _anew(source: str) -> str:
    return f"`stcsim data pull {source} --again` fetches it anew"


def pulled_tables(folder: Path) -> list[Path]:
    """Return every table in the cache ``folder``, sources in alphabetical order.

    Raises:
        StcsimError: there is none, or one was altered since it was pulled.
    """
    sources = sorted(file.parent.name for file in folder.glob(f"[!.]*/{MANIFEST}"))
    manifests = [manifest for source in sources if (manifest := read_manifest(folder, source))]
    if not manifests:
        expected = "the PATH of measured tables, or public ones in the cache (`stcsim data pull` fetches them)"
        raise StcsimError("command line", expected, f"neither (nothing in {folder})")
    return [file for manifest in manifests for file in check(folder, manifest)]


def store(folder: Path, manifest: Manifest, texts: Mapping[str, str], licences: Mapping[str, bytes]) -> None:
    """Put a source into the cache ``folder`` in place of what was there of it, whole or not at all.

    Args:
        folder: of all sources; made where it is missing.
        manifest: what is put there.
        texts: tables by file name.
        licences: licence files by file name.

    Raises:
        StcsimError: nothing can be written there.
    """
    draft = folder / f".{manifest.source}.{os.getpid()}.tmp"
    try:
        draft.mkdir(parents=True)
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8", newline="")
        for name, content in licences.items():
            (draft / name).write_bytes(content)
        (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
        _swap(draft, folder / manifest.source)
    except OSError as error:
        raise StcsimError(str(folder), "a folder that can be written", error.strerror or str(error)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swap(draft: Path, target: Path) -> None:
    """Rename ``draft`` to ``target``; what was there comes back if that fails."""
    old = draft.with_suffix(".old")
    try:
        if target.exists():
            target.rename(old)
        draft.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
