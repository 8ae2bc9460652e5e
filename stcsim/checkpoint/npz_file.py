"""Archives of numpy (``.npz``): members stored as they are lie memory-mapped, compressed ones are read when asked for."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from stcsim.checkpoint.element_types import STORAGE_TYPES
from stcsim.checkpoint.mapped import MappedFile
from stcsim.checkpoint.stored import PLAIN, Codes, StoredTensor
from stcsim.errors import StcsimError

_A_FILE = "an archive of numpy (.npz)"
_LOCAL_HEADER_BYTES = 30
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, SyntaxError, TokenError),
    *(TypeError, KeyError, NotImplementedError, RuntimeError, OverflowError, MemoryError),
)
"""What zipfile and numpy raise at archives that are damaged, forged, encrypted, or packed in a way that they do not know."""
LARGEST_PACKED, MOST_PACKED = 1 << 30, 100
"""A compressed member is unpacked in memory: one above so many bytes, and so many times what it takes in the file, is refused."""
_NAMES = {np.dtype(row.array).str: row.name for row in STORAGE_TYPES if row.bits >= 8 and row.name[:2] in ("fp", "in", "ui")}


def read_npz(path: Path) -> tuple[MappedFile, dict[str, StoredTensor]]:
    """Return the mapped file, which the caller closes, and its arrays by name.

    Raises:
        StcsimError: when it is no such archive, or a member is no array of numbers (objects would have to be unpickled).
    """
    file = MappedFile(path, _A_FILE)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            tensors = [_stored(file, archive, info) for info in members]
    except _BROKEN:
        file.close()
        raise StcsimError(str(path), _A_FILE, "no zip archive, or a truncated one") from None
    except BaseException:
        file.close()
        raise
    return file, {tensor.name: tensor for tensor in tensors}


def _stored(file: MappedFile, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredTensor:
    """Return one member."""
    name = info.filename.removesuffix(".npy")
    where = f"{file.path}: {name}"
    try:
        with archive.open(info) as member:
            shape, fortran, dtype = _npy_header(member)
            header_bytes = member.tell()
    except _BROKEN as error:
        raise StcsimError(where, "an array of numpy", _words(error)) from None
    if dtype.hasobject:
        raise StcsimError(where, "an array of numbers", "Python objects, which would have to be unpickled (that runs code)")
    element = "bool" if dtype.kind == "b" else _NAMES.get(dtype.newbyteorder("<").str, "")
    if not element:
        raise StcsimError(where, "an array of floats or integers", f"one of {dtype.name}")
    nbytes = prod(shape) * dtype.itemsize
    if info.file_size - header_bytes != nbytes:
        raise StcsimError(where, f"{nbytes:,} bytes of numbers", f"{info.file_size - header_bytes:,}")
    if info.compress_type != zipfile.ZIP_STORED and nbytes > max(LARGEST_PACKED, MOST_PACKED * info.compress_size):
        expected = f"at most {LARGEST_PACKED:,} bytes in so small a member (numpy.savez stores them as they are, of any size)"
        raise StcsimError(where, expected, f"{nbytes:,}")
    mapped = info.compress_type == zipfile.ZIP_STORED and dtype.newbyteorder("=") == dtype and not fortran
    if not mapped:
        return StoredTensor(name, shape, element, nbytes, PLAIN, _loader(file.path, info.filename, shape), in_pieces=False)
    start = _data_offset(file, info) + header_bytes
    if start + nbytes > len(file):
        raise StcsimError(where, f"bytes up to {start + nbytes:,}", f"a file that ends after {len(file):,}")
    array = "|u1" if element == "bool" else dtype.str

    def read(first: int, last: int) -> Codes:
        return file.array(start, array, shape or (1,))[first:last]

    return StoredTensor(name, shape, element, nbytes, PLAIN, read, file.releaser(start, start + nbytes))


def _words(error: BaseException) -> str:
    """Return the first line of what another library says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "something else"


def _npy_header(member: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(member)
    return tuple(shape), fortran, dtype


def _data_offset(file: MappedFile, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a stored member begin: behind its local header, which has lengths of its own."""
    lengths = file.bytes(info.header_offset + 26, info.header_offset + _LOCAL_HEADER_BYTES)
    name, extra = struct.unpack("<HH", lengths)
    return info.header_offset + _LOCAL_HEADER_BYTES + int(name) + int(extra)


def _loader(path: Path, member: str, shape: tuple[int, ...]) -> Callable[[int, int], Codes]:
    """Return what reads a member that is compressed, or lies in another order, whole."""

    def read(first: int, last: int) -> Codes:
        try:
            with np.load(path, allow_pickle=False) as archive:
                array: Codes = archive[member.removesuffix(".npy")]
        except _BROKEN as error:
            raise StcsimError(f"{path}: {member}", "an array that can be read", _words(error)) from None
        native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
        numbers = native.view(np.uint8) if native.dtype.kind == "b" else native
        return numbers.reshape(shape or (1,))[first:last]

    return read
