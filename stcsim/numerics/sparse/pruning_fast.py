"""The compiled loops of ``prune``: magnitudes in, masks out."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np

from stcsim.jit import compiled

# cache: a first compile takes seconds. error_model: no zero-division checks; nothing here divides.
_jit: Any = compiled()

#: The two columns that each of the six row patterns keeps, in lexicographic order.
ROW_PATTERNS = np.array(list(combinations(range(4), 2)), np.int64)
#: (90, 4): the row patterns of each 4x4 pattern with two kept in every row and column, in lexicographic order.
TILE_PATTERNS = np.array(
    [rows for rows in product(range(6), repeat=4) if (np.bincount(ROW_PATTERNS[list(rows)].ravel(), minlength=4) == 2).all()]
)


@_jit
def keep_largest(keys, kept, keep):  # type: ignore[no-untyped-def]
    """Mark in ``keep`` the ``kept`` largest of each row of ``keys`` (groups, M), of equal ones the first."""
    groups, size = keys.shape
    for group in range(groups):
        for at in range(size):
            above = 0  # how many come before this one
            for other in range(at):
                above += keys[group, other] >= keys[group, at]
            for other in range(at + 1, size):
                above += keys[group, other] > keys[group, at]
            keep[group, at] = above < kept


@_jit
def keep_best(tiles, keep):  # type: ignore[no-untyped-def]
    """Mark in zeroed ``keep`` (tiles, 16) the pattern of the largest sum of ``tiles`` (tiles, 16), the first of equals."""
    pairs = np.empty((4, 6), np.float64)  # what each row would keep
    for tile in range(tiles.shape[0]):
        for row in range(4):
            for pattern in range(6):
                first, second = ROW_PATTERNS[pattern, 0], ROW_PATTERNS[pattern, 1]
                pairs[row, pattern] = tiles[tile, 4 * row + first] + tiles[tile, 4 * row + second]
        best, most = 0, -np.inf
        for pattern in range(TILE_PATTERNS.shape[0]):
            rows = TILE_PATTERNS[pattern]
            total = (pairs[0, rows[0]] + pairs[1, rows[1]]) + (pairs[2, rows[2]] + pairs[3, rows[3]])
            if total > most:
                best, most = pattern, total
        for row in range(4):
            for side in range(2):
                keep[tile, 4 * row + ROW_PATTERNS[TILE_PATTERNS[best, row], side]] = True


@_jit
def keep_greedy(tiles, keep):  # type: ignore[no-untyped-def]
    """Mark in zeroed ``keep`` (tiles, 16) the weights of ``tiles`` by descending key, at most two a row and column."""
    order = np.empty(16, np.int64)
    rows, columns = np.empty(4, np.int64), np.empty(4, np.int64)
    for tile in range(tiles.shape[0]):
        for at in range(16):  # insertion sort, stable
            to = at
            while to > 0 and tiles[tile, order[to - 1]] < tiles[tile, at]:
                order[to] = order[to - 1]
                to -= 1
            order[to] = at
        rows[:] = 0
        columns[:] = 0
        for cell in order:
            row, column = cell >> 2, cell & 3
            if rows[row] < 2 and columns[column] < 2:
                rows[row] += 1
                columns[column] += 1
                keep[tile, cell] = True
