"""Kernels that only convolutions have, in data: TensorRT's 8-bit ones for Ampere and Ada.

Sources. *Implicit GEMM*, dense: nine tiles in the tactic names of public build logs and of the TensorRT developer guide
(``sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_..._tilesize96x32x64_stage4_warpsize2x1x1_g1_tensor16x8x32``; pixels stand
first, assumed), all with 64 channels of K. The logs are cut short, so CUTLASS's tiles with 64 bytes of K are here too, and those
that 8-bit GEMM kernels of the same library have in public profiles (``sm89_xmma_gemm_e4m3..._tilesize64x128x64_stage4_...``;
with three stages, as the logged tiles of that size have, they are assumed).

*Patches*, dense and 2:4: ``sm80_xmma_fprop_avdt_sparse_int8int8_tilesize64x64x64_tapsperload3_threadspercta128_r3s3_u1v1`` (a
public engine of ResNet-18, NVIDIA/TensorRT issue 4020). The name says: 3 x 3 filters, stride 1, and one load of pixels serves
the three taps of a filter row. That the pixels of a tile form a rectangle of one image is assumed (such a load needs it), and
so are the tiles other than 64 x 64. For 2:4 the plain tiles of CUTLASS's list remain beside
them (``..._sparse_conv_...`` names without tiles are public). No name has split-K.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from stcsim.errors import UnsupportedError, quoted
from stcsim.isa import DType
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.int8 import has_own_menu, int8_sums
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.trace import Conv2d

_FAMILIES = ("sm80", "sm86", "sm89")
_BITS = 8
_NEAR = 3  # kernels that an error names
_CHANNEL_BYTES = 64  # of one tap in one iteration
_TAPS = 3
# channels out, pixels, stages, warps along them
_IMPLICIT_GEMM: tuple[tuple[int, int, int, int, int], ...] = (
    (32, 32, 6, 1, 2),
    (64, 32, 6, 2, 2),
    (32, 64, 6, 1, 2),
    (64, 64, 6, 2, 2),
    (32, 96, 4, 1, 2),
    (96, 64, 3, 2, 2),
    (96, 256, 3, 1, 4),
    (192, 128, 3, 2, 4),
    (128, 256, 4, 2, 4),
    (64, 64, 4, 2, 2),
    (64, 128, 4, 2, 2),
    (128, 64, 4, 2, 2),
    (64, 128, 3, 2, 2),
    (128, 64, 3, 2, 2),
)
# channels out, rows and columns of pixels, stages; always 2 x 2 warps
_PATCHES = (
    (64, (8, 8), 4),
    (64, (8, 16), 3),
    (128, (8, 8), 3),
    (128, (8, 16), 2),
)


def menu(family: str, sparse: bool, dtype: DType, conv: Conv2d | None, out_bytes: int = 0) -> tuple[Kernel, ...]:
    """Return the kernels a library has for a GEMM with results of ``out_bytes``, or for the implicit GEMM of ``conv``.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if conv is None and has_own_menu(family, sparse, dtype, out_bytes):
        return int8_sums(family)
    if conv is None or dtype.bits != _BITS or family not in _FAMILIES:
        return kernels(family, sparse)
    return _plain(sparse) + (_patches(sparse) if _fits_patches(conv) else ())


@cache
def _plain(sparse: bool) -> tuple[Kernel, ...]:
    general = tuple(replace(kernel, max_splits=1) for kernel in kernels("sm80", sparse))
    if sparse:
        return general
    logged = tuple(
        Kernel("sm80", False, m, n, _CHANNEL_BYTES, stages, wm, wn, max_splits=1) for m, n, stages, wm, wn in _IMPLICIT_GEMM
    )
    known = {(kernel.cta_m, kernel.cta_n, kernel.stages) for kernel in logged}
    same_k = (kernel for kernel in general if kernel.k_bytes == _CHANNEL_BYTES and not kernel.only)
    return logged + tuple(kernel for kernel in same_k if (kernel.cta_m, kernel.cta_n, kernel.stages) not in known)


@cache
def _patches(sparse: bool) -> tuple[Kernel, ...]:
    return tuple(
        Kernel(
            "sm80",
            sparse,
            m,
            rows * columns,
            _TAPS * _CHANNEL_BYTES,
            stages,
            2,
            2,
            max_splits=1,
            patch=(rows, columns),
            taps=_TAPS,
        )
        for m, (rows, columns), stages in _PATCHES
    )


def _fits_patches(conv: Conv2d) -> bool:
    """Whether a kernel that is made for 3 x 3 filters and stride 1 can run ``conv``."""
    return conv.r == conv.s == _TAPS and conv.stride == (1, 1) and conv.dilation == (1, 1) and not conv.transposed


def find(family: str, sparse: bool, dtype: DType, conv: Conv2d | None, name: str, out_bytes: int = 0) -> tuple[Kernel, int]:
    """Return the kernel and number of k-slices called ``name``.

    Raises:
        UnsupportedError: when the menu has no such kernel.
    """
    base, _, suffix = name.rpartition("_k")
    wanted, splits = (base, int(suffix)) if base and suffix.isdigit() else (name, 1)
    known = {kernel.name(dtype): kernel for kernel in (*kernels(family, sparse), *menu(family, sparse, dtype, conv, out_bytes))}
    if wanted not in known or splits < 1:
        mode, other = ("2:4", "dense") if sparse else ("dense", "2:4")
        near = get_close_matches(wanted, known, n=_NEAR, cutoff=0.0)
        expected = f"a {mode} kernel of {family}, such as {', '.join(near)} (`stcsim kernels` lists them)"
        others = {kernel.name(dtype) for kernel in menu(family, not sparse, dtype, conv, out_bytes)}
        hint = f", a {other} kernel: it runs where sparsity is {other}" if wanted in others else ""
        raise UnsupportedError("kernel", expected, f"{quoted(name)}{hint}")
    return known[wanted], splits
