"""A user's weights by layer name, from safetensors or npz, rounded or quantized to the element type of a check."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.check.layers import Layer, code_name
from stcsim.errors import StcsimError
from stcsim.isa import DType
from stcsim.tensors import torch_bridge
from stcsim.tensors.files import open_arrays, read_tensor

Array = npt.NDArray[Any]


class Weights:
    """An open file of arrays; each is read when it is asked for."""

    def __init__(self, path: Path, layers: Sequence[Layer], stack: ExitStack) -> None:
        """Open the file and refuse it when it names none of ``layers``; ``stack`` closes it.

        Raises:
            StcsimError: when it cannot be read, or holds no weight of any layer.
        """
        self.path = path
        self.arrays = open_arrays(path, f"weights {path}", stack)
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
        array = read_tensor(self.arrays, key, where)
        if tuple(array.shape) != layer.weight_shape:
            shapes = " x ".join(map(str, layer.weight_shape)), " x ".join(map(str, array.shape)) or "a single number"
            raise StcsimError(where, f"shape {shapes[0]} (of layer '{layer.op.name}')", shapes[1])
        if array.dtype.is_floating_point and not torch.isfinite(array).all():
            raise StcsimError(where, "finite numbers", "NaN or infinity")
        return _codes(array, element, where)


def _codes(array: Any, element: DType, where: str) -> Array:
    """Return raw codes: rounded; int8 from floats with a scale for each output, fp8 with one for all, to the largest code."""
    name = code_name(element)
    if not element.is_float:
        return torch_bridge.encode(array if array.dtype == torch.int8 else _quantized(array, element.largest), name)
    if element.needs_scale:
        largest = float(array.double().abs().max())
        return torch_bridge.encode(array.double() * (element.largest / largest if largest else 1.0), name)
    codes = torch_bridge.encode(array, name)
    if not np.isfinite(torch_bridge.decode(codes, name)).all():
        raise StcsimError(where, f"numbers that {element.name} can hold", f"{float(array.double().abs().max()):g}")
    return codes


def _quantized(array: Any, largest_code: float) -> Any:
    """Return whole numbers up to ``largest_code`` and down to minus it, each output (row, filter) by its own largest weight."""
    rows = array.double().reshape(-1, array.shape[-1]) if array.dim() < 4 else array.double().reshape(array.shape[0], -1)
    largest = rows.abs().amax(dim=1, keepdim=True)
    scaled = rows * torch.where(largest > 0, largest_code / largest, torch.ones_like(largest))
    return scaled.round().reshape(array.shape)
