"""The other opinion: decoding, rounding, image patches, products and the compressed format as PyTorch has them.

Nothing here uses ``stcsim.numerics``, so that no mistake of its own can hide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.isa import DTYPES
from stcsim.trace import Conv2d

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

VERSION = str(torch.__version__)

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


def _type(dtype: str) -> Any:
    """Return the PyTorch type that holds an element; a tf32 lies in a float32, without its low bits."""
    return getattr(torch, DTYPES[dtype].torch)


def encode(values: Any, dtype: str) -> Array:
    """Return the raw codes nearest to a tensor or float32 array of ``values``, ties to even."""
    tensor = torch.as_tensor(values)
    codes, dropped_bits = _codes(tensor.to(_type(dtype))), DTYPES[dtype].dropped_bits
    return _rounded(codes, dropped_bits) if dropped_bits else codes


def decode(codes: Array, dtype: str) -> Floats:
    """Return what raw codes stand for."""
    decoded: Floats = _tensor(codes, dtype).to(torch.float32).to(torch.float64).numpy()
    return decoded


def patches(op: Conv2d, image: Array, dtype: str) -> Array:
    """Return the raw codes of the image patches of a convolution, (groups, c / groups * r * s, batch * p * q), s fastest."""
    pixels = _tensor(image, dtype).to(torch.float32)
    columns = torch.nn.functional.unfold(
        pixels, (op.r, op.s), dilation=op.dilation, padding=op.padding, stride=op.stride
    )  # (batch, c * r * s, p * q); a channel's taps stay together, so groups do too
    parts = columns.permute(1, 0, 2).reshape(op.groups, columns.shape[1] // op.groups, -1)
    return _codes(parts.to(_type(dtype)))


def integer_product(a: Array, b: Array) -> npt.NDArray[np.int32]:
    """Return int8 matrices (batch, m, k) times (batch, k, n) by ``torch._int_mm``."""
    pairs = zip(_tensor(a, "int8"), _tensor(b, "int8"), strict=True)
    product: npt.NDArray[np.int32] = torch.stack([torch._int_mm(left, right) for left, right in pairs]).numpy()
    return product


def float32_product(a: Floats, b: Floats) -> Floats:
    """Return the product of operands that float32 holds exactly, computed by torch in float32."""
    product: Floats = torch.bmm(torch.from_numpy(a).float(), torch.from_numpy(b).float()).double().numpy()
    return product


def compressed(matrix: Array, dtype: str) -> tuple[Array, Array] | str:
    """Return values and metadata of a 2:4 matrix (m, k) as torch's CUTLASS conversion stores them, or why it cannot.

    What ``converts_as_bytes`` names goes in as its bytes, which is right where no -0 is among them. Raw codes; m and k as
    ``format_multiples`` says.
    """
    try:
        from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass as convert
    except ImportError:
        return f"torch {VERSION} has no CUTLASS conversion"
    kept, metadata = convert(_tensor(matrix, "int8" if converts_as_bytes(dtype) else dtype))
    return _codes(kept), _codes(metadata)


def converts_as_bytes(dtype: str) -> bool:
    """Say whether torch's conversion takes elements as the bytes they are, because it knows no such float."""
    return DTYPES[dtype].is_float and DTYPES[dtype].bits == 8


def format_multiples(dtype: str) -> tuple[int, int]:
    """Return what m and k must be multiples of in torch's conversion: whole blocks, and an even number of words in a row."""
    return {1: (16, 64), 2: (32, 32), 4: (32, 16)}[_type(dtype).itemsize]


def _rounded(codes: Array, dropped_bits: int) -> Array:
    """Round float32 codes to those whose low bits are zero, ties to even (as cvt.rna but for ties)."""
    half, last = (1 << (dropped_bits - 1)) - 1, (codes >> dropped_bits) & 1
    rounded: Array = (codes + (half + last).astype(np.uint32)) >> dropped_bits << dropped_bits
    return rounded


def _tensor(codes: Array, dtype: str) -> Any:
    words = np.ascontiguousarray(codes)
    return torch.from_numpy(words.view(f"i{words.itemsize}" if words.itemsize > 1 else "u1")).view(_type(dtype))


def _codes(tensor: Any) -> Array:
    words: Array = tensor.contiguous().view(_WORDS[tensor.dtype.itemsize]).numpy()
    return words.view(f"u{words.itemsize}")
