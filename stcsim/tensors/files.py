"""Arrays by name from ``.safetensors`` and ``.npz``, each read when it is asked for; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stcsim.errors import StcsimError
from stcsim.npz_members import member_of

_NUMBERS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8)


class _Safetensors(Mapping[str, Any]):
    """The tensors of an open safetensors file by name."""

    def __init__(self, file: Any) -> None:
        self.file, self.names = file, dict.fromkeys(file.keys())

    def __getitem__(self, key: str) -> Any:
        return self.file.get_tensor(key)

    def __contains__(self, key: object) -> bool:
        return key in self.names

    def __iter__(self) -> Any:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def open_arrays(path: Path, where: str, stack: ExitStack) -> Mapping[str, Any]:
    """Return the arrays of a file by name; ``stack`` closes it, ``where`` names it in errors.

    Raises:
        StcsimError: when it cannot be read, or is no such file.
    """
    if path.suffix not in (".safetensors", ".npz"):
        raise StcsimError(where, "a file that ends in .safetensors or .npz", f"'{path.suffix or path.name}'")
    if not path.is_file():
        raise StcsimError(where, "a file that can be read", "a folder" if path.is_dir() else "no such file")
    if path.suffix == ".safetensors" and find_spec("safetensors") is None:
        raise StcsimError(where, "the safetensors package (pip install safetensors)", "none")
    try:
        if path.suffix == ".npz":
            archive: Mapping[str, Any] = stack.enter_context(np.load(path, allow_pickle=False))
            return archive
        from safetensors import safe_open

        return _Safetensors(stack.enter_context(safe_open(str(path), framework="pt")))
    except Exception as error:  # each library has its own
        raise StcsimError(where, f"a {path.suffix[1:]} file", f"'{_first_line(error)}'") from None


def read_tensor(arrays: Mapping[str, Any], key: str, where: str) -> Any:
    """Return one array as a tensor of numbers.

    Raises:
        StcsimError: when it cannot be read, or holds no numbers of a known type.
    """
    if isinstance(arrays, np.lib.npyio.NpzFile):
        _look_at(arrays, key, where)
    try:
        array = arrays[key]
    except MemoryError:
        raise StcsimError(where, "an array that fits in memory", "a larger one") from None
    except Exception as error:  # an npz is read piece by piece, and zlib has errors of its own
        raise StcsimError(where, "an array of numbers", f"what cannot be read ({_first_line(error)})") from None
    if isinstance(array, np.ndarray):
        if array.dtype.kind not in "fi" or array.dtype.itemsize > 8 or array.dtype.kind == "i" and array.itemsize > 1:
            raise StcsimError(where, "float16, float32, float64 or int8", f"an array of {array.dtype.name}")
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape))
    if array.dtype not in _NUMBERS:
        known = ", ".join(str(each).removeprefix("torch.") for each in _NUMBERS)
        raise StcsimError(where, f"one of {known}", str(array.dtype).removeprefix("torch."))
    return array


def _look_at(archive: Any, key: str, where: str) -> None:
    """Refuse a member of an npz that is no array, or claims too much, before it is read."""
    members = {info.filename: info for info in archive.zip.infolist()}
    info = members.get(f"{key}.npy") or members.get(key)
    if info is not None:
        member_of(archive.zip, info, where)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
