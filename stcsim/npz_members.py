"""Members of an archive of numpy (``.npz``), looked at before a byte of numbers is read or a place for them taken.

What a zip archive and the header of an array claim is anybody's word: 8 MiB may inflate to 8 GiB, and a header may name 10^18
elements. Nothing is unpickled.
"""

from __future__ import annotations

import os
import zipfile
from math import prod
from typing import Any, NamedTuple

import numpy as np

from stcsim.errors import StcsimError

LIMIT = "STCSIM_MAX_INFLATED_GIB"
"""The environment variable that says how far a member may inflate by more than ``_USUAL_RATIO``."""
_DEFAULT_GIB = 2.0
_USUAL_RATIO = 100
"""Random numbers shrink by a tenth, pruned ones to a half; beyond this nearly all bytes are alike."""
_DEFLATE_RATIO = 1032
"""What no deflated member can exceed; one that claims more lies."""


class Member(NamedTuple):
    """One array as its header describes it.

    Attributes:
        shape: of the array.
        fortran: whether the first dimension is the fastest.
        dtype: of the elements.
        header_bytes: before the first element.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    header_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return prod(self.shape) * self.dtype.itemsize


def member_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Member:
    """Return what a member holds, after a look at whether it can be so.

    Raises:
        StcsimError: when it is no array of numbers, claims more than it can hold, or inflates beyond the limit.
    """
    try:
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
            found = Member(tuple(shape), fortran, dtype, file.tell())
    except Exception as error:  # numpy and zlib have many words for other bytes
        words = str(error).splitlines()
        raise StcsimError(where, "an array of numpy", words[0] if words else "something else") from None
    if dtype.hasobject:
        raise StcsimError(where, "an array of numbers", "Python objects, which would have to be unpickled (that runs code)")
    if info.file_size - found.header_bytes != found.nbytes or min(found.shape, default=0) < 0:
        raise StcsimError(where, f"{found.nbytes:,} bytes of numbers", f"{info.file_size - found.header_bytes:,}")
    _check_inflation(info, where)
    return found


def _check_inflation(info: zipfile.ZipInfo, where: str) -> None:
    """Refuse a member that inflates beyond the limit, or beyond what is possible."""
    packed, size = max(info.compress_size, 1), info.file_size
    if size > packed * (1 if info.compress_type == zipfile.ZIP_STORED else _DEFLATE_RATIO) + (1 << 16):
        raise StcsimError(where, f"{size:,} bytes", f"{packed:,} compressed ones, which cannot be so many")
    limit = _limit_gib()
    if size > limit * 2**30 and size > packed * _USUAL_RATIO:
        expected = f"at most {limit:g} GiB where nearly all bytes are alike ({LIMIT} in the environment allows more)"
        raise StcsimError(where, expected, f"{size / 2**30:.1f} GiB out of {packed / 2**20:.1f} MiB")


def _limit_gib() -> float:
    text = os.environ.get(LIMIT, "")
    try:
        limit = float(text) if text else _DEFAULT_GIB
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise StcsimError(f"environment: {LIMIT}", "a number of GiB", f"'{text}'")
    return limit
