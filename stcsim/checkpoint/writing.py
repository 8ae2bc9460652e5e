"""Files of weights, written tensor by tensor: safetensors, and archives of numpy.

Sizes are known before the first tensor is there, so the header of a safetensors file goes first and each tensor has its place:
tensors may come in any order, and no more than one of them lies in memory. The same tensors give the same bytes. Whoever opens
a writer gives it a draft to write to (``stcsim.files.Drafts``).
"""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stcsim.checkpoint.element_types import STORAGE_TYPES, StorageType
from stcsim.checkpoint.safetensors_file import METADATA
from stcsim.checkpoint.stored import Codes
from stcsim.errors import StcsimError

_TYPES = {row.name: row for row in STORAGE_TYPES}
_ALIGNMENT = 8
"""Bytes; the header is filled up with spaces so that the first tensor begins at a multiple, as the safetensors library does."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The date of every member of an archive: when it was written is no part of the weights."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that will be written: its name, its type as ``StoredTensor.dtype`` names it, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return prod(self.shape) * _type(self).bits // 8


class Writer(Protocol):
    """What writes tensors into one file."""

    def write(self, name: str, slabs: Iterator[Codes]) -> None:
        """Write one tensor: its elements in order, in as many pieces as there are."""


class _SafetensorsWriter:
    """An open safetensors file whose header is written."""

    def __init__(self, file: Any, tensors: Sequence[Planned], metadata: Mapping[str, str]) -> None:
        """Write the header, and take the room for everything."""
        ordered = sorted(tensors, key=lambda tensor: -_type(tensor).bits)  # so that each begins at a multiple of its elements
        fields: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
        self._places, reached = {}, 0
        for tensor in ordered:
            end = reached + tensor.nbytes
            name = {"dtype": _type(tensor).safetensors, "shape": list(tensor.shape), "data_offsets": [reached, end]}
            fields[tensor.name], self._places[tensor.name], reached = name, (reached, end), end
        header = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        header += b" " * (-len(header) % _ALIGNMENT)
        self._file, self._origin, self._missing = file, 8 + len(header), set(self._places)
        _reserve(file, self._origin + reached)
        file.write(len(header).to_bytes(8, "little") + header)

    def write(self, name: str, slabs: Iterator[Codes]) -> None:
        """Write one tensor into its place."""
        start, end = self._places[name]
        self._file.seek(self._origin + start)
        for slab in slabs:
            self._file.write(_bytes(slab))
        assert self._file.tell() == self._origin + end, f"{name} has other bytes than its header says"
        self._missing.discard(name)

    def finish(self) -> None:
        """Check that every tensor was written."""
        assert not self._missing, f"never written: {sorted(self._missing)}"


class _NpzWriter:
    """An open archive of numpy, whose members are stored as they are."""

    def __init__(self, archive: zipfile.ZipFile, tensors: Sequence[Planned]) -> None:
        """Remember what each tensor is."""
        self._archive, self._tensors = archive, {tensor.name: tensor for tensor in tensors}

    def write(self, name: str, slabs: Iterator[Codes]) -> None:
        """Append one tensor."""
        tensor = self._tensors[name]
        array = np.dtype(np.bool_ if tensor.dtype == "bool" else _type(tensor).array)
        fields: Any = {"descr": np.lib.format.dtype_to_descr(array), "fortran_order": False, "shape": tensor.shape}
        with self._archive.open(zipfile.ZipInfo(f"{name}.npy", _OLDEST), "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, fields)
            for slab in slabs:
                member.write(_bytes(slab))


@contextmanager
def writing_safetensors(draft: Path, path: Path, tensors: Sequence[Planned], metadata: Mapping[str, str]) -> Iterator[Writer]:
    """Open a safetensors file for writing; every one of ``tensors`` must then be written once.

    Args:
        draft: where to write.
        path: what the user calls it, for errors.
        tensors: all that the file will hold.
        metadata: strings of the header, e.g. ``{"format": "pt"}``.

    Raises:
        StcsimError: when it cannot be written, or the disk is full.
    """
    with _saying_what_failed(path), draft.open("wb") as file:
        writer = _SafetensorsWriter(file, tensors, metadata)
        yield writer
        writer.finish()


@contextmanager
def writing_npz(draft: Path, path: Path, tensors: Sequence[Planned]) -> Iterator[Writer]:
    """Open an archive of numpy for writing; arguments as ``writing_safetensors``.

    Raises:
        StcsimError: when it cannot be written, the disk is full, or numpy lacks the type of a tensor.
    """
    unknown = [tensor for tensor in tensors if _type(tensor).array[1] == "u" and not tensor.dtype.startswith(("uint", "bool"))]
    if unknown:
        raise StcsimError(f"{path}: {unknown[0].name}", "a type that numpy has", unknown[0].dtype)
    with _saying_what_failed(path), zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        yield _NpzWriter(archive, tensors)


def metadata_of(path: Path) -> dict[str, str]:
    """Return the strings in the header of a safetensors file that ``open_checkpoint`` has read; none where it has none."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found = header.get(METADATA)
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _type(tensor: Planned) -> StorageType:
    return _TYPES[tensor.dtype]


def _bytes(slab: Codes) -> memoryview:
    """Return the elements of an array, little endian, in order."""
    array = np.ascontiguousarray(slab)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _reserve(file: Any, size: int) -> None:
    """Take the room for a file, so that a full disk is known before the work; no matter where a system cannot."""
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise


@contextmanager
def _saying_what_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_ROOM
        expected = "room on the disk for all of it" if full else "a file that can be written"
        raise StcsimError(str(path), expected, (error.strerror or str(error)).lower()) from None
