"""The kernels that are offered for one GEMM: those of its family, or a menu that GEMMs of its kind have."""

from __future__ import annotations

from functools import cache

from stcsim.errors import UnsupportedError, closest
from stcsim.isa import DType
from stcsim.timing.catalogue.convolutions import fits_patches
from stcsim.timing.catalogue.families import family_of, int8_sums, kernels, listed
from stcsim.timing.catalogue.int8 import returns_sums
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.trace import Conv2d


def menu(family: str, sparse: bool, dtype: DType, conv: Conv2d | None, out_bytes: int = 0) -> tuple[Kernel, ...]:
    """Return the kernels a library has for a GEMM with results of ``out_bytes``, or for the implicit GEMM of ``conv``.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if conv is not None:
        own = family_of(family).convolutions
        is_own = own is not None and dtype.bits == own.bits
        return _of_convolutions(family, sparse, fits_patches(conv)) if is_own else kernels(family, sparse)
    sums = int8_sums(family) if not sparse and returns_sums(dtype, out_bytes) else ()
    return sums or kernels(family, sparse)


@cache
def _of_convolutions(family: str, sparse: bool, patches: bool) -> tuple[Kernel, ...]:
    own = family_of(family).convolutions
    return () if own is None else listed(own.menus(sparse, patches))


def find(family: str, sparse: bool, dtype: DType, conv: Conv2d | None, name: str, out_bytes: int = 0) -> tuple[Kernel, int]:
    """Return the kernel and number of k-slices called ``name``.

    Raises:
        UnsupportedError: when the menu has no such kernel.
    """
    base, _, suffix = name.rpartition("_k")
    wanted, splits = (base, int(suffix)) if base and suffix.isdigit() else (name, 1)
    known = {kernel.name(dtype): kernel for kernel in (*kernels(family, sparse), *menu(family, sparse, dtype, conv, out_bytes))}
    if wanted not in known or splits < 1:
        mode = "2:4" if sparse else "dense"
        raise UnsupportedError("--kernel", f"a {mode} kernel of {family}", f"'{name}'{closest(wanted, known)}")
    return known[wanted], splits
