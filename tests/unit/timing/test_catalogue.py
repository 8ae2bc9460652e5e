"""The catalogue is data: families name menus, menus have rows and a source."""

from __future__ import annotations

from typing import get_args

import pytest

from stcsim.arch.leaf import Family as FamilyName
from stcsim.errors import UnsupportedError
from stcsim.isa import dtype
from stcsim.timing.catalogue import ampere, hopper, int8, turing
from stcsim.timing.catalogue.families import FAMILIES, int8_sums, kernels
from stcsim.timing.catalogue.hopper import TileGrid
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.row import Menu, Row

MENUS = [
    (name, menu)
    for name, family in FAMILIES.items()
    for menu in (
        *family.dense,
        *family.sparse,
        *family.int8_sums,
        *(own for sparse in (False, True) for own in (family.convolutions.menus(sparse, True) if family.convolutions else ())),
    )
]


def test_the_families_are_those_that_an_architecture_file_may_name() -> None:
    assert set(FAMILIES) == set(get_args(get_args(FamilyName)[0]))


@pytest.mark.parametrize(("family", "menu"), MENUS, ids=[f"{name} {at}" for at, (name, _) in enumerate(MENUS)])
def test_a_menu_has_rows_and_says_where_they_are_from(family: str, menu: Menu) -> None:
    found = menu.kernels()
    assert found and len({kernel for kernel in found}) == len(found)
    assert len(menu.source) > 40 and menu.source.endswith(".") and "  " not in menu.source


def test_a_row_becomes_a_kernel_with_what_its_menu_has_in_common() -> None:
    row = Row(cta_m=64, cta_n=32, k_bytes=128, stages=6, warps_m=2, warps_n=1, cluster_n=2)
    menu = Menu(source="made up.", family="sm80", sparse=True, swizzle=1, max_splits=2, only="fp16", rows=(row,))
    made = Kernel("sm80", True, 64, 32, 128, 6, 2, 1, cluster_n=2, swizzle=1, max_splits=2, only="fp16")
    assert menu.kernels() == (made,)
    assert made.takes(dtype("fp16")) and not made.takes(dtype("bf16"))


def test_a_family_lists_its_menus_one_after_the_other() -> None:
    menus = (ampere.CUTLASS, ampere.SMALL_N, ampere.FP16, ampere.GEMV)
    assert kernels("sm80", False) == tuple(kernel for menu in menus for kernel in menu.kernels())
    assert kernels("sm75", True) == () and kernels("sm75", False)[-1] == turing.GEMV.kernels()[0]
    assert kernels("sm80", True) == kernels("sm86", True)[: len(kernels("sm80", True))]  # 100 KB of shared memory: two stages too
    assert int8_sums("sm75") == () and int8_sums("sm80") == int8.SMALL.kernels()


@pytest.mark.parametrize("ask", [lambda name: kernels(name, False), int8_sums])
def test_a_family_that_is_not_in_the_catalogue_is_refused(ask: object) -> None:
    with pytest.raises(UnsupportedError, match=r"kernel.family: expected one of sm75, .*, found 'sm42'"):
        ask("sm42")  # type: ignore[operator]


def test_a_grid_of_tiles_makes_its_rows() -> None:
    grid = TileGrid(
        long_sides=(64, 128),
        long_sides_transposed=(64,),
        wide_sides=range(8, 25, 8),
        wide_sides_shared=range(40, 57, 16),
        most_alone=64 * 16,
        most_shared=128 * 24,
        clusters=((1, 1),),
        clusters_of_small=((2, 1),),
        small=64 * 8,
    )
    rows = [(row.cta_m, row.cta_n, row.warps_m, row.warps_n, row.cluster_m, row.pingpong, row.transposed) for row in grid]
    assert rows == [
        (64, 8, 1, 1, 1, True, False),
        (64, 8, 1, 1, 2, True, False),  # small: in larger clusters too
        (64, 16, 1, 1, 1, True, False),  # 64 x 24 would be shared, and 24 columns cannot be halved by 8s
        (128, 8, 1, 1, 1, True, False),
        (128, 16, 2, 1, 1, False, False),  # two warpgroups, 64 rows each
        (128, 24, 2, 1, 1, False, False),
        (8, 64, 1, 1, 1, True, True),
        (8, 64, 1, 1, 2, True, True),
        (16, 64, 1, 1, 1, True, True),
        (24, 64, 1, 2, 1, False, True),
        (40, 64, 1, 2, 1, False, True),
    ]


def test_hoppers_grid_is_as_fine_as_its_numbers_say() -> None:
    sides = {(row.cta_m, row.cta_n) for row in hopper.CUBLAS.rows}
    assert {(64, 8), (384, 80), (8, 64), (320, 128)} <= sides and (384, 112) not in sides and (64, 264) not in sides
