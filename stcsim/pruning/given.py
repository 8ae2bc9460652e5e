"""Scores and masks that were made elsewhere, by name of weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint import Checkpoint, StoredTensor, open_checkpoint
from stcsim.checkpoint.weights import GemmWeight
from stcsim.errors import StcsimError, closest
from stcsim.numerics.codes import values

MASK_NAMES = ("{tensor}", "{layer}", "{layer}._weight_mask", "{layer}.weight_mask", "{layer}.__weight_mma_mask", "{tensor}_mask")
"""What a file may call the mask of a weight: stcsim's own, the module, ModelOpt's, torch.nn.utils.prune's and ASP's buffers."""
SCORE_NAMES = ("{tensor}", "{layer}")


@dataclass(frozen=True, slots=True)
class Given:
    """Arrays of a file that belong to weights.

    Attributes:
        path: of the file.
        what: what they are, ``"scores"`` or ``"mask"``, which is also the name of the option.
        tensors: by name of the weight's tensor.
    """

    path: Path
    what: str
    tensors: dict[str, StoredTensor]

    def where(self, name: str) -> str:
        """Return what an error calls one of them."""
        return f"{self.path}: {self.tensors[name].name}"

    def mask(self, weight: GemmWeight) -> npt.NDArray[np.bool_]:
        """Return the mask of a weight, True where it stays.

        Raises:
            StcsimError: when numbers other than 0 and 1 stand there.
        """
        tensor, shape = self.tensors[weight.tensor.name], weight.tensor.shape
        codes = tensor.codes()
        if tensor.shape != shape:
            packed: npt.NDArray[Any] = np.ascontiguousarray(codes)
            return np.unpackbits(packed, axis=-1, count=shape[-1], bitorder="little").view(np.bool_)
        numbers = _numbers(codes, tensor.dtype)
        keep: npt.NDArray[np.bool_] = numbers == 1
        if not (keep | (numbers == 0)).all():
            raise StcsimError(self.where(weight.tensor.name), "0 where a weight goes and 1 where it stays", "other numbers")
        return keep

    def scores(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return scores of ``start:stop`` of a weight's first dimension.

        Raises:
            StcsimError: at a NaN.
        """
        numbers = _numbers(self.tensors[name].slab(start, stop), self.tensors[name].dtype)
        if numbers.dtype.kind == "f" and np.isnan(numbers).any():
            raise StcsimError(self.where(name), "numbers", "NaN")
        return numbers


def open_given(path: Path, what: str, weights: Sequence[GemmWeight], names: Sequence[str]) -> tuple[Checkpoint, Given]:
    """Open a file of arrays by name of weight; the caller closes the first of what is returned.

    Raises:
        StcsimError: when it cannot be read, has an array that belongs to no weight, or one of another shape.
    """
    file = open_checkpoint(path)
    try:
        known = {name.format(tensor=each.tensor.name, layer=each.layer): each for each in weights for name in names}
        found: dict[str, StoredTensor] = {}
        for name, tensor in file.items():
            weight = known.get(name)
            if weight is None:
                expected = f"{what} named after weights that GEMMs multiply"
                raise StcsimError(str(path), expected, f"'{name}'{closest(name, [each.tensor.name for each in weights])}")
            _check_shape(f"{path}: {name}", tensor, weight, packed=what == "mask")
            found[weight.tensor.name] = tensor
    except BaseException:
        file.close()
        raise
    return file, Given(path, what, found)


def _check_shape(where: str, tensor: StoredTensor, weight: GemmWeight, packed: bool) -> None:
    shape = weight.tensor.shape
    bits = (*shape[:-1], -(-shape[-1] // 8))
    if tensor.shape != shape and not (packed and tensor.shape == bits and tensor.dtype == "uint8"):
        more = f", or {bits} of uint8 with a bit for each" if packed else ""
        raise StcsimError(where, f"shape {shape}, as {weight.tensor.name} has{more}", f"{tensor.shape} of {tensor.dtype}")


def _numbers(codes: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return numbers that numpy can compare: codes of bf16 and fp8 are read."""
    is_code = codes.dtype.kind == "u" and not dtype.startswith(("uint", "bool"))
    return values(codes, dtype) if is_code else codes
