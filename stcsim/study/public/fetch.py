"""Fetching the files of a source at its pinned commit with git, and holding every file against that commit."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stcsim.errors import StcsimError
from stcsim.study.public.git import GitError, git
from stcsim.study.public.lfs import replace_pointer
from stcsim.study.public.sources import LICENCE_FILES, Source

_AS_STORED = "* -text -filter -ident -working-tree-encoding\n"
"""Attributes that overrule the repository's own: a file on disk has the very bytes that git keeps."""

_NO_SUCH_COMMIT = ("not our ref", "couldn't find remote ref")


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files of a source on disk, by their paths in the repository. licences: those of its licence."""

    files: dict[str, Path]
    licences: dict[str, Path]


@contextmanager
def fetched(source: Source, mirror: Path | None = None) -> Iterator[Fetched]:
    """Fetch the files of ``source`` into a temporary folder, which is gone after the block.

    Only the commit itself, the names below it, and the files wanted are transferred, where the server can leave out the rest.

    Args:
        source: what to fetch.
        mirror: a folder of bare repositories ``OWNER+NAME/repo``, to be used in place of the network.

    Raises:
        StcsimError: no git; repository, commit or a file is not there; a file is not what the commit says.
    """
    origin = _origin(source, mirror)
    with tempfile.TemporaryDirectory(prefix="stcsim-", ignore_cleanup_errors=True) as folder:
        try:
            files = _fetch(Path(folder), source, origin)
        except GitError as error:
            expected = "a repository that git can fetch from (with no network, --mirror DIR names a folder of copies)"
            raise StcsimError(origin, expected, str(error)) from None
        yield files


def _fetch(folder: Path, source: Source, origin: str) -> Fetched:
    _fetch_commit(folder, source, origin)
    blobs = _blobs(folder, source.commit)
    licences = [path for path in blobs if any(_fits(path, pattern) for pattern in LICENCE_FILES)]
    wanted = _wanted(source, list(blobs))
    _check_out(folder, source)
    for path in (*wanted, *licences):
        check_blob(folder / path, blobs[path], f"{source.pinned}: {path}")
    for path in wanted:
        replace_pointer(folder, path, source)
    return Fetched({path: folder / path for path in wanted}, {path: folder / path for path in licences})


def _origin(source: Source, mirror: Path | None) -> str:
    if mirror is None:
        return source.url
    bare = mirror / source.repository.replace("/", "+") / "repo"
    if not bare.is_dir():
        raise StcsimError(f"--mirror {mirror}", f"a bare repository '{bare.relative_to(mirror)}' in it", "none")
    return str(bare.resolve())


def _fetch_commit(folder: Path, source: Source, origin: str) -> None:
    git(folder, "init", "--quiet", "--template=")
    git(folder, "remote", "add", "origin", origin)
    try:
        git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", source.commit)
    except GitError as error:
        if any(words in str(error) for words in _NO_SUCH_COMMIT):
            raise StcsimError(origin, f"the commit {source.commit}", "none of that id") from None
        raise
    found = git(folder, "rev-parse", "FETCH_HEAD").decode().strip()
    if found != source.commit:
        raise StcsimError(origin, f"the commit {source.commit}", found)


def _blobs(folder: Path, commit: str) -> dict[str, str]:
    """Return the id of every file's content below ``commit``, by path."""
    listed = git(folder, "ls-tree", "-r", "-z", "--full-tree", commit).decode(errors="surrogateescape")
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry]
    return {path: facts.split()[2] for facts, _, path in entries}


def _fits(path: str, pattern: str) -> bool:
    return PurePosixPath("/", path).match(f"/{pattern}")


def _wanted(source: Source, paths: list[str]) -> list[str]:
    found: list[str] = []
    for pattern in source.paths:
        matching = sorted(path for path in paths if _fits(path, pattern))
        if not matching:
            raise StcsimError(source.pinned, f"a file {pattern}", "none")
        found += matching
    return found


def _check_out(folder: Path, source: Source) -> None:
    patterns = "".join(f"/{pattern}\n" for pattern in (*source.paths, *LICENCE_FILES))
    information = folder / ".git" / "info"
    information.mkdir(exist_ok=True)
    (information / "sparse-checkout").write_text(patterns, encoding="utf-8")
    (information / "attributes").write_text(_AS_STORED, encoding="utf-8")
    git(folder, "checkout", "--quiet", "--detach", source.commit)


def check_blob(file: Path, blob: str, where: str) -> None:
    """Do nothing if ``file`` has the content that git's id ``blob`` names (computed here, not by git).

    Raises:
        StcsimError: it has another, or cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StcsimError(where, "a file", error.strerror or str(error)) from None
    found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if found != blob:
        raise StcsimError(where, f"the content {blob}", f"{found}")
