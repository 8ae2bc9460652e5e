"""The other opinion: image patches, products and the compressed format as PyTorch has them.

Nothing here uses ``stcsim.numerics``, so that no mistake of its own can hide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stcsim.isa import DTYPES
from stcsim.tensors.torch_bridge import codes_of, tensor_of, torch_type
from stcsim.trace import Conv2d

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

VERSION = str(torch.__version__)


def patches(op: Conv2d, image: Array, dtype: str) -> Array:
    """Return the raw codes of the image patches of a convolution, (groups, c / groups * r * s, batch * p * q), s fastest."""
    pixels = tensor_of(image, dtype).to(torch.float32)
    columns = torch.nn.functional.unfold(
        pixels, (op.r, op.s), dilation=op.dilation, padding=op.padding, stride=op.stride
    )  # (batch, c * r * s, p * q); a channel's taps stay together, so groups do too
    parts = columns.permute(1, 0, 2).reshape(op.groups, columns.shape[1] // op.groups, -1)
    return codes_of(parts.to(torch_type(dtype)))


def integer_product(a: Array, b: Array) -> npt.NDArray[np.int32]:
    """Return int8 matrices (batch, m, k) times (batch, k, n) by ``torch._int_mm``."""
    pairs = zip(tensor_of(a, "int8"), tensor_of(b, "int8"), strict=True)
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
    kept, metadata = convert(tensor_of(matrix, "int8" if converts_as_bytes(dtype) else dtype))
    return codes_of(kept), codes_of(metadata)


def converts_as_bytes(dtype: str) -> bool:
    """Say whether torch's conversion takes elements as the bytes they are, because it knows no such float."""
    return DTYPES[dtype].is_float and DTYPES[dtype].bits == 8


def format_multiples(dtype: str) -> tuple[int, int]:
    """Return what m and k must be multiples of in torch's conversion: whole blocks, and an even number of words in a row."""
    return {1: (16, 64), 2: (32, 32), 4: (32, 16)}[torch_type(dtype).itemsize]
