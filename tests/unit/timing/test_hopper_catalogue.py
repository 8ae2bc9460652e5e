"""The menu of cuBLAS on Hopper, held against kernel names in public profiles: nvjet_..._<m>x<n>_<k>x<stages>_<cluster>_..."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stcsim.arch import load_arch
from stcsim.isa import dtype
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.menu import find
from tests.shapes import cut_of, problem

H100, BF16 = load_arch("h100"), dtype("bf16")
NAMES = """
64x8_64x16_4x1 64x8_64x16_1x4 64x8_64x16_2x4 64x8_64x16_4x2 64x8_64x16_2x2 64x16_64x16_4x1 64x24_64x16_4x1 64x32_64x16_1x4
64x32_64x16_4x2 64x40_64x16_4x1 64x48_64x15_2x1 64x56_64x14_1x2 64x64_64x13_4x1 64x64_64x13_4x2 64x72_64x12_2x1 64x80_64x11_2x1
64x88_64x11_2x1 64x96_64x10_4x1 64x104_64x10_2x1 64x112_64x9_2x1 64x120_64x9_2x1 64x128_64x8_2x1 64x136_64x8_2x1 64x144_64x8_2x1
64x152_64x7_2x1 64x168_64x7_2x1 64x176_64x7_2x1 64x184_64x6_2x1 64x200_64x6_2x1 64x208_64x6_2x1 64x216_64x6_2x1 64x240_64x5_2x1
128x8_64x12_4x1 128x16_64x11_4x1 128x32_64x10_4x1 128x48_64x9_1x2 128x56_64x9_1x2 128x64_64x8_4x1 128x72_64x8_1x2
128x80_64x8_2x1 128x88_64x7_1x2 128x96_64x7_1x2 128x104_64x7_1x2 128x112_64x7_1x2 128x120_64x6_1x2 128x128_64x6_2x1
128x136_64x6_2x1 128x144_64x6_2x1 128x152_64x6_2x1 128x160_64x5_2x1 128x184_64x5_2x1_coop 128x192_64x5_2x1_coop
128x200_64x5_2x1_coop 128x208_64x5_2x1_coop 128x256_64x4_2x1_coop 192x16_64x8_4x1 192x32_64x7_4x1 192x128_64x5_1x2_coop
192x144_64x5_2x1_coop 192x192_64x4_2x1_coop 192x208_64x4_2x1_coop 256x8_64x6_4x1 256x16_64x6_4x1 256x24_64x6_2x1 256x32_64x5_2x1
256x40_64x5_2x1 256x56_64x5_2x1 256x64_64x5_2x1 256x72_64x5_2x1 256x88_64x4_2x1 256x104_64x4_2x1_coop 256x128_64x4_1x2_coop
320x128_64x3_1x2_coop 384x16_64x4_4x1 384x80_64x3_4x1_coop 8x64_64x16_4x1 16x64_64x16_4x1 32x64_64x16_4x1 40x64_64x16_4x2
80x64_64x11_2x1 96x64_64x10_2x4 144x64_64x8_2x1 176x64_64x7_1x1 32x128_64x10_1x2 80x128_64x8_2x1 96x128_64x7_2x1
144x128_64x6_2x1 176x128_64x5_1x2 288x128_64x4_1x2_coop
""".split()


def named(name: str) -> tuple[Kernel, int]:
    """Return the kernel of the menu that ``name`` describes, and the stages it says."""
    tile, pipeline, cluster, *coop = name.split("_")
    m, n = map(int, tile.split("x"))
    cluster_m, cluster_n = map(int, cluster.split("x"))
    sides = (m, n, cluster_m, cluster_n, not coop, False)
    found = [
        kernel
        for kernel in kernels("sm90", False)
        if (kernel.cta_m, kernel.cta_n, kernel.cluster_m, kernel.cluster_n, kernel.pingpong, kernel.stream_k) == sides
    ]
    assert len(found) == 1, f"{len(found)} kernels in the menu"
    return found[0], int(pipeline.split("x")[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_of_a_public_profile_is_in_the_menu_with_as_many_stages(name: str) -> None:
    kernel, stages = named(name)
    tiling = cut_of(H100, problem(kernel.cta_m, kernel.cta_n, 65536, "bf16"), kernel).tiling
    # one tile: all stages are that tile's, of two in turn half, rounded down
    assert tiling.stages == (stages if not kernel.pingpong else stages // 2 * 2)


def test_two_warpgroups_share_a_tile_when_one_lacks_the_registers() -> None:
    for kernel in kernels("sm90", False):
        sums = kernel.cta_m * kernel.cta_n // (128 * kernel.warps_m * kernel.warps_n)
        assert sums <= 176 or kernel.stream_k
        if kernel.transposed:
            assert kernel.cta_n % (64 * kernel.warps_n) == 0 and kernel.cta_m % (8 * kernel.warps_m) == 0
            assert kernel.cta_m // kernel.warps_m <= 256
        else:
            assert kernel.cta_m % 64 == 0 and kernel.cta_n % (8 * kernel.warps_n) == 0


@pytest.mark.parametrize("element", ["fp16", "bf16", "tf32", "fp8", "int8"])
def test_names_of_kernels_of_a_type_are_unique_and_find_them(element: str) -> None:
    for sparse in (False, True):
        shipped = [kernel for kernel in kernels("sm90", sparse) if kernel.takes(dtype(element))]
        names = [kernel.name(dtype(element)) for kernel in shipped]
        assert len(set(names)) == len(names)
        some = slice(None) if sparse else slice(0, None, 100)
        assert [find("sm90", sparse, dtype(element), None, name)[0] for name in names[some]] == shipped[some]


SPARSE = Path(__file__).parents[2] / "validation" / "h200" / "products.json"
SPARSE_NAME = re.compile(
    r"sm90_xmma_sparse_gemm_([a-z0-9]+)_.*_tilesize(\d+)x(\d+)x(\d+)_(?:cgasize(\d)x1x1_)?warpgroupsize(\d)x1x1"
)
TYPES = {"f16f16": "fp16", "bf16bf16": "bf16", "e4m3bf16": "fp8", "e4m3f32": "fp8"}


def sparse_names() -> list[str]:
    """Return the 2:4 kernels of cuSPARSELt that ran on an H200."""
    return sorted({name for each in json.loads(SPARSE.read_text()) if each["sparse"] for name in each["kernels"]})


def test_a_2_4_kernel_that_ran_on_an_h200_is_in_the_menu_but_for_what_its_source_leaves_out() -> None:
    lacking = set()
    for name in sparse_names():
        found = SPARSE_NAME.match(name)
        assert found is not None, name
        element = dtype(TYPES[found[1]])
        m, n, k, cluster = (int(each or 1) for each in found.groups()[1:5])
        offered = [each for each in kernels("sm90", True) if each.takes(element)]
        if not any((each.cta_m, each.cta_n, each.cta_k(element), each.cluster_m) == (m, n, k, cluster) for each in offered):
            lacking.add((element.name, m, n, k * element.bits // 8))
    # all with 256 bytes of k, and the bf16 tile of 64 rows
    assert lacking == {("fp16", 64, 64, 256), ("bf16", 64, 256, 128), ("fp8", 64, 64, 256), ("fp8", 128, 64, 256)}
