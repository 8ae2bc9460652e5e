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
from stcsim.numerics.sparse.filter_orders import reduction_order
from stcsim.numerics.sparse.pruning import check_mask
from stcsim.pruning.settings import Settings
from stcsim.pruning.slabs import Places, matrix_of, naming, numbers_of, read_slab, stored_as
from stcsim.words import ConvOrder

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

    def checked(self, weight: GemmWeight, wanted: Settings) -> GivenMask:
        """Return the mask of a weight, in the order of the reduction in which it holds the pattern.

        Raises:
            StcsimError: when it holds it in none, or has numbers other than 0 and 1; row and group are named.
        """
        tensor, shape = self.tensors[weight.tensor.name], weight.tensor.shape
        mask = tensor.codes()
        if tensor.shape != shape:
            mask = np.unpackbits(np.ascontiguousarray(mask), axis=-1, count=shape[-1], bitorder="little")
        mask = numbers_of(mask, tensor.dtype)
        if mask.dtype.kind == "f":
            mask = np.where((mask == 0) | (mask == 1), mask, 2).astype(np.uint8)
        fits = reduction_order(mask, kept=wanted.kept, group=wanted.group) if weight.taps > 1 else "both"
        order = ConvOrder.CRS if fits == "crs" else ConvOrder.RSC
        with naming((self.where(weight.tensor.name), tensor)):
            keep = check_mask(matrix_of(mask, weight, order), wanted.pattern)
        return GivenMask(np.ascontiguousarray(stored_as(keep, mask, weight, order)), order)

    def slab(self, name: str, start: int, stop: int, places: Places) -> npt.NDArray[Any]:
        """Return the numbers of ``start:stop`` of a weight's first dimension, permuted as the weight is."""
        return numbers_of(read_slab(self.tensors[name], start, stop, places), self.tensors[name].dtype)


@dataclass(frozen=True, slots=True)
class GivenMask:
    """A mask as a weight lies in the file, True where it stays, and the order of the reduction in which it holds the pattern."""

    keep: npt.NDArray[np.bool_]
    order: ConvOrder


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
                expected = "names of weights that GEMMs multiply"
                raise StcsimError(f"{what} {path}", expected, f"'{name}'{closest(name, [each.tensor.name for each in weights])}")
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
