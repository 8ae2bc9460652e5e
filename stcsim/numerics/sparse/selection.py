"""Which rows of B a compressed A selects: the multiplexers of a sparse tensor core, as an index.

Known (PTX ISA): the codes and what they select. Seen on an H200 and an H100, assumed elsewhere: a row of B that is not selected
is never read, so that an infinity there has no effect. Assumed: unordered pairs (plain ``mma.sp``) select as their two indices
say.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stcsim.numerics.codes import sparse_type
from stcsim.numerics.sparse.sparse24 import KEEPS_FIRST, Sparse24, validate


def kept_columns(a: Sparse24, ordered: bool = True) -> npt.NDArray[np.int32]:
    """Return the column of the expanded A, which is the row of B, of every kept value: (..., m, k/2) int32.

    Args:
        a: the compressed matrix.
        ordered: as ``mma.sp::ordered_metadata``, indices must ascend; else they must only differ (plain ``mma.sp``).

    Raises:
        StcsimError: when an encoding is undefined; row and group are named.
    """
    nibbles = validate(a, ordered).metadata.astype(np.int32)
    row = sparse_type(a.dtype)
    base = np.arange(nibbles.shape[-1], dtype=np.int32) * row.sparse_group
    if row.sparse_group == 2:
        second: npt.NDArray[np.int32] = (nibbles != KEEPS_FIRST).astype(np.int32)
        return base + second
    chosen = np.stack([nibbles & 3, nibbles >> 2], axis=-1)[..., None] * row.sparse_pair + np.arange(
        row.sparse_pair, dtype=np.int32
    )
    columns: npt.NDArray[np.int32] = (base[:, None, None] + chosen).reshape(*nibbles.shape[:-1], a.k // 2)
    return columns


def padded(a: Sparse24, k: int) -> Sparse24:
    """Return the same matrix with zeros up to ``k`` columns; the added groups keep their first elements."""
    more = k - a.k
    if not more:
        return a
    rows = [(0, 0)] * (a.values.ndim - 1)
    groups = more * a.metadata.shape[-1] // a.k if a.k else more // sparse_type(a.dtype).sparse_group
    values = np.pad(a.values, [*rows, (0, more // 2)])
    return Sparse24(values, np.pad(a.metadata, [*rows, (0, groups)], constant_values=KEEPS_FIRST), a.dtype, k)
