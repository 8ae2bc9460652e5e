"""Which menus the libraries of each generation have: one row a family of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from stcsim.errors import UnsupportedError
from stcsim.timing.catalogue import ampere, hopper, int8, turing
from stcsim.timing.catalogue.convolutions import TENSORRT, Convolutions
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.row import Menu


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The menus of one generation, in the order in which ties are broken.

    Attributes:
        dense: of dense GEMMs.
        sparse: of 2:4 ones; none where the libraries have no such kernels.
        int8_sums: of dense int8 with 32-bit results, where they have menus of their own.
        convolutions: the menus of implicit GEMMs, where they have their own.
        has_heuristics: whether what a library takes unmeasured is known (``timing.offers.heuristic``).
    """

    dense: tuple[Menu, ...]
    sparse: tuple[Menu, ...] = ()
    int8_sums: tuple[Menu, ...] = ()
    convolutions: Convolutions | None = None
    has_heuristics: bool = True


FAMILIES = {
    "sm75": Family(dense=(turing.CUTLASS, turing.GEMV)),
    "sm80": Family(
        dense=(ampere.CUTLASS, ampere.SMALL_N, ampere.FP16, ampere.GEMV),
        sparse=(ampere.CUSPARSELT,),
        int8_sums=(int8.SMALL,),
        convolutions=TENSORRT,
    ),
    "sm86": Family(
        dense=(ampere.CUTLASS, ampere.SMALL_N, ampere.FP16, ampere.GEMV),
        sparse=(ampere.CUSPARSELT, ampere.CUSPARSELT_TWO_STAGES),
        int8_sums=(int8.LARGE, int8.SMALL),
        convolutions=TENSORRT,
    ),
    "sm89": Family(
        dense=(ampere.CUTLASS, ampere.SMALL_N, ampere.ADA_FP8, ampere.GEMV),
        sparse=(
            replace(ampere.CUSPARSELT, but="fp8"),
            replace(ampere.CUSPARSELT_TWO_STAGES, but="fp8"),
            ampere.CUSPARSELT_ADA_FP8,
        ),
        int8_sums=(int8.LARGE, int8.SMALL),
        convolutions=TENSORRT,
    ),
    "sm90": Family(
        dense=(hopper.CUBLAS, hopper.STREAM_K),
        sparse=(hopper.CUSPARSELT, hopper.CUSPARSELT_FP16, hopper.CUSPARSELT_8_BITS),
        int8_sums=(int8.SMALL, int8.HOPPER),
        has_heuristics=False,
    ),
}


def family_of(name: str) -> Family:
    """Return the menus of a family.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    if name not in FAMILIES:
        raise UnsupportedError("kernel.family", f"one of {', '.join(FAMILIES)}", f"'{name}'")
    return FAMILIES[name]


@cache
def kernels(family: str, sparse: bool) -> tuple[Kernel, ...]:
    """Return the catalogue of one generation, dense or 2:4.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    known = family_of(family)
    return listed(known.sparse if sparse else known.dense)


@cache
def int8_sums(family: str) -> tuple[Kernel, ...]:
    """Return the kernels for dense int8 with 32-bit results; none where it is not known that they differ.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    return listed(family_of(family).int8_sums)


def listed(menus: Sequence[Menu]) -> tuple[Kernel, ...]:
    """Return the kernels of ``menus``, one menu after the other."""
    return tuple(kernel for menu in menus for kernel in menu.kernels())


@cache
def sources(family: str) -> dict[Kernel, str]:
    """Return where each kernel of a family is known from: the source of the first menu that has it.

    Raises:
        UnsupportedError: for a family that is not in the catalogue.
    """
    known = family_of(family)
    own = known.convolutions
    of_convolutions = () if own is None else (*own.menus(False, True), *own.menus(True, True))
    menus = (*known.dense, *known.sparse, *known.int8_sums, *of_convolutions)
    return {kernel: menu.source for menu in reversed(menus) for kernel in menu.kernels()}
