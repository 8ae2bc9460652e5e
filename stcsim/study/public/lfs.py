"""Git LFS: where a repository keeps a pointer in place of a file, the file is fetched and held against the pointer's SHA-256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from stcsim.errors import StcsimError
from stcsim.study.public.git import GitError, git
from stcsim.study.public.sources import Source

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize \d+\n")
_LONGEST_POINTER = 1024
"""Bytes, by Git LFS's specification."""


def replace_pointer(folder: Path, path: str, source: Source) -> None:
    """Put the file itself where ``path`` in the checkout ``folder`` is a pointer to it; do nothing where it is none.

    Raises:
        StcsimError: Git LFS is not installed or cannot fetch the file, or it is not what the pointer says.
    """
    file = folder / path
    pointer = file.read_bytes()
    found = _POINTER.fullmatch(pointer) if len(pointer) < _LONGEST_POINTER else None
    if found is None:
        return
    where, wanted = f"{source.pinned}: {path}", found[1].decode()
    try:
        content = git(folder, "lfs", "smudge", path, given=pointer)
    except GitError as error:
        expected = "a file that Git LFS fetches (install it from https://git-lfs.com)"
        raise StcsimError(where, expected, f"a pointer ({error})") from None
    if (sha256 := hashlib.sha256(content).hexdigest()) != wanted:
        raise StcsimError(where, f"a file of SHA-256 {wanted}", sha256)
    file.write_bytes(content)
