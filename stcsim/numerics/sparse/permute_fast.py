"""The compiled loops of ``permute``: what each way to deal eight channels to two stripes would keep.

``levels`` is (channels, rows) int32 magnitudes, ``order`` (channels) int64; stripe s is ``order[4 * s : 4 * s + 4]``.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from stcsim.jit import compiled

# cache: a first compile takes seconds. error_model: no zero-division checks; nothing here divides.
_jit: Any = compiled()

#: (35, 8): which four of eight channels go to the first stripe, and which to the second; row 0 changes nothing.
DEALS = np.array(
    [(0, *rest, *(each for each in range(1, 8) if each not in rest)) for rest in combinations(range(1, 8), 3)],
    np.int64,
)


@_jit
def _kept_of_four(a, b, c, d):  # type: ignore[no-untyped-def]
    """Sum over rows of the two largest of four magnitudes, each of ``a`` to ``d`` (rows) int32."""
    total = np.int64(0)
    for row in range(a.shape[0]):
        high, low = max(a[row], b[row]), min(a[row], b[row])
        other_high, other_low = max(c[row], d[row]), min(c[row], d[row])
        second = max(min(high, other_high), max(low, other_low))
        total += np.int64(max(high, other_high)) + np.int64(second)
    return total


@_jit
def kept_levels(levels, order):  # type: ignore[no-untyped-def]
    """Return what 2:4 pruning keeps of all stripes."""
    total = np.int64(0)
    for at in range(0, order.shape[0], 4):
        total += _kept_of_four(levels[order[at]], levels[order[at + 1]], levels[order[at + 2]], levels[order[at + 3]])
    return total


@_jit
def weigh_pairs(levels, order, changed, gains, deals):  # type: ignore[no-untyped-def]
    """Fill ``gains`` and ``deals`` (stripes, stripes), above the diagonal, for the pairs with a ``changed`` stripe.

    ``gains`` is what the best way to deal the pair's channels keeps more than they do now, ``deals`` the row of ``DEALS``.
    """
    for first in range(changed.shape[0]):
        for second in range(first + 1, changed.shape[0]):
            if changed[first] or changed[second]:
                now = np.int64(0)
                gains[first, second] = 0
                for way in range(DEALS.shape[0]):
                    kept = np.int64(0)
                    for half in range(0, 8, 4):
                        a = order[_place(first, second, DEALS[way, half])]
                        b = order[_place(first, second, DEALS[way, half + 1])]
                        c = order[_place(first, second, DEALS[way, half + 2])]
                        d = order[_place(first, second, DEALS[way, half + 3])]
                        kept += _kept_of_four(levels[a], levels[b], levels[c], levels[d])
                    if way == 0:
                        now = kept
                    elif kept - now > gains[first, second]:
                        gains[first, second] = kept - now
                        deals[first, second] = way


@_jit
def _place(first, second, at):  # type: ignore[no-untyped-def]
    """Return the place in ``order`` of the channel ``at`` of the eight of two stripes."""
    return 4 * first + at if at < 4 else 4 * second + at - 4


@_jit
def deal(order, first, second, way):  # type: ignore[no-untyped-def]
    """Deal the channels of two stripes anew, in place, ascending within each."""
    eight = np.empty(8, np.int64)
    for at in range(8):
        eight[at] = order[_place(first, second, DEALS[way, at])]
    order[4 * first : 4 * first + 4] = np.sort(eight[:4])
    order[4 * second : 4 * second + 4] = np.sort(eight[4:])
