"""The compressed 2:4 form of a weight matrix: kept values and 2-bit indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Sparse24:
    """A pruned matrix A (m x k) as the hardware stores it; leading batch dimensions are allowed everywhere.

    Attributes:
        values: (..., m, k/2) raw codes of the kept elements, in order of k within each group (uint8, uint16 or uint32).
            4-bit types hold one code in each uint8.
        metadata: (..., m, k/4) uint8 nibbles, one for each group: index of the first kept element in the low two bits,
            of the second in the high two. tf32 (1:2): (..., m, k/2), a nibble for each pair. 4-bit types (4:8 in pairs):
            (..., m, k/8), the indices of the two kept pairs of four.
        dtype: ``fp16``, ``bf16``, ``tf32``, ``int8``, ``uint8``, ``int4``, ``uint4``, ``e4m3`` or ``e5m2``.
        k: columns of the expanded matrix.
    """

    values: npt.NDArray[Any]
    metadata: npt.NDArray[Any]
    dtype: str
    k: int
