"""The compiled loops of ``encode``: numbers in, raw codes out, one pass over memory.

Twin of ``formats.encoded``, with which it shares nothing but the rows of the table of element types. A float of the source
becomes one of the target in integer arithmetic on its bits: the fraction is rounded by adding half a unit less one, plus the
last bit that stays (ties to even), and the carry runs into the exponent as it should. A subnormal of the target is rounded by
one addition of a power of two whose last place is the target's smallest number: the hardware's own rounding to nearest even.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stcsim.jit import compiled

# nogil: callers may share work out to threads. error_model: no zero-division checks in the loop; nothing in it divides.
_jit: Any = compiled(nogil=True)


class FloatTarget(NamedTuple):
    """A floating-point format as the bits of the source see it; every number in the unsigned type of the source's bits.

    Attributes:
        magnitude: mask of all bits of the source but its sign.
        infinity: the source's infinity; NaN is above it.
        least: the source's code of the smallest normal number of the target.
        drop: fraction bits that the target has not.
        half: half a unit of the target in the source's fraction, less one; 0 when nothing is dropped.
        last: 1 when anything is dropped, else 0.
        rebias: difference of the biases, at the place of the target's exponent.
        largest: the target's code of its largest finite number.
        beyond: what stands for larger ones.
        nan: the target's code of NaN, which has no sign; a code that does not occur where there is none.
        source_sign, sign: bit numbers of the signs.
        dropped: low bits of a code that hold nothing (tf32).
        small: bits of ``shift``.
    """

    magnitude: Any
    infinity: Any
    least: Any
    drop: Any
    half: Any
    last: Any
    rebias: Any
    largest: Any
    beyond: Any
    nan: Any
    source_sign: Any
    sign: Any
    dropped: Any
    small: Any


@_jit
def encode_floats(x, bits, shift, target, moved, moved_bits, out):  # type: ignore[no-untyped-def]
    """Write the code of each number of ``x`` to ``out``.

    Args:
        x: (count,) float32 or float64.
        bits: the same memory as unsigned integers.
        shift: a power of two in the type of ``x``, whose unit in the last place is the target's smallest number.
        target: the format.
        moved, moved_bits: (some,) scratch, and the same memory as unsigned integers.
        out: (count,) unsigned integers.
    """
    for first in range(0, x.size, moved.size):
        count = min(moved.size, x.size - first)
        for at in range(count):
            moved[at] = abs(x[first + at]) + shift
        for at in range(count):
            whole = bits[first + at]
            magnitude = whole & target.magnitude
            rounded = magnitude + target.half + ((magnitude >> target.drop) & target.last)
            small = moved_bits[at] - target.small
            code = small if magnitude < target.least else (rounded >> target.drop) - target.rebias
            code = target.beyond if code > target.largest else code
            code = target.nan if magnitude > target.infinity else code
            sign = (whole >> target.source_sign) << target.sign
            out[first + at] = (code if code == target.nan else code | sign) << target.dropped


@_jit
def encode_integers(x, least, most, mask, out):  # type: ignore[no-untyped-def]
    """Write each number of ``x``, rounded to nearest even and clamped, to ``out`` in two's complement; NaN gives anything."""
    for at in range(x.size):
        out[at] = np.int64(min(max(np.rint(np.float64(x[at])), least), most)) & mask
