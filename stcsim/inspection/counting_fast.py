"""The compiled loops of ``inspect``: how full the groups of a weight are, and what of its magnitude pruning keeps.

A weight comes as its raw codes, cut into (outer, length, inner) with the groups along the middle: ``inner`` is 1 where they lie
along the last dimension. Sums are added in the order of the bytes, so that two machines agree to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stcsim.jit import compiled

# cache: a first compile takes seconds. error_model: no zero-division checks; nothing here divides.
_jit: Any = compiled()


@_jit
def count_rows(codes, mask, found):  # type: ignore[no-untyped-def]
    """Do what ``count_fours`` does for groups that lie together, ``codes`` (groups, 4)."""
    over = over_one = not_zero = np.int64(0)
    top = codes.dtype.type(0)
    for group in range(codes.shape[0]):
        a, b = codes[group, 0] & mask, codes[group, 1] & mask
        c, d = codes[group, 2] & mask, codes[group, 3] & mask
        filled = np.int64(a != 0) + np.int64(b != 0) + np.int64(c != 0) + np.int64(d != 0)
        not_zero += filled
        over += np.int64(filled > 2)
        over_one += np.int64(filled > 1)
        top = max(top, max(max(a, b), max(c, d)))
    found[0] += over
    found[1] += over_one
    found[2] += not_zero
    found[3] = max(found[3], np.int64(top))


@_jit
def count_fours(codes, mask, found):  # type: ignore[no-untyped-def]
    """Add to ``found`` (4): groups with more than two and with more than one element that is not zero, and such elements.

    ``mask`` are the bits that are all zero in a zero. Last in ``found`` is the largest code, which tells of a NaN.
    """
    over = over_one = not_zero = np.int64(0)
    top = codes.dtype.type(0)
    for outer in range(codes.shape[0]):
        for group in range(0, codes.shape[1] - 3, 4):
            for inner in range(codes.shape[2]):
                a, b = codes[outer, group, inner] & mask, codes[outer, group + 1, inner] & mask
                c, d = codes[outer, group + 2, inner] & mask, codes[outer, group + 3, inner] & mask
                filled = np.int64(a != 0) + np.int64(b != 0) + np.int64(c != 0) + np.int64(d != 0)
                not_zero += filled
                over += np.int64(filled > 2)
                over_one += np.int64(filled > 1)
                top = max(top, max(max(a, b), max(c, d)))
    found[0] += over
    found[1] += over_one
    found[2] += not_zero
    found[3] = max(found[3], np.int64(top))


@_jit
def first_over(codes, group, pair, kept, mask):  # type: ignore[no-untyped-def]
    """Return outer, first of the group, and inner of the first group with more than ``kept``; -1 where there is none."""
    for outer in range(codes.shape[0]):
        for first in range(0, codes.shape[1] - group + 1, group):
            for inner in range(codes.shape[2]):
                filled = np.int64(0)
                for unit in range(first, first + group, pair):
                    bits = codes[outer, unit, inner] & mask
                    for at in range(unit + 1, unit + pair):
                        bits |= codes[outer, at, inner] & mask
                    filled += np.int64(bits != 0)
                if filled > kept:
                    return outer, first, inner
    return -1, -1, -1


@_jit
def _widened(code, mask, shift, scale):  # type: ignore[no-untyped-def]
    return np.uint32(np.uint32(code & mask) << shift).view(np.float32) * scale


@_jit
def _two_largest(a, b, c, d):  # type: ignore[no-untyped-def]
    high, low = max(a, b), min(a, b)
    other_high, other_low = max(c, d), min(c, d)
    return np.float64(max(high, other_high)), np.float64(max(min(high, other_high), max(low, other_low)))


@_jit
def add_kept(codes, mask, shift, scale, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` (4): magnitudes, those that 2:4 keeps, squares, and those that 2:4 keeps.

    ``mask`` and ``shift`` turn a code into the bits of a float32 that is ``scale`` times too small.
    """
    total = kept = total_squares = kept_squares = 0.0
    for outer in range(codes.shape[0]):
        for group in range(0, codes.shape[1] - 3, 4):
            for inner in range(codes.shape[2]):
                a = _widened(codes[outer, group, inner], mask, shift, scale)
                b = _widened(codes[outer, group + 1, inner], mask, shift, scale)
                c = _widened(codes[outer, group + 2, inner], mask, shift, scale)
                d = _widened(codes[outer, group + 3, inner], mask, shift, scale)
                first, second = _two_largest(a, b, c, d)
                e, f, g, h = np.float64(a), np.float64(b), np.float64(c), np.float64(d)
                total += (e + f) + (g + h)
                kept += first + second
                total_squares += (e * e + f * f) + (g * g + h * h)
                kept_squares += first * first + second * second
    sums[0] += total
    sums[1] += kept
    sums[2] += total_squares
    sums[3] += kept_squares


@_jit
def add_kept_rows(codes, mask, shift, scale, sums):  # type: ignore[no-untyped-def]
    """Do what ``add_kept`` does for groups that lie together, ``codes`` (groups, 4)."""
    total = kept = total_squares = kept_squares = 0.0
    for group in range(codes.shape[0]):
        a = _widened(codes[group, 0], mask, shift, scale)
        b = _widened(codes[group, 1], mask, shift, scale)
        c = _widened(codes[group, 2], mask, shift, scale)
        d = _widened(codes[group, 3], mask, shift, scale)
        first, second = _two_largest(a, b, c, d)
        e, f, g, h = np.float64(a), np.float64(b), np.float64(c), np.float64(d)
        total += (e + f) + (g + h)
        kept += first + second
        total_squares += (e * e + f * f) + (g * g + h * h)
        kept_squares += first * first + second * second
    sums[0] += total
    sums[1] += kept
    sums[2] += total_squares
    sums[3] += kept_squares
