"""The compiled loop of ``unpack_bitmask``: kept values back to their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from stcsim.jit import compiled

# cache: a first compile takes seconds. error_model: no zero-division checks; nothing here divides.
_jit: Any = compiled()

#: Where the two bits of a half byte are set; -1 for one that has not two.
PLACES = np.array(
    [
        [at for at in range(4) if half >> at & 1] if half.bit_count() == 2 else [-1, -1]
        for half in range(16)
    ],
    np.int64,
)  # fmt: skip


@_jit
def expand(values, bits, weight):  # type: ignore[no-untyped-def]
    """Write ``values`` (rows, columns / 2) to the places that ``bits`` (rows, bytes) have, into zeroed ``weight``.

    Return the number of the first group that has not two bits, counted over all rows; -1 where every one has.
    """
    groups = weight.shape[1] // 4
    for row in range(weight.shape[0]):
        for group in range(groups):
            half = bits[row, group >> 1] >> (4 * (group & 1)) & 15
            if PLACES[half, 0] < 0:
                return row * groups + group
            weight[row, 4 * group + PLACES[half, 0]] = values[row, 2 * group]
            weight[row, 4 * group + PLACES[half, 1]] = values[row, 2 * group + 1]
    return -1
