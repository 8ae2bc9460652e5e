"""Pulling a source: fetch its files, hold them against the last pull, read them, put their rows into the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from stcsim.errors import StcsimError
from stcsim.study.public.cache import Manifest, Table, check, read_manifest, sha256_of, store
from stcsim.study.public.fetch import fetched
from stcsim.study.public.rows import Sorted, csv_text
from stcsim.study.public.sources import Source
from stcsim.version import __version__

Progress = Callable[[int, int], None]
"""Called with the files read and how many there are."""


def is_there(source: Source, folder: Path) -> bool:
    """Say whether this version of stcsim has pulled ``source`` at its commit into ``folder``.

    Raises:
        StcsimError: it has, and a table was altered since.
    """
    manifest = read_manifest(folder, source.name)
    if manifest is None or (manifest.commit, manifest.version) != (source.commit, __version__):
        return False
    return bool(check(folder, manifest))


def pull(source: Source, folder: Path, mirror: Path | None = None, progress: Progress | None = None) -> Manifest:
    """Fetch and read ``source``, and put its tables into the cache ``folder``; on any failure that stays as it was.

    Raises:
        StcsimError: it cannot be fetched or read, it is not what was pulled before, or nothing can be written.
    """
    before = _last(source, folder)
    with fetched(source, mirror) as found:
        sums = {path: sha256_of(file) for path, file in found.files.items()}
        if before is not None and before.commit == source.commit:
            _compare(source, before, sums)
        rows = _read(source, found.files, progress)
        licences = {path: file.read_bytes() for path, file in found.licences.items()}
    named = {f"{source.name}-{arch}.csv": each for arch, each in sorted(rows.rows.items())}
    texts = {name: csv_text(source.name, each) for name, each in named.items()}
    tables = {name: Table(_sha256(texts[name]), len(each)) for name, each in named.items()}
    manifest = Manifest(
        source=source.name, url=source.url, commit=source.commit, licence=source.licence, date=date.today().isoformat(),
        version=__version__, files=sums, tables=tables, left_out=dict(rows.left_out.most_common()),
    )  # fmt: skip
    store(folder, manifest, texts, licences)
    return manifest


def _last(source: Source, folder: Path) -> Manifest | None:
    """Return the manifest of the last pull; one that cannot be read is about to be replaced, so it counts as none."""
    try:
        return read_manifest(folder, source.name)
    except StcsimError:
        return None


def _compare(source: Source, before: Manifest, sums: Mapping[str, str]) -> None:
    for path, sha256 in before.files.items():
        if sums.get(path) != sha256:
            expected = f"the bytes of the pull of {before.date} (SHA-256 {sha256[:12]}…)"
            raise StcsimError(f"{source.pinned}: {path}", expected, f"{sums.get(path, 'none')[:12]}…; nothing was replaced")


def _read(source: Source, files: Mapping[str, Path], progress: Progress | None) -> Sorted:
    found = Sorted()
    for done, (path, file) in enumerate(files.items(), 1):
        found.add(source.convert(file, path))
        if progress is not None:
            progress(done, len(files))
    if not found.rows:
        raise StcsimError(source.pinned, "a row that stcsim can predict", "none")
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
