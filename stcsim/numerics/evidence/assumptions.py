"""What changes if an assumption about sparse instructions is wrong: how many results differ, and by how much.

Operands are seeded standard normals, A pruned by magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stcsim.isa import DTYPES
from stcsim.isa.instructions import parse
from stcsim.numerics.codes import values
from stcsim.numerics.formats import Codes, encoded
from stcsim.numerics.rules import MEASURED_SPARSE
from stcsim.numerics.sparse.pruning import prune
from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand
from stcsim.numerics.tensor_core import mma_sp
from stcsim.processes import Notify

BATCH, SEED = 1000, 0
CASES = (
    ("mma.sp.m16n8k32.f32.f16.f16.f32", "sm_80"),
    ("mma.sp.m16n8k32.f32.f16.f16.f32", "sm_90"),
    ("mma.sp.m16n8k32.f16.f16.f16.f16", "sm_80"),
    ("mma.sp.m16n8k32.f16.f16.f16.f16", "sm_90"),
    ("wgmma.sp.m64n8k32.f32.f16.f16", "sm_90"),
    ("mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "sm_89"),
    ("mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "sm_90"),
    ("wgmma.sp.m64n8k64.f32.e4m3.e4m3", "sm_90"),
)
_EMULATED = ("mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "wgmma.sp.m64n8k64.f32.e4m3.e4m3")
_FP16_INFINITY = 0x7C00
_NOT_SELECTED = 5  # a row of B that an infinity is put into


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sets of results held against each other.

    Attributes:
        results: how many there are in each.
        differing: how many are not the same.
        median_ulp: of the distances of those that differ, in units in the last place of D; 0 where none does.
        p95_ulp: the 95th percentile of these distances.
    """

    results: int
    differing: int
    median_ulp: float
    p95_ulp: float

    @property
    def share(self) -> float:
        """Share of results that differ."""
        return self.differing / self.results


@dataclass(frozen=True, slots=True)
class Blocking:
    """One sparse instruction whose blocks are filled by kept products, against one whose blocks hold the zeros between them too.

    Attributes:
        instruction: in PTX words.
        arch: compute capability.
        measured: whether GPUs of that capability were seen to do the first.
        difference: between the two.
        kept_ulp: median distance of the first to the exact result, in units in the last place of D.
        expanded_ulp: the same of the second.
    """

    instruction: str
    arch: str
    measured: bool
    difference: Difference
    kept_ulp: float
    expanded_ulp: float


@dataclass(frozen=True, slots=True)
class Infinity:
    """What an infinity in a row of B that is not selected does to D.

    Attributes:
        blocking: ``kept`` or ``expanded``.
        nan: share of D that is no number.
        infinite: share of D that is infinite.
    """

    blocking: str
    nan: float
    infinite: float


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What rests on each assumption about sparse instructions.

    Attributes:
        blocking: which products fill a block.
        emulated: fp8 ``mma.sp`` of Hopper as emulated, against the same products as ``wgmma.sp``.
        infinity: an infinity in a row of B that no group selects.
    """

    blocking: tuple[Blocking, ...]
    emulated: Difference
    infinity: tuple[Infinity, ...]


def assumptions(batch: int = BATCH, notify: Notify | None = None) -> Assumptions:
    """Compute ``batch`` seeded instructions of each case in both ways; ``notify`` hears how many cases are done, of how many."""
    blocking = []
    for done, (name, arch) in enumerate(CASES, 1):
        blocking.append(_blocking(name, arch, batch))
        if notify is not None:
            notify(done, len(CASES) + 1)
    one, other = (mma_sp(name, *operands(name, batch), arch="sm_90") for name in _EMULATED)
    result = Assumptions(tuple(blocking), difference(one, other, "fp32"), _infinity(batch))
    if notify is not None:
        notify(len(CASES) + 1, len(CASES) + 1)
    return result


def _blocking(name: str, arch: str, batch: int) -> Blocking:
    a, b, c = operands(name, batch)
    kept, expanded = (mma_sp(name, a, b, c, arch=arch, blocking=each) for each in ("kept", "expanded"))
    distances = (median_ulp(d, a, b, c, name) for d in (kept, expanded))
    return Blocking(name, arch, arch in MEASURED_SPARSE, difference(kept, expanded, parse(name).d), *distances)


def _infinity(batch: int) -> tuple[Infinity, ...]:
    name, arch = CASES[0]
    a, b, c = operands(name, batch)
    b[:, _NOT_SELECTED] = _FP16_INFINITY
    found = []
    for blocking in ("kept", "expanded"):
        d = values(mma_sp(name, a, b, c, arch=arch, blocking=blocking), "fp32")
        found.append(Infinity(blocking, float(np.isnan(d).mean()), float(np.isinf(d).mean())))
    return tuple(found)


def operands(name: str, batch: int) -> tuple[Sparse24, Codes, Codes]:
    """Return ``batch`` of compressed A, B and C of an instruction, as codes."""
    known, rng, codes = parse(name), np.random.default_rng(SEED), []
    for dtype, shape in ((known.a, (16, known.k)), (known.b, (known.k, known.n)), (known.c, (16, known.n))):
        codes.append(encoded(rng.standard_normal((batch, *shape)), DTYPES[dtype]))
    a = prune(codes[0], dtype=known.a)
    again = (1, known.m // 16, 1)
    return compress(np.tile(a, again), known.a), codes[1], np.tile(codes[2], again)


def ordinals(d: Codes, dtype: str) -> npt.NDArray[np.int64]:
    """Return codes of the first 16 rows as integers that count along the number line."""
    sign = 1 << (DTYPES[dtype].bits - 1)
    wide = d[..., :16, :].astype(np.int64)
    return np.where(wide & sign, -(wide & (sign - 1)), wide)


def median_ulp(d: Codes, a: Sparse24, b: Codes, c: Codes, name: str) -> float:
    """Return the median distance to the exact result in units in the last place of D."""
    known = parse(name)
    exact = values(expand(a), known.a) @ values(b, known.b) + values(c, known.c)
    ulp = np.ldexp(1.0, np.frexp(exact)[1] - 1 - DTYPES[known.d].fraction_bits)
    return float(np.median(np.abs(values(d, known.d) - exact) / ulp))


def difference(one: Codes, other: Codes, dtype: str) -> Difference:
    """Return how many of two sets of results differ, and by how many units in the last place."""
    apart = np.abs(ordinals(one, dtype) - ordinals(other, dtype))
    differ = apart[apart > 0]
    if not differ.size:
        return Difference(apart.size, 0, 0.0, 0.0)
    return Difference(apart.size, differ.size, float(np.median(differ)), float(np.percentile(differ, 95)))
