"""Tensors that an ONNX file stores, in itself or in a file beside it: they hold what their axes ask for; small ones are read."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import ModelProto, TensorProto, helper

from stcsim.capture.onnx_import.values import INTEGERS, is_small
from stcsim.errors import TraceError, quoted

#: Bits of an element, where the name of the type does not say them.
_BITS = {"FLOAT": 32, "DOUBLE": 64, "BOOL": 8}

#: Elements of complex types are two numbers.
_PAIRS = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)


def refuse_wrong_size(tensor: TensorProto, owner: str = "") -> None:
    """Refuse a tensor whose axes are none, or that holds more or fewer values than they ask for; those in other files are not.

    Args:
        tensor: of any type.
        owner: the node it is an attribute of.

    Raises:
        TraceError: as said.
    """
    where = owner or f"initializer {quoted(tensor.name)}"
    if any(size < 0 for size in tensor.dims):
        raise TraceError(where, "axes of 0 or more", _shape(tensor))
    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise TraceError(where, "an element type that ONNX has", str(tensor.data_type))
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    wanted, found = _counts(tensor)
    if wanted != found:
        unit = "bytes" if tensor.HasField("raw_data") else "values"
        raise TraceError(where, f"{wanted} {unit} ({_shape(tensor)} {_type(tensor)})", str(found))


def _counts(tensor: TensorProto) -> tuple[int, int]:
    """Return how many bytes, or values, a tensor should hold, and how many it does."""
    elements = prod(tensor.dims)
    if tensor.HasField("raw_data"):
        return _bytes(tensor), len(tensor.raw_data)
    packed = 8 // _bits(tensor) if tensor.data_type != TensorProto.STRING and _bits(tensor) in (2, 4) else 1
    wanted = 2 * elements if tensor.data_type in _PAIRS else -(-elements // packed)
    return wanted, len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))


def _bits(tensor: TensorProto) -> int:
    """Return the bits of an element."""
    name = _type(tensor)
    digits = re.search(r"\d+", name)
    return _BITS[name] if name in _BITS else int(digits[0]) if digits else 8


def _bytes(tensor: TensorProto) -> int:
    return -(-int(prod(tensor.dims)) * _bits(tensor) // 8)


def _type(tensor: TensorProto) -> str:
    return str(TensorProto.DataType.Name(tensor.data_type))


def _shape(tensor: TensorProto) -> str:
    return "x".join(map(str, tensor.dims)) or "one value"


def read_beside(model: ModelProto, folder: Path) -> None:
    """Put small tensors that lie in files beside the model into it, and refuse files that are too short for their tensors.

    Weights are only measured, and may be missing; sizes and axes are needed.

    Raises:
        TraceError: when a file is too short or lies elsewhere, or one with sizes or axes is not there.
    """
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and tensor.data_type != TensorProto.STRING:
            _read(tensor, folder)


def _read(tensor: TensorProto, folder: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where, location = f"initializer {quoted(tensor.name)}", str(entries.get("location", ""))
    if not _is_beside(location):
        raise TraceError(where, "a file beside the model with its values", quoted(location))
    offset, length = (_number(where, entries, key, default) for key, default in (("offset", 0), ("length", _bytes(tensor))))
    try:
        size = (folder / location).stat().st_size
    except (OSError, ValueError):
        if tensor.data_type in INTEGERS and is_small(tensor):
            raise TraceError(where, f"its values in {quoted(location)}, a file beside the model", "no such file") from None
        return
    if length != _bytes(tensor):
        raise TraceError(where, f"{_bytes(tensor)} bytes ({_shape(tensor)} {_type(tensor)})", str(length))
    if size < offset + length:
        raise TraceError(where, f"{offset + length} bytes in {quoted(location)}", str(size))
    if is_small(tensor):
        _put_in(tensor, folder / location, offset, length, where)


def _put_in(tensor: TensorProto, path: Path, offset: int, length: int, where: str) -> None:
    """Read the values of a small tensor into it."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
    except OSError as error:
        raise TraceError(where, "a file that can be read", error.strerror or str(error)) from None
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _is_beside(location: str) -> bool:
    """Whether a location stays in the folder it is relative to."""
    paths = PurePosixPath(location), PureWindowsPath(location)
    return (
        bool(location)
        and "\0" not in location
        and not any(path.is_absolute() or path.drive or ".." in path.parts for path in paths)
    )


def _number(where: str, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not (isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 20):
        raise TraceError(where, f"a whole number as the {key} of its values", quoted(text))
    return int(text)
