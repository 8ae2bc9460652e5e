"""Random matrices of each element type that the tests of the format share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stcsim.isa import DTYPES
from stcsim.numerics.formats import code_type

SPARSE_TYPES = [row.name for row in DTYPES.values() if row.sparse_group and not row.codes]
#: Elements of one index, units of a group, units kept: what makes a matrix 2:4 (tf32 1:2, 4-bit types in pairs).
UNITS = {
    name: (row.sparse_pair, row.sparse_group // row.sparse_pair, row.sparse_kept // row.sparse_pair)
    for name, row in ((name, DTYPES[name]) for name in SPARSE_TYPES)
}


def random_sparse(dtype: str, shape: tuple[int, ...], seed: int, fill: float = 1.0) -> npt.NDArray[np.unsignedinteger]:
    """Return raw codes of any bits, NaN and -0 included, of which each group keeps at most what it may."""
    row, random = DTYPES[dtype], np.random.default_rng(seed)
    pair, units, kept = UNITS[dtype]
    codes = random.integers(0, 2**row.bits, shape, dtype=np.uint64).astype(code_type(row))
    groups = (*shape[:-1], shape[-1] // row.sparse_group, units)
    keep = (random.random(groups).argsort(axis=-1) < kept) & (random.random(groups) < fill)
    return codes * np.repeat(keep, pair, axis=-1).reshape(shape)


def plain_zeros(codes: npt.NDArray[np.unsignedinteger], dtype: str) -> npt.NDArray[np.unsignedinteger]:
    """Return ``codes`` with +0 for every -0."""
    return np.where(codes & DTYPES[dtype].magnitude_mask, codes, 0).astype(codes.dtype)
