"""The format safetensors: eight bytes of length, a JSON header, and the bytes of all tensors one after the other.

The layout is that of https://github.com/huggingface/safetensors ("Format"): the header is at most 100 MB, ``data_offsets`` count
from its end, and the tensors cover the rest of the file without a hole or an overlap. Everything is checked before anything is
handed out, so that a truncated or forged file is one sentence and never a wrong number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from stcsim.checkpoint.element_types import BY_SAFETENSORS, StorageType
from stcsim.checkpoint.mapped import MappedFile
from stcsim.checkpoint.stored import PLAIN, Codes, StoredTensor
from stcsim.errors import StcsimError, described, quoted
from stcsim.json_text import KeyTwiceError, parse_json

MAX_HEADER_BYTES = 100_000_000
"""What the safetensors library itself accepts."""
METADATA = "__metadata__"
"""The one key of the header that is no tensor."""
_A_FILE = "a safetensors file"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor as the header describes it; ``start`` and ``stop`` count from the end of the header."""

    name: str
    type: StorageType
    shape: tuple[int, ...]
    start: int
    stop: int


def read_safetensors(path: Path) -> tuple[MappedFile, dict[str, StoredTensor]]:
    """Return the mapped file, which the caller closes, and its tensors by name, in the order of their bytes.

    Raises:
        StcsimError: when the file is not whole, or its header does not describe exactly the bytes behind it.
    """
    file = MappedFile(path, _A_FILE)
    try:
        header, start = _header(file)
        entries = _entries(str(path), header, len(file) - start)
    except BaseException:
        file.close()
        raise
    return file, {entry.name: _stored(file, entry, start) for entry in entries}


def _header(file: MappedFile) -> tuple[Mapping[str, Any], int]:
    """Return the header, and where the bytes of tensors begin."""
    where = str(file.path)
    if len(file) < 8:
        raise StcsimError(where, f"{_A_FILE}, which begins with the length of its header", f"{len(file)} bytes")
    length = int.from_bytes(file.bytes(0, 8), "little")
    if length > MAX_HEADER_BYTES:
        found = f"one that says it has {length:,} bytes" + ("" if length < 1 << 40 else " (is this a safetensors file?)")
        raise StcsimError(f"{where}: header", f"at most {MAX_HEADER_BYTES:,} bytes", found)
    if length > len(file) - 8:
        raise StcsimError(where, f"a header of {length:,} bytes", f"a file that ends after {len(file) - 8:,} of them")
    try:
        header = parse_json(file.bytes(8, 8 + length).decode("utf-8"))
    except KeyTwiceError as error:
        raise StcsimError(f"{where}: header", "every name once", f"{quoted(error.key)} twice") from None
    except (ValueError, RecursionError):
        raise StcsimError(f"{where}: header", "JSON", "something else (is this a safetensors file?)") from None
    if not isinstance(header, dict):
        raise StcsimError(f"{where}: header", "a JSON object with a field for each tensor", described(header))
    return header, 8 + length


def _entries(where: str, header: Mapping[str, Any], size: int) -> list[_Entry]:
    """Return the tensors of a header in the order of their bytes, of which there are ``size``."""
    entries = sorted(
        (_entry(f"{where}: {name}", name, fields, size) for name, fields in header.items() if name != METADATA),
        key=lambda entry: (entry.start, entry.stop),
    )
    reached = 0
    for entry in entries:
        if entry.start != reached:
            fault = "overlap" if entry.start < reached else "leave a hole"
            expected = f"bytes that begin at {reached:,}, where the tensor before ends"
            raise StcsimError(f"{where}: {entry.name}", expected, f"{entry.start:,}, so that tensors {fault}")
        reached = entry.stop
    if reached != size:
        raise StcsimError(where, f"{reached:,} bytes of tensors behind the header", f"{size:,}")
    return entries


def _entry(where: str, name: str, fields: object, size: int) -> _Entry:
    """Return one tensor of the header, checked on its own."""
    if not isinstance(fields, dict) or not {"dtype", "shape", "data_offsets"} <= set(fields):
        raise StcsimError(where, "dtype, shape and data_offsets", quoted(fields))
    kind = BY_SAFETENSORS.get(fields["dtype"]) if isinstance(fields["dtype"], str) else None
    if kind is None:
        raise StcsimError(f"{where}: dtype", f"one of {', '.join(BY_SAFETENSORS)}", quoted(fields["dtype"]))
    shape, offsets = fields["shape"], fields["data_offsets"]
    if not _sizes(shape):
        raise StcsimError(f"{where}: shape", "a list of whole numbers, none negative", quoted(shape))
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise StcsimError(f"{where}: data_offsets", "where its bytes begin and end", quoted(offsets))
    start, stop = offsets
    bits = prod(shape) * kind.bits
    if bits != 8 * (stop - start):
        expected = f"{bits / 8:,.0f} bytes, for {kind.safetensors} of shape {tuple(shape)}"
        raise StcsimError(f"{where}: data_offsets", expected, f"{stop - start:,}")
    if stop > size:
        raise StcsimError(where, f"bytes up to {stop:,}", f"a file that ends after {size:,} (is it truncated?)")
    return _Entry(name, kind, tuple(shape), start, stop)


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _stored(file: MappedFile, entry: _Entry, origin: int) -> StoredTensor:
    """Return a tensor whose bytes begin behind the header, which ends at ``origin``."""
    start, stop, kind = origin + entry.start, origin + entry.stop, entry.type
    release = file.releaser(start, stop)
    if kind.bits < 8:
        return StoredTensor(entry.name, entry.shape, kind.name, stop - start, PLAIN, _halves(file, start, entry), release)
    whole = entry.shape or (1,)

    def read(first: int, last: int) -> Codes:
        return file.array(start, kind.array, whole)[first:last]

    return StoredTensor(entry.name, entry.shape, kind.name, stop - start, PLAIN, read, release)


def _halves(file: MappedFile, start: int, entry: _Entry) -> Any:
    """Return what reads elements of four bits, one to a byte."""
    import numpy as np

    whole = entry.shape or (1,)

    def read(first: int, last: int) -> Codes:
        each = prod(whole[1:])
        low, high = first * each, last * each
        packed = file.array(start, "|u1", ((entry.stop - entry.start),))[low // 2 : (high + 1) // 2]
        codes = np.stack([packed & 15, packed >> 4], axis=-1).ravel()
        return codes[low % 2 : low % 2 + high - low].reshape(-1, *whole[1:])

    return read
