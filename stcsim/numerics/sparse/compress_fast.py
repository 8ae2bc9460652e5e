"""The compiled loops of ``sparse24``: groups of raw codes in, kept codes and nibbles out, and back.

A unit is what one index stands for: an element, or a pair of 4-bit elements seen as one uint16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stcsim.jit import compiled

# cache: a first compile takes seconds. error_model: no zero-division checks; nothing here divides.
_jit: Any = compiled()

#: Nibble of each set of non-zeros (bit i: unit i is not zero), torch's choice where a group keeps a zero; 0 is too many.
NIBBLE = np.array(
    [0b1110, 0b1000, 0b1001, 0b0100, 0b1110, 0b1000, 0b1001, 0, 0b1110, 0b1100, 0b1101, 0, 0b1110, 0, 0, 0], np.uint8
)


@_jit
def compress_groups(units, mask, values, metadata):  # type: ignore[no-untyped-def]
    """Compress 2:4 ``units`` (groups, 4) into ``values`` (groups, 2) and ``metadata`` (groups); a unit & mask == 0 is zero.

    Returns the first group with more than two non-zeros, where it stops, or -1.
    """
    for group in range(units.shape[0]):
        low = (units[group, 0] & mask != 0) | (units[group, 1] & mask != 0) << 1
        nibble = NIBBLE[low | (units[group, 2] & mask != 0) << 2 | (units[group, 3] & mask != 0) << 3]
        if nibble == 0:
            return group
        values[group, 0] = units[group, nibble & 3]
        values[group, 1] = units[group, nibble >> 2]
        metadata[group] = nibble
    return -1


@_jit
def compress_pairs(units, mask, values, metadata):  # type: ignore[no-untyped-def]
    """Compress 1:2 ``units`` (pairs, 2) into ``values`` (pairs, 1) and ``metadata`` (pairs); a zero pair keeps the second.

    Returns the first pair of two non-zeros, where it stops, or -1.
    """
    for pair in range(units.shape[0]):
        first = units[pair, 0] & mask != 0
        if first and units[pair, 1] & mask != 0:
            return pair
        values[pair, 0] = units[pair, 0] if first else units[pair, 1]
        metadata[pair] = 0b0100 if first else 0b1110
    return -1


@_jit
def expand_groups(values, metadata, units):  # type: ignore[no-untyped-def]
    """Put ``values`` (groups, 2) where ``metadata`` (groups) says into zeroed ``units`` (groups, 4)."""
    for group in range(units.shape[0]):
        units[group, metadata[group] & 3] = values[group, 0]
        units[group, metadata[group] >> 2] = values[group, 1]


@_jit
def expand_pairs(values, metadata, units):  # type: ignore[no-untyped-def]
    """Put ``values`` (pairs, 1) where ``metadata`` (pairs) says into zeroed ``units`` (pairs, 2)."""
    for pair in range(units.shape[0]):
        units[pair, (metadata[pair] & 3) >> 1] = values[pair, 0]
