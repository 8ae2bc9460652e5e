"""Operands to look at: seeded, of magnitudes near one, the same on every machine."""

from __future__ import annotations

import numpy as np

from stcsim.isa import instructions
from stcsim.isa.elements import DTYPES
from stcsim.numerics.formats import Codes, code_type, encoded
from stcsim.numerics.sparse.pruning import PAIRS, prune
from stcsim.numerics.sparse.sparse24 import Sparse24, compress

_SPREAD = 3
"""B is scaled by up to 2**3 either way, so that alignment has something to do."""

_NEAR = 64
"""How close C lies to an end of int32 when the instruction saturates."""


def example(instruction: str, seed: int = 0) -> tuple[Codes | Sparse24, Codes, Codes]:
    """Return A, B and C of one instruction, raw codes; A is pruned by magnitude and compressed when that is sparse.

    Floats are normal, those of B spread over some powers of two; integers take their whole range of 4 bits, and of -12 to
    12 of 8. C lies near one end of int32 when the instruction saturates, so that this can happen.

    Args:
        instruction: name in PTX words.
        seed: of the random numbers.

    Raises:
        UnsupportedError: when no tensor core has the instruction.
    """
    known, rng = instructions.parse(instruction), np.random.default_rng(seed)
    a, b = _draw(known.a, (known.m, known.k), 0, rng), _draw(known.b, (known.k, known.n), _SPREAD, rng)
    c = _draw(known.c, (known.m, known.n), 0, rng)
    if known.satfinite:
        near, ends = c.view(np.int32) % _NEAR, np.where(c.view(np.int32) < 0, -(2**31), 2**31 - 1 - _NEAR)
        c = (ends + near).astype(np.int32).view(np.uint32)
    if not known.sparse:
        return a, b, c
    pattern = {2: "1:2", 4: "2:4", 8: PAIRS}[DTYPES[known.a].sparse_group]
    return compress(prune(a, pattern, dtype=known.a), known.a), b, c


def _draw(name: str, shape: tuple[int, int], spread: int, rng: np.random.Generator) -> Codes:
    form = DTYPES[name]
    if form.is_float:
        return encoded(np.ldexp(rng.standard_normal(shape), rng.integers(-spread, spread + 1, shape)), form)
    high = min(2 ** (form.bits - form.signed), {8: 13}.get(form.bits, 1000))
    numbers = rng.integers(-high if form.signed else 0, high, shape)
    return (numbers & ((1 << form.bits) - 1)).astype(code_type(form))
