"""Whose 2:4 kernels: what each library has, and the kernel that its rules name, held against the tables of their sources."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from stcsim.arch import load_arch
from stcsim.arch.leaf import Family as FamilyName
from stcsim.isa import dtype
from stcsim.timing.board.setup import Setup
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.libraries import LIBRARIES, Stock, own_menu, ruled, sources, why_not
from stcsim.timing.catalogue.menu import find, menu
from stcsim.timing.choice.outcome import choose, time_gemm
from stcsim.timing.lowering.tiling import tile_up
from stcsim.words import Library
from tests.shapes import problem

H100 = load_arch("h100")
STOCKS = [(library.value, family, stock) for library, families in LIBRARIES.items() for family, stock in families.items()]
OF_EACH = [(library, family, element) for library, family, stock in STOCKS for element in stock.types]


def named(library: str, family: str, element: str, m: int, n: int) -> str:
    """Return the kernel that a library's rules name for a GEMM."""
    kernel = ruled(library, family, dtype(element), m, n)
    assert kernel is not None
    return kernel.name(dtype(element))


@pytest.mark.parametrize(
    ("element", "m", "n", "kernel"),
    [
        ("bf16", 4096, 1, "128x128x128_ws"),
        ("fp16", 28672, 8192, "128x128x128_ws"),
        ("fp8", 4096, 1, "64x64x256_ws_c8x1"),
        ("fp8", 6144, 64, "64x64x256_ws_c8x1"),
        ("fp8", 28672, 64, "128x64x256_coop_c8x1"),
        ("fp8", 5120, 16, "64x64x256_ws"),
        ("fp8", 4096, 65, "64x64x256_ws_c1x2"),
        ("fp8", 6144, 128, "64x128x256_ws_c8x1"),
        ("fp8", 28672, 100, "128x128x256_pingpong_c8x1"),
        ("fp8", 8192, 128, "64x128x256_pingpong"),
        ("fp8", 4096, 129, "64x128x256_ws_c1x2"),
        ("fp8", 6144, 256, "128x128x256_coop"),
        ("fp8", 28672, 256, "128x256x128_coop_c8x1"),
        ("fp8", 6144, 257, "128x256x128_coop_c8x1"),
        ("fp8", 4096, 4096, "128x128x256_coop"),
        ("int8", 8191, 32, "64x64x256_ws_c1x8"),
        ("int8", 8192, 32, "64x128x256_ws_c1x4"),
        ("int8", 8192, 33, "64x64x256_ws"),
        ("int8", 4096, 128, "64x128x128_pingpong_c2x1"),
        ("int8", 4096, 129, "128x128x128_pingpong_c2x1"),
    ],
)
def test_vllm_takes_the_kernel_of_its_table(element: str, m: int, n: int, kernel: str) -> None:
    assert named("vllm", "sm90", element, m, n) == f"sm90_sp_{kernel}"


@pytest.mark.parametrize(
    ("n", "kernel"),
    [(1, "64x32x256_pingpong"), (64, "64x32x256_pingpong"), (65, "64x128x256_pingpong"), (129, "128x128x256_pingpong_c1x2")],
)
def test_torchao_takes_one_of_three_tiles_by_tokens(n: int, kernel: str) -> None:
    assert named("torchao", "sm90", "fp8", 8192, n) == f"sm90_sp_{kernel}"


@pytest.mark.parametrize("family", ["sm80", "sm86", "sm89"])
@pytest.mark.parametrize(
    ("element", "kernel"), [("fp16", "128x128x64"), ("bf16", "128x128x64"), ("int8", "128x128x128"), ("tf32", "128x64x32")]
)
def test_torch_takes_one_tile_for_each_type(family: str, element: str, kernel: str) -> None:
    assert {named("torch", family, element, 4096, n) for n in (1, 64, 8192)} == {f"sm80_sp_{kernel}_s3_2x2"}


@pytest.mark.parametrize("library", ["cusparselt", "cutlass", "tensorrt", "none"])
def test_a_library_that_searches_has_no_rule(library: str) -> None:
    assert all(ruled(library, family, dtype("fp16"), 4096, 64) is None for family in ("sm80", "sm90"))


def test_a_rule_is_not_searched_and_runs_on_all_sms() -> None:
    ranked = choose(Setup(H100, library="vllm"), problem(4096, 4096, 4096, "fp8"), True).ranked
    assert len(ranked) == 1 and not ranked[0].tiling.leaves_idle
    assert ranked[0].kernel is ruled("vllm", "sm90", dtype("fp8"), 4096, 4096)


@pytest.mark.parametrize(("library", "family", "stock"), STOCKS)
def test_a_stock_is_of_a_family_that_is_known_and_has_kernels(library: str, family: str, stock: Stock) -> None:
    assert family in get_args(get_args(FamilyName)[0])
    assert stock.menus is None or stock.types and (stock.menus or stock.rules)
    assert sorted(element for rules in stock.rules for element in rules.types) == sorted(stock.types if stock.rules else ())


@pytest.mark.parametrize(("library", "family", "element"), OF_EACH)
def test_every_kernel_of_a_library_has_a_source_and_a_name_of_its_own(library: str, family: str, element: str) -> None:
    known = own_menu(library, family, dtype(element))
    if known is None:
        assert menu(family, True, dtype(element), None, library=library) == kernels(family, True)
        return
    shipped = [kernel for kernel in known if kernel.takes(dtype(element))]
    names = [kernel.name(dtype(element)) for kernel in shipped]
    assert 0 < len(set(names)) == len(names)
    assert all(kernel.sparse and sources(library, family)[kernel] for kernel in shipped)
    assert [find(family, True, dtype(element), None, name, library=library)[0] for name in names] == shipped


@pytest.mark.parametrize(("library", "family", "element"), OF_EACH)
def test_kernels_of_a_library_run(library: str, family: str, element: str) -> None:
    gpu = load_arch({"sm80": "a100", "sm86": "a40", "sm89": "rtx4090", "sm90": "h100"}[family])
    for n in (16, 300):
        found = time_gemm(Setup(gpu, library=library), problem(1024, n, 1024, element), True)
        assert found.library == library and math.isfinite(found.time_us)


def test_every_rule_names_a_kernel_that_fits_the_sm() -> None:
    for library, element in (("vllm", "fp8"), ("vllm", "int8"), ("vllm", "bf16"), ("torchao", "fp8")):
        each = problem(4096, 4096, 4096, element)
        for kernel in own_menu(library, "sm90", dtype(element)) or ():
            assert tile_up(H100, each, kernel, 1) is not None, kernel.name(dtype(element))


def test_cutlass_has_tiles_that_cusparselts_list_lacks() -> None:
    of_cutlass, default = (menu("sm80", True, dtype("fp16"), None, library=name) for name in ("cutlass", "cusparselt"))
    tiles = [{(each.cta_m, each.cta_n) for each in known if each.takes(dtype("fp16"))} for known in (of_cutlass, default)]
    assert tiles[0] - tiles[1] == {(256, 32), (256, 16), (128, 16), (32, 128)}
    assert max(each.max_splits for each in of_cutlass) > max(each.max_splits for each in default)


def test_a_tile_of_cutlass_on_hopper_leaves_a_thread_registers() -> None:
    for element in ("fp16", "tf32", "fp8"):
        for kernel in menu("sm90", True, dtype(element), None, library="cutlass"):
            assert kernel.cta_m * kernel.cta_n <= 192 * 128 * kernel.warps_m
            assert kernel.cluster_m * kernel.cluster_n == 2 and kernel.k_bytes == 128


@pytest.mark.parametrize(
    ("library", "family", "element", "m", "k", "is_conv", "reason"),
    [
        ("none", "sm80", "fp16", 64, 64, False, "library none: no 2:4 kernel is taken"),
        ("torch", "sm90", "fp16", 64, 64, False, "torch has no 2:4 fp16 kernels on sm90"),
        ("torchao", "sm90", "bf16", 64, 64, False, "torchao has no 2:4 bf16 kernels on sm90"),
        ("vllm", "sm80", "int8", 64, 64, False, "vllm has no 2:4 int8 kernels on sm80"),
        ("tensorrt", "sm89", "fp8", 64, 64, False, "tensorrt has no 2:4 fp8 kernels on sm89"),
        ("cutlass", "sm80", "fp16", 64, 64, True, "cutlass has no 2:4 convolutions"),
        ("torch", "sm80", "fp16", 1000, 64, False, "torch takes m in multiples of 32 and k in multiples of 64"),
        ("torch", "sm80", "int8", 64, 64, False, "torch takes m in multiples of 32 and k in multiples of 128"),
        ("torch", "sm80", "fp16", 96, 64, False, None),
        ("tensorrt", "sm80", "fp16", 64, 64, True, None),
        ("cusparselt", "sm80", "int4", 1000, 64, True, None),
    ],
)
def test_a_library_says_why_it_takes_no_2_4_kernel(
    library: str, family: str, element: str, m: int, k: int, is_conv: bool, reason: str | None
) -> None:
    assert why_not(library, family, dtype(element), m, k, is_conv) == reason


def test_dense_kernels_belong_to_no_library_of_2_4_kernels() -> None:
    each = problem(1024, 256, 1024)
    found = {library: time_gemm(Setup(H100, library=library), each, False) for library in Library}
    assert {result.time_us for result in found.values()} == {found[Library.CUSPARSELT].time_us}
    assert all(result.library is None for result in found.values())
