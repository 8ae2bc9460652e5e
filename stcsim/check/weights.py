"""A user's weights by layer name, from safetensors or npz, rounded or quantized to the element type of a check."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.check import torch_side
from stcsim.check.layers import Layer, code_name
from stcsim.errors import StcsimError
from stcsim.isa import DType

Array = npt.NDArray[Any]

_NUMBERS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8)


class Weights:
    """An open file of arrays; each is read when it is asked for."""

    def __init__(self, path: Path, layers: Sequence[Layer], stack: ExitStack) -> None:
        """Open the file and refuse it when it names none of ``layers``; ``stack`` closes it.

        Raises:
            StcsimError: when it cannot be read, or holds no weight of any layer.
        """
        self.path = path
        self.arrays = _open(path, stack)
        keys = list(self.arrays)
        wanted = [layer.op.name for layer in layers if layer.op.weight_elements]
        if not any(self.key(name) for name in wanted):
            first = f"'{wanted[0]}.weight'" if wanted else "a layer that has weights"
            found = f"{len(keys)} other names, e.g. '{keys[0]}'" if keys else "an empty file"
            raise StcsimError(f"weights {path}", f"weights named after layers, e.g. {first}", found)

    def key(self, name: str) -> str | None:
        """Return what the file calls a layer's weights: its name, or that and ``.weight``; a module used twice is one."""
        module = name.partition("#")[0]
        return next((key for key in (module, f"{module}.weight") if key in self.arrays), None)

    def codes(self, layer: Layer, element: DType) -> Array | None:
        """Return the raw codes of a layer's weights, or ``None`` when the file has none.

        Raises:
            StcsimError: when the shape is another, or a number is not finite or beyond the type.
        """
        key = self.key(layer.op.name)
        if key is None or not layer.op.weight_elements:
            return None
        where = f"{self.path}: {key}"
        array = self._tensor(key, where)
        if tuple(array.shape) != layer.weight_shape:
            shapes = " x ".join(map(str, layer.weight_shape)), " x ".join(map(str, array.shape)) or "a single number"
            raise StcsimError(where, f"shape {shapes[0]} (of layer '{layer.op.name}')", shapes[1])
        if array.dtype.is_floating_point and not torch.isfinite(array).all():
            raise StcsimError(where, "finite numbers", "NaN or infinity")
        return _codes(array, element, where)

    def _tensor(self, key: str, where: str) -> Any:
        """Return one array as a tensor of numbers."""
        try:
            array = self.arrays[key]
        except (ValueError, OSError, zipfile.BadZipFile) as error:  # an npz is read piece by piece; objects are refused
            raise StcsimError(where, "an array of numbers", f"what numpy cannot read ({_first_line(error)})") from None
        if isinstance(array, np.ndarray):
            if array.dtype.kind not in "fi" or array.dtype.itemsize > 8 or array.dtype.kind == "i" and array.itemsize > 1:
                raise StcsimError(where, "float16, float32, float64 or int8", f"an array of {array.dtype.name}")
            return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape))
        if array.dtype not in _NUMBERS:
            known = ", ".join(str(each).removeprefix("torch.") for each in _NUMBERS)
            raise StcsimError(where, f"one of {known}", str(array.dtype).removeprefix("torch."))
        return array


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


def _open(path: Path, stack: ExitStack) -> Mapping[str, Any]:
    """Return the arrays of a file by name."""
    if path.suffix not in (".safetensors", ".npz"):
        raise StcsimError(f"weights {path}", "a file that ends in .safetensors or .npz", f"'{path.suffix or path.name}'")
    if not path.is_file():
        raise StcsimError(f"weights {path}", "a file that can be read", "a folder" if path.is_dir() else "no such file")
    if path.suffix == ".safetensors" and find_spec("safetensors") is None:
        raise StcsimError(f"weights {path}", "the safetensors package (pip install safetensors)", "none")
    try:
        if path.suffix == ".npz":
            archive: Mapping[str, Any] = stack.enter_context(np.load(path, allow_pickle=False))
            return archive
        from safetensors import safe_open

        return _Safetensors(stack.enter_context(safe_open(str(path), framework="pt")))
    except Exception as error:  # each library has its own
        raise StcsimError(f"weights {path}", f"a {path.suffix[1:]} file", f"'{_first_line(error)}'") from None


def _codes(array: Any, element: DType, where: str) -> Array:
    """Return raw codes: rounded; int8 from floats with a scale for each output, fp8 with one for all, to the largest code."""
    name = code_name(element)
    if not element.is_float:
        return torch_side.encode(array if array.dtype == torch.int8 else _quantized(array, element.largest), name)
    if element.needs_scale:
        largest = float(array.double().abs().max())
        return torch_side.encode(array.double() * (element.largest / largest if largest else 1.0), name)
    codes = torch_side.encode(array, name)
    if not np.isfinite(torch_side.decode(codes, name)).all():
        raise StcsimError(where, f"numbers that {element.name} can hold", f"{float(array.double().abs().max()):g}")
    return codes


def _quantized(array: Any, largest_code: float) -> Any:
    """Return whole numbers up to ``largest_code`` and down to minus it, each output (row, filter) by its own largest weight."""
    rows = array.double().reshape(-1, array.shape[-1]) if array.dim() < 4 else array.double().reshape(array.shape[0], -1)
    largest = rows.abs().amax(dim=1, keepdim=True)
    scaled = rows * torch.where(largest > 0, largest_code / largest, torch.ones_like(largest))
    return scaled.round().reshape(array.shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
