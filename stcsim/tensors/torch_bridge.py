"""Raw codes of elements as tensors of PyTorch and back, by PyTorch's own conversions.

Nothing here uses ``stcsim.numerics``, so that a comparison with it hides no mistake of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.isa import DTYPES

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


def torch_type(dtype: str) -> Any:
    """Return the PyTorch type that holds an element; a tf32 lies in a float32, without its low bits."""
    return getattr(torch, DTYPES[dtype].torch)


def encode(values: Any, dtype: str) -> Array:
    """Return the raw codes nearest to a tensor or float32 array of ``values``, ties to even."""
    tensor = torch.as_tensor(values)
    codes, dropped_bits = codes_of(tensor.to(torch_type(dtype))), DTYPES[dtype].dropped_bits
    return _rounded(codes, dropped_bits) if dropped_bits else codes


def decode(codes: Array, dtype: str) -> Floats:
    """Return what raw codes stand for."""
    decoded: Floats = tensor_of(codes, dtype).to(torch.float32).to(torch.float64).numpy()
    return decoded


def tensor_of(codes: Array, dtype: str) -> Any:
    """Return raw codes as a tensor of the type that holds them."""
    words = np.ascontiguousarray(codes)
    return torch.from_numpy(words.view(f"i{words.itemsize}" if words.itemsize > 1 else "u1")).view(torch_type(dtype))


def codes_of(tensor: Any) -> Array:
    """Return the raw codes of a tensor, unsigned."""
    words: Array = tensor.contiguous().view(_WORDS[tensor.dtype.itemsize]).numpy()
    return words.view(f"u{words.itemsize}")


def _rounded(codes: Array, dropped_bits: int) -> Array:
    """Round float32 codes to those whose low bits are zero, ties to even (as cvt.rna but for ties)."""
    half, last = (1 << (dropped_bits - 1)) - 1, (codes >> dropped_bits) & 1
    rounded: Array = (codes + (half + last).astype(np.uint32)) >> dropped_bits << dropped_bits
    return rounded
