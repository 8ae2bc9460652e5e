"""The compiled sums of magnitudes: of all weights, and of those that stay."""

from __future__ import annotations

from typing import Any

from stcsim.jit import compiled

# cache: a first compile takes seconds. No fastmath: the sum is one chain, the same on every machine.
_jit: Any = compiled()


@_jit
def sum_codes(codes, table, keep):  # type: ignore[no-untyped-def]
    """Return the sums of ``table[code]`` over all ``codes`` and over those with ``keep``, each (elements)."""
    total, kept = 0.0, 0.0
    for at in range(codes.shape[0]):
        magnitude = table[codes[at]]
        total += magnitude
        if keep[at]:
            kept += magnitude
    return total, kept


@_jit
def sum_numbers(numbers, keep):  # type: ignore[no-untyped-def]
    """Return the sums of magnitudes over all ``numbers``, float32 or float64, and over those with ``keep``, each (elements)."""
    total, kept = 0.0, 0.0
    for at in range(numbers.shape[0]):
        magnitude = abs(float(numbers[at]))
        total += magnitude
        if keep[at]:
            kept += magnitude
    return total, kept
