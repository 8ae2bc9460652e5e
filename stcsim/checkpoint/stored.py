"""One tensor of a checkpoint: what it is, and its codes when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[Any]

PLAIN = "plain"
"""The layout of a tensor whose elements lie one after the other, row-major."""


def _nothing() -> None:
    """Give nothing back: the codes were made, not mapped."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a checkpoint, as the network has it: a compressed layout is seen through.

    Attributes:
        name: in the checkpoint; of a compressed weight the name without the endings of its parts.
        shape: of the whole tensor.
        dtype: type of its elements: ``"fp16"``, ``"bf16"``, ``"e4m3"``, ``"int4"``, ``"int64"``, ``"bool"`` …
        nbytes: what all its parts take in the file.
        layout: ``"plain"``, ``"sparse-24-bitmask"``, ``"marlin-24"`` or ``"pack-quantized"``.
        read: reads ``start:stop`` of the first dimension.
        give_back: lets the memory go that reading has mapped.
        in_pieces: whether reading a part reads less than the whole.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    layout: str
    read: Callable[[int, int], Codes] = field(repr=False, compare=False)
    give_back: Callable[[], None] = field(default=_nothing, repr=False, compare=False)
    in_pieces: bool = field(default=True, repr=False, compare=False)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return prod(self.shape)

    def codes(self) -> Codes:
        """Return all elements, of the shape of the tensor.

        Numbers where numpy has the type (fp16, fp32, fp64 and integers), unsigned raw codes of bf16, e4m3, e5m2 and e2m1;
        ``stcsim.numerics`` takes either together with ``dtype``. Four-bit integers are one int8 each. A plain tensor of a
        safetensors file is memory-mapped and not copied; nobody may write to it.
        """
        return self.slab(0, self.shape[0]) if self.shape else self.read(0, 1).reshape(())

    def slab(self, start: int, stop: int) -> Codes:
        """Return ``codes()[start:stop]`` without reading the rest where the layout allows it."""
        return self.read(start, stop)

    def release(self) -> None:
        """Let the memory go that reading has mapped; arrays that were handed out stay valid and are read again when used."""
        self.give_back()


def of_array(name: str, array: Codes, dtype: str, nbytes: int | None = None, layout: str = PLAIN) -> StoredTensor:
    """Return a tensor that lies in memory."""
    whole = np.atleast_1d(array)
    stored = array.nbytes if nbytes is None else nbytes
    return StoredTensor(name, array.shape, dtype, stored, layout, lambda start, stop: whole[start:stop])
