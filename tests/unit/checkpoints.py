"""Small checkpoints made by hand: the bytes of a safetensors file, with or without a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.numerics.sparse.pruning import prune

NAMES = {"float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "uint8": "U8", "int16": "I16", "int32": "I32",
         "int64": "I64", "uint16": "BF16"}  # fmt: skip
"""What numpy's types are called; a uint16 holds the codes of bf16."""


def header(arrays: Mapping[str, np.ndarray[Any, Any]], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the header of ``arrays``; ``names`` are types that numpy does not tell."""
    entries: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        kind = (names or {}).get(name) or NAMES[array.dtype.name]
        entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    return entries


def write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], names: Mapping[str, str] | None = None) -> Path:
    """Write ``arrays`` as a safetensors file."""
    return write_raw(path, header(arrays, names), b"".join(array.tobytes() for array in arrays.values()))


def write_raw(path: Path, entries: object, data: bytes, length: int | None = None) -> Path:
    """Write a header, right or wrong, and bytes behind it; the header says that it has ``length`` bytes."""
    text = entries.encode() if isinstance(entries, str) else json.dumps(entries).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def drawn(*shape: int, dtype: str = "float16", seed: int = 0) -> np.ndarray[Any, Any]:
    """Return random weights without a zero."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return np.where(numbers == 0, 1, numbers).astype(dtype)


def pruned(*shape: int, axis: int = -1, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return random fp16 weights of which exactly two of each four along ``axis`` are not zero."""
    return prune(drawn(*shape, seed=seed), axis=axis)
