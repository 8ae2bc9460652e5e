"""Archives of numpy (``.npz``): members stored as they are lie memory-mapped, compressed ones are read when asked for."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stcsim.checkpoint.element_types import STORAGE_TYPES
from stcsim.checkpoint.mapped import MappedFile
from stcsim.checkpoint.stored import PLAIN, Codes, StoredTensor
from stcsim.errors import StcsimError
from stcsim.npz_members import member_of

_A_FILE = "an archive of numpy (.npz)"
_LOCAL_HEADER_BYTES = 30
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
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError, OSError):
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
    shape, fortran, dtype, header_bytes = found = member_of(archive, info, where)
    element = "bool" if dtype.kind == "b" else _NAMES.get(dtype.newbyteorder("<").str, "")
    if not element:
        raise StcsimError(where, "an array of floats or integers", f"one of {dtype.name}")
    nbytes = found.nbytes
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
        except MemoryError:
            raise StcsimError(f"{path}: {member}", "an array that fits in memory", f"shape {shape}") from None
        except Exception as error:  # numpy, zipfile and zlib each have errors of their own
            words = str(error).splitlines() or [type(error).__name__]
            raise StcsimError(f"{path}: {member}", "an array that can be read", words[0]) from None
        native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
        numbers = native.view(np.uint8) if native.dtype.kind == "b" else native
        return numbers.reshape(shape or (1,))[first:last]

    return read
