"""The other opinion: decoding, rounding, image patches, products and the compressed format as PyTorch has them.

Nothing here uses ``stcsim.numerics``, so that no mistake of its own can hide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.trace import Conv2d

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

VERSION = str(torch.__version__)

_TYPES = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "tf32": torch.float32,  # without its low 13 bits
    "int8": torch.int8,
    "e4m3": getattr(torch, "float8_e4m3fn", None),
    "fp32": torch.float32,
}
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
_DROPPED_BITS = 13  # of fp32 in tf32


def encode(values: Any, dtype: str) -> Array:
    """Return the raw codes nearest to a tensor or float32 array of ``values``, ties to even."""
    tensor = torch.as_tensor(values)
    if dtype == "tf32":
        return _to_tf32(tensor.to(torch.float32).numpy().view(np.uint32))
    return _codes(tensor.to(_TYPES[dtype]))


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
    return _codes(parts.to(_TYPES[dtype]))


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

    fp8 goes in as its bytes, which is right where no -0 is among them. Raw codes; m and k as ``format_multiples`` says.
    """
    try:
        from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass as convert
    except ImportError:
        return f"torch {VERSION} has no CUTLASS conversion"
    kept, metadata = convert(_tensor(matrix, "int8" if dtype == "e4m3" else dtype))
    return _codes(kept), _codes(metadata)


def format_multiples(dtype: str) -> tuple[int, int]:
    """Return what m and k must be multiples of in torch's conversion: whole blocks, and an even number of words in a row."""
    return {1: (16, 64), 2: (32, 32), 4: (32, 16)}[_TYPES[dtype].itemsize]


def _to_tf32(codes: Array) -> Array:
    """Round float32 codes to those whose low 13 bits are zero, ties to even (as cvt.rna but for ties)."""
    half, last = (1 << (_DROPPED_BITS - 1)) - 1, (codes >> _DROPPED_BITS) & 1
    rounded: Array = (codes + (half + last).astype(np.uint32)) >> _DROPPED_BITS << _DROPPED_BITS
    return rounded


def _tensor(codes: Array, dtype: str) -> Any:
    words = np.ascontiguousarray(codes)
    return torch.from_numpy(words.view(f"i{words.itemsize}" if words.itemsize > 1 else "u1")).view(_TYPES[dtype])


def _codes(tensor: Any) -> Array:
    words: Array = tensor.contiguous().view(_WORDS[tensor.dtype.itemsize]).numpy()
    return words.view(f"u{words.itemsize}")
