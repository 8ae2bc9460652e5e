"""The compiled datapath: every element of D is a chain of blocks, computed for many columns of B side by side.

Twin of ``reference.add_block`` and ``reference.convert``. All numbers are float64 but every step is exact, so it is integer
arithmetic in disguise, with three gifts: infinities and NaN follow IEEE rules by themselves, a shift is a multiplication
by a power of two, and the compiler turns the loops over columns into vector instructions.

- A product of two significands has at most 22 bits, its exponent at least -252: exact in float64.
- Aligned terms are integers below 2**(F + 2) <= 2**27; the sum of 33 of them is below 2**53: exact.
- Exponents travel as powers of two (``a_power``, ``b_power``; 0 for zero, NaN and infinity): the product of two is
  2**(sum of exponents), and the largest is an ordinary maximum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stcsim.jit import compiled

LANES = 128
"""Columns computed side by side: the scratch rows stay in the first-level cache."""
ROWS = 32
"""Rows of A that reuse a block of B before the next block is loaded."""
_EXPONENT = 0x7FF0000000000000
_HUGE = 2.0**500
"""Above every exponent that occurs; keeps an infinity from becoming its own unit."""

# nogil: ``fast`` runs row blocks in threads. error_model: no zero-division checks in the loop; nothing in it divides by zero.
_jit: Any = compiled(nogil=True)


class Constants(NamedTuple):
    """The numbers of a ``DotRule``, exponents as powers of two.

    ``c_least`` is 2^min_exponent of the first running value, ``least`` and ``steps`` (2^fraction bits) describe the
    results, and ``beyond`` is the first power of two above their range.
    """

    length: int
    zero: float
    steps_below_top: float
    c_least: float
    least: float
    steps: float
    beyond: float
    nearest: bool


@_jit
def _power(x, least):  # type: ignore[no-untyped-def]
    """Return 2^(exponent of x), not below ``least`` nor above a bound that only infinity and NaN reach."""
    return min(max(np.int64(np.float64(x).view(np.int64) & _EXPONENT).view(np.float64), least), _HUGE)


@_jit
def _find_tops(running, a_power, columns, b_power, first, k, constants, least, tops):  # type: ignore[no-untyped-def]
    """Write the largest exponent of the block at ``k``, as a power of two, for each lane."""
    lanes = running.size
    for j in range(lanes):
        x = running[j]
        tops[j] = max(constants.zero, 0.0 if x == 0.0 else _power(x, least))
    for at in range(k, k + constants.length, 4):  # four at a time: a lane's maximum is loaded and stored once for four
        p0, p1, p2, p3 = a_power[at], a_power[at + 1], a_power[at + 2], a_power[at + 3]
        q0 = b_power[columns[at], first : first + lanes]
        q1 = b_power[columns[at + 1], first : first + lanes]
        q2 = b_power[columns[at + 2], first : first + lanes]
        q3 = b_power[columns[at + 3], first : first + lanes]
        for j in range(lanes):
            tops[j] = max(max(tops[j], max(p0 * q0[j], p1 * q1[j])), max(p2 * q2[j], p3 * q3[j]))


@_jit
def _add_aligned(running, a_value, columns, b_value, first, k, constants, tops, sums):  # type: ignore[no-untyped-def]
    """Add the terms of the block, each truncated, in units of ``top / steps_below_top``; leave 1 / unit in ``tops``."""
    lanes = running.size
    for j in range(lanes):
        tops[j] = constants.steps_below_top / tops[j]
        sums[j] = np.trunc(running[j] * tops[j])
    for at in range(k, k + constants.length, 4):
        x0, x1, x2, x3 = a_value[at], a_value[at + 1], a_value[at + 2], a_value[at + 3]
        y0 = b_value[columns[at], first : first + lanes]
        y1 = b_value[columns[at + 1], first : first + lanes]
        y2 = b_value[columns[at + 2], first : first + lanes]
        y3 = b_value[columns[at + 3], first : first + lanes]
        for j in range(lanes):
            s = tops[j]
            low = np.trunc(x0 * y0[j] * s) + np.trunc(x1 * y1[j] * s)
            sums[j] += low + (np.trunc(x2 * y2[j] * s) + np.trunc(x3 * y3[j] * s))


@_jit
def _convert(sums, scales, constants, running):  # type: ignore[no-untyped-def]
    """Write each sum, in units of 1 / scale, as a number of the result's format; -0 becomes +0."""
    for j in range(running.size):
        exact = sums[j] / scales[j]
        unit = _power(exact, constants.least) / constants.steps
        count = exact / unit
        rounded = (np.rint(count) if constants.nearest else np.trunc(count)) * unit
        if abs(rounded) >= constants.beyond:
            rounded = np.copysign(np.inf, rounded)
        running[j] = rounded + 0.0


@_jit
def _promote(running, total):  # type: ignore[no-untyped-def]
    """Add the accumulators to the registers as float32 does, and clear them."""
    for j in range(running.size):
        total[j] = np.float32(total[j] + running[j])  # of two float32 in float64: rounded once is rounded right
        running[j] = 0.0


@_jit
def run_chains(a_value, a_power, columns, b_value, b_power, c, constants, span, total):  # type: ignore[no-untyped-def]
    """Replace c by the result of the chain of all blocks of each element; with promotion, of the products since the last one.

    Args:
        a_value, a_power: (batch, m, k) float64, k a multiple of the block length, which is one of 4.
        columns: (batch or 1, m or 1, k) int32, rows of B that the elements of A meet.
        b_value, b_power: (batch, rows, n) float64.
        c: (batch, m, n) float64, the addends; overwritten.
        constants: of the rule.
        span: products after which c is promoted into ``total``, a multiple of the block length; 0: never.
        total: (batch, m, n) float64 that are float32 numbers; of any shape when nothing is promoted.
    """
    batch, m, k_end = a_value.shape
    n = c.shape[2]
    tops, sums = np.empty(LANES), np.empty(LANES)
    for t in range(batch):
        which = t % columns.shape[0]
        for first in range(0, n, LANES):
            last = min(n, first + LANES)
            for top_row in range(0, m, ROWS):
                for k in range(0, k_end, constants.length):
                    least = constants.c_least if k == 0 else constants.least
                    promotes = span > 0 and ((k + constants.length) % span == 0 or k + constants.length == k_end)
                    for i in range(top_row, min(m, top_row + ROWS)):
                        running, choice = c[t, i, first:last], columns[which, i % columns.shape[1]]
                        _find_tops(running, a_power[t, i], choice, b_power[t], first, k, constants, least, tops)
                        _add_aligned(running, a_value[t, i], choice, b_value[t], first, k, constants, tops, sums)
                        _convert(sums, tops, constants, running)
                    if promotes:
                        for i in range(top_row, min(m, top_row + ROWS)):
                            _promote(c[t, i, first:last], total[t, i, first:last])
