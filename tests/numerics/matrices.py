"""Random matrices of each element type that the tests of the format share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stcsim.numerics.codes import CODES

#: Elements of one index, units of a group, units kept: what makes a matrix 2:4 (tf32 1:2, 4-bit types in pairs).
UNITS = {name: (row.pair, row.group // row.pair, row.kept // row.pair) for name, row in CODES.items()}


def random_sparse(dtype: str, shape: tuple[int, ...], seed: int, fill: float = 1.0) -> npt.NDArray[np.unsignedinteger]:
    """Return raw codes of any bits, NaN and -0 included, of which each group keeps at most what it may."""
    row, random = CODES[dtype], np.random.default_rng(seed)
    pair, units, kept = UNITS[dtype]
    codes = random.integers(0, 2**row.bits, shape, dtype=np.uint64).astype(row.container)
    groups = (*shape[:-1], shape[-1] // row.group, units)
    keep = (random.random(groups).argsort(axis=-1) < kept) & (random.random(groups) < fill)
    return codes * np.repeat(keep, pair, axis=-1).reshape(shape)


def plain_zeros(codes: npt.NDArray[np.unsignedinteger], dtype: str) -> npt.NDArray[np.unsignedinteger]:
    """Return ``codes`` with +0 for every -0."""
    return np.where(codes & CODES[dtype].magnitude, codes, 0).astype(codes.dtype)
