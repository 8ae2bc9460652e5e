"""What changes if an assumption about sparse instructions is wrong; prints the figures that the README quotes.

Run it: ``python -m tests.numerics.assumptions`` (about 5 s). Operands are seeded standard normals, A pruned by magnitude.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stcsim.isa import DTYPES
from stcsim.isa.instructions import parse
from stcsim.numerics import mma_sp, values
from stcsim.numerics.formats import Codes, encoded
from stcsim.numerics.sparse.pruning import prune
from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand

BATCH = 1000
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


def operands(name: str) -> tuple[Sparse24, Codes, Codes]:
    """Return a batch of compressed A, B and C."""
    known, rng, codes = parse(name), np.random.default_rng(0), []
    for dtype, shape in ((known.a, (16, known.k)), (known.b, (known.k, known.n)), (known.c, (16, known.n))):
        form = DTYPES[dtype]
        codes.append(encoded(rng.standard_normal((BATCH, *shape)), form))
    a = prune(codes[0], dtype=known.a)
    again = (1, known.m // 16, 1)
    return compress(np.tile(a, again), known.a), codes[1], np.tile(codes[2], again)


def ordinals(d: Codes, dtype: str) -> npt.NDArray[np.int64]:
    """Return codes as integers that count along the number line."""
    sign = 1 << (DTYPES[dtype].bits - 1)
    wide = d[..., :16, :].astype(np.int64)
    return np.where(wide & sign, -(wide & (sign - 1)), wide)


def errors(d: Codes, a: Sparse24, b: Codes, c: Codes, name: str) -> str:
    """Return the median distance to the exact result in ulp of D."""
    known = parse(name)
    form = DTYPES[known.d]
    exact = values(expand(a), known.a) @ values(b, known.b) + values(c, known.c)
    ulp = np.ldexp(1.0, np.frexp(exact)[1] - 1 - form.fraction_bits)
    off = np.abs(values(d, known.d) - exact) / ulp
    return f"median error {np.median(off):.3g} ulp"


def compare(one: Codes, other: Codes, dtype: str) -> str:
    """Return how many of two sets of results differ, and by how many ulp."""
    apart = np.abs(ordinals(one, dtype) - ordinals(other, dtype))
    differ = apart[apart > 0]
    words = f"{differ.size:6d} of {apart.size} differ ({differ.size / apart.size:5.1%})"
    if differ.size:
        words += f", by {np.median(differ):.0f} ulp (median), {np.percentile(differ, 95):.0f} (95 %)"
    return words


def main() -> None:
    """Print the table."""
    print("kept against expanded blocking")
    for name, arch in CASES:
        a, b, c = operands(name)
        kept, expanded = (mma_sp(name, a, b, c, arch=arch, blocking=each) for each in ("kept", "expanded"))
        print(f"  {name:34s} {arch}  {compare(kept, expanded, parse(name).d)}")
        print(f"{'':45s}kept: {errors(kept, a, b, c, name)}; expanded: {errors(expanded, a, b, c, name)}")
    print("Hopper fp8 mma.sp emulated (assumed) against run as wgmma.sp")
    names = ("mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "wgmma.sp.m64n8k64.f32.e4m3.e4m3")
    emulated, native = (mma_sp(name, *operands(name), arch="sm_90") for name in names)
    print(f"  {compare(emulated, native, 'fp32')}")
    print("an infinity in a row of B that is not selected")
    a, b, c = operands(CASES[0][0])
    assert DTYPES[a.dtype].sparse_group == 4
    b[:, 5] = 0x7C00
    for blocking in ("kept", "expanded"):
        d = values(mma_sp(CASES[0][0], a, b, c, arch="sm_80", blocking=blocking), "fp32")
        print(f"  {blocking:9s} NaN in {np.isnan(d).mean():.1%} of D, infinite {np.isinf(d).mean():.1%}")


if __name__ == "__main__":
    main()
