"""How rounding errors of a dot product grow with its length, in the order of one chain and with promotion.

Operands are seeded standard normals, encoded; errors are held against the exact product of what was encoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stcsim.numerics.codes import values
from stcsim.numerics.encoding import encode
from stcsim.numerics.formats import Codes, Floats
from stcsim.numerics.matmul import gemm
from stcsim.processes import Notify

ROWS, COLUMNS, SEED = 64, 64, 0
LENGTHS = tuple(64 << doubled for doubled in range(9))  # 64 to 16,384
#: (what it is, compute capability, type, order): fp8 wherever it is computed differently, and 16-bit types beside it.
LINES = (
    ("fp8 wgmma, one chain", "sm_90", "e4m3", "chain"),
    ("fp8 wgmma, promoted every 4", "sm_90", "e4m3", "promote=4"),
    ("fp8 mma of Ada, one chain", "sm_89", "e4m3", "chain"),
    ("fp8 tcgen05, one chain", "sm_100", "e4m3", "chain"),
    ("bf16 wgmma, one chain", "sm_90", "bf16", "chain"),
    ("fp16 wgmma, one chain", "sm_90", "fp16", "chain"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One way to add, over the length of the sum.

    Attributes:
        what: in words.
        arch, dtype, order: compute capability, type of the factors, and order of additions.
        errors: for each length the mean distance to the exact result, over the mean magnitude of that result.
    """

    what: str
    arch: str
    dtype: str
    order: str
    errors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Accumulation:
    """Error growth.

    Attributes:
        lengths: k of each point.
        outputs: results of each point.
        lines: ways to add; the second is the first with promotion.
        differing: for each length the results of the first line that promotion changes.
    """

    lengths: tuple[int, ...]
    outputs: int
    lines: tuple[Line, ...]
    differing: tuple[int, ...]


def accumulation(lengths: tuple[int, ...] = LENGTHS, notify: Notify | None = None) -> Accumulation:
    """Compute ROWS x COLUMNS results of each length in every line; ``notify`` hears how many lines are done, of how many."""
    errors: list[tuple[float, ...]] = []
    results: list[list[Codes]] = []
    for done, (_, arch, dtype, order) in enumerate(LINES, 1):
        found = [product(k, arch, dtype, order) for k in lengths]
        errors.append(tuple(mean_error(d, exact) for d, exact in found))
        results.append([d for d, _ in found])
        if notify is not None:
            notify(done, len(LINES))
    differing = tuple(int(np.count_nonzero(one != other)) for one, other in zip(*results[:2], strict=True))
    lines = tuple(Line(*line, error) for line, error in zip(LINES, errors, strict=True))
    return Accumulation(lengths, ROWS * COLUMNS, lines, differing)


def product(k: int, arch: str, dtype: str, order: str) -> tuple[Codes, Floats]:
    """Return the results of a product of length ``k``, and the exact ones (to float64, whose error is far below)."""
    rng = np.random.default_rng([SEED, k])
    a, b = (encode(rng.standard_normal(shape), dtype) for shape in ((ROWS, k), (k, COLUMNS)))
    return gemm(a, b, arch=arch, dtype=dtype, order=order), values(a, dtype) @ values(b, dtype)


def mean_error(d: Codes, exact: Floats) -> float:
    """Return the mean distance of fp32 results to the exact ones, over the mean magnitude of these."""
    return float(np.abs(values(d, "fp32") - exact).mean() / np.abs(exact).mean())
