"""The kernels that are offered for one GEMM: those of its family, or a menu that GEMMs of its kind have."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from stcsim.errors import UnsupportedError, quoted
from stcsim.isa import DType
from stcsim.timing.catalogue.convolutions import fits_patches
from stcsim.timing.catalogue.families import family_of, int8_sums, kernels, listed
from stcsim.timing.catalogue.int8 import returns_sums
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.libraries import DEFAULT, own_menu
from stcsim.trace import Conv2d

_NEAR = 3
"""Kernels that an error names."""


def menu(
    family: str, sparse: bool, dtype: DType, conv: Conv2d | None, out_bytes: int = 0, library: str = DEFAULT
) -> tuple[Kernel, ...]:
    """Return the kernels for a GEMM with results of ``out_bytes``, or for the implicit GEMM of ``conv``; 2:4 ones of ``library``.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if sparse and (of_library := own_menu(library, family, dtype)) is not None:
        return of_library
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


def find(
    family: str, sparse: bool, dtype: DType, conv: Conv2d | None, name: str, out_bytes: int = 0, library: str = DEFAULT
) -> tuple[Kernel, int]:
    """Return the kernel and number of k-slices called ``name``, if it is a 2:4 one of ``library``.

    Raises:
        UnsupportedError: when the menu has no such kernel.
    """
    base, _, suffix = name.rpartition("_k")
    wanted, splits = (base, int(suffix)) if base and suffix.isdigit() else (name, 1)
    offered = menu(family, sparse, dtype, conv, out_bytes, library)
    every = offered if sparse and own_menu(library, family, dtype) is not None else (*kernels(family, sparse), *offered)
    known = {kernel.name(dtype): kernel for kernel in sorted(every, key=lambda kernel: kernel.takes(dtype))}
    if wanted not in known or splits < 1:
        mode, other = ("2:4", "dense") if sparse else ("dense", "2:4")
        near = get_close_matches(wanted, known, n=_NEAR, cutoff=0.0)
        whose = f"{library} on {family}" if sparse and library != DEFAULT else family
        expected = f"a {mode} kernel of {whose}, such as {', '.join(near)} (`stcsim kernels` lists them)"
        others = {kernel.name(dtype) for kernel in menu(family, not sparse, dtype, conv, out_bytes, library)}
        hint = f", a {other} kernel: it runs where sparsity is {other}" if wanted in others else ""
        raise UnsupportedError("kernel", expected, f"{quoted(name)}{hint}")
    return known[wanted], splits
