"""A file mapped into memory: arrays in it without a copy, and its pages given back when they were read."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from stcsim.checkpoint.stored import Codes
from stcsim.errors import StcsimError


class MappedFile:
    """A file of which every byte can be read as if it lay in memory.

    Args:
        path: of the file.
        expected: what it should be, for the error.

    Raises:
        StcsimError: when it cannot be read, or is empty.
    """

    def __init__(self, path: Path, expected: str) -> None:
        """Map it; nothing is read yet."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # mmap's word for a file without bytes
            raise StcsimError(str(path), expected, "an empty file") from None
        except OSError as error:
            found = "a folder" if path.is_dir() else (error.strerror or str(error)).lower()
            raise StcsimError(str(path), expected, found) from None

    def __len__(self) -> int:
        """Return the size of the file in bytes."""
        return len(self._map)

    def bytes(self, start: int, stop: int) -> bytes:
        """Return a copy of bytes of the file."""
        return self._map[start:stop]

    def array(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Codes:
        """Return elements that begin at ``offset``, row-major, without a copy."""
        count = prod(shape)
        if not count:
            return np.empty(shape, dtype)
        return np.frombuffer(self._map, dtype, count, offset).reshape(shape)

    def releaser(self, start: int, stop: int) -> Callable[[], None]:
        """Return what gives the pages of some bytes back to the system; they are read from the file again when used."""
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        length = stop - first

        def release() -> None:
            if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED, first, length)

        return release

    def close(self) -> None:
        """Unmap the file, or leave that to the last array that still looks into it."""
        try:
            self._map.close()
        except BufferError:
            pass
