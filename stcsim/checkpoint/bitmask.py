"""The layout ``sparse-24-bitmask`` of compressed-tensors: kept values, and one bit for each element that says where they were.

A weight of (rows, columns) is three tensors: ``compressed`` (rows, columns / 2) in the type of the weight, two values of each
four in order; ``bitmask`` (rows, columns / 8 rounded up) uint8, a bit for each column, the first column lowest; and ``shape``,
two int64. Exactly two bits of each four are set: where fewer than two values are not zero, zeros are kept. Learned from
vllm-project/compressed-tensors 0.9 (``sparse_24_bitmask.py``, ``pack_into_bitmasks``), which vLLM no longer reads.

``sparse-bitmask`` is its unstructured sibling: ``compressed`` has one dimension, and ``row_offsets`` says where each row begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stcsim.checkpoint.stored import Codes
from stcsim.errors import StcsimError
from stcsim.numerics.codes import magnitude_keys, place
from stcsim.numerics.sparse.pruning import keep_mask


@dataclass(frozen=True, slots=True)
class Bitmask24:
    """A 2:4 matrix in this layout.

    Attributes:
        compressed: (rows, columns / 2) numbers or raw codes.
        bitmask: (rows, ceil(columns / 8)) uint8.
        shape: rows and columns.
    """

    compressed: Codes
    bitmask: Codes
    shape: tuple[int, int]


def pack_bitmask(weight: Codes, dtype: str) -> Bitmask24:
    """Return a matrix that is 2:4 along its rows in the layout ``sparse-24-bitmask``.

    Args:
        weight: (rows, columns) numbers, or raw codes of ``dtype``.
        dtype: type of its elements.

    Raises:
        StcsimError: when it is no matrix of whole groups, or a group has more than two non-zeros.
    """
    if weight.ndim != 2 or weight.shape[1] % 4:
        raise StcsimError("sparse-24-bitmask", "a matrix whose columns are a multiple of 4", f"shape {weight.shape}")
    keep = keep_mask(weight, "2:4", dtype=dtype)
    dropped = (magnitude_keys(weight, dtype) != 0) & ~keep
    if dropped.any():
        at = np.unravel_index(int(np.argmax(dropped)), weight.shape)
        where = place([int(each) for each in at], weight.shape)
        raise StcsimError("sparse-24-bitmask", "at most two of each four along a row that are not 0", f"a third at {where}")
    rows, columns = weight.shape
    return Bitmask24(weight[keep].reshape(rows, columns // 2), np.packbits(keep, axis=1, bitorder="little"), (rows, columns))


def unpack_bitmask(packed: Bitmask24, where: str = "sparse-24-bitmask") -> Codes:
    """Return the matrix, with 0 where nothing was kept. ``where`` names it in errors.

    Raises:
        StcsimError: when the parts do not fit each other, or a row does not say where just its values were.
    """
    from stcsim.checkpoint import bitmask_fast

    (rows, columns), bits = packed.shape, packed.bitmask
    if packed.compressed.shape != (rows, columns // 2) or columns % 4:
        found = f"{packed.compressed.shape} for a weight of shape {packed.shape}"
        raise StcsimError(f"{where}: compressed", "half of a matrix whose columns are a multiple of 4", found)
    if bits.shape != (rows, -(-columns // 8)) or bits.dtype != np.uint8:
        raise StcsimError(f"{where}: bitmask", f"shape {(rows, -(-columns // 8))} of uint8", f"{bits.shape} of {bits.dtype.name}")
    values = np.ascontiguousarray(packed.compressed)
    weight = np.zeros((rows, columns), f"u{values.itemsize}")
    wrong = bitmask_fast.expand(values.view(weight.dtype), bits, weight)
    if wrong >= 0:
        row, group = divmod(int(wrong), columns // 4)
        half = int(bits[row, group // 2]) >> 4 * (group % 2) & 15
        found = f"{half.bit_count()} in group {group} of row {row}"
        raise StcsimError(f"{where}: bitmask", "two bits set in each four", found)
    return weight.view(values.dtype)


def unpack_unstructured(compressed: Codes, bitmask: Codes, shape: tuple[int, int], where: str) -> Codes:
    """Return a matrix of the layout ``sparse-bitmask``.

    Raises:
        StcsimError: when the parts do not fit each other.
    """
    rows, columns = shape
    if bitmask.shape != (rows, -(-columns // 8)) or bitmask.dtype != np.uint8:
        found = f"{bitmask.shape} of {bitmask.dtype.name}"
        raise StcsimError(f"{where}: bitmask", f"shape {(rows, -(-columns // 8))} of uint8", found)
    keep = np.unpackbits(bitmask, axis=1, count=columns, bitorder="little").view(np.bool_)
    if compressed.shape != (int(np.count_nonzero(keep)),):
        found = f"{compressed.shape}"
        raise StcsimError(f"{where}: compressed", f"the {np.count_nonzero(keep):,} values that the bitmask has", found)
    weight = np.zeros((rows, columns), compressed.dtype)
    weight[keep] = compressed
    return weight
