"""int8 with 32-bit results: the two or three kernels cuBLAS has for it, and what follows from them."""

from __future__ import annotations

import pytest

from stcsim.arch import load_arch
from stcsim.isa import dtype
from stcsim.timing.board.setup import Setup
from stcsim.timing.catalogue.menu import menu
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.select import HEURISTIC
from stcsim.timing.problem import Problem

INT8 = dtype("int8")


def timed(gpu: str, m: int, n: int, k: int, out_bytes: int = 4, kernel: str | None = None) -> tuple[str, float]:
    each = Problem(m=m, n=n, k=k, batch=1, dtype=INT8, out_bytes=out_bytes, weights_in_l2=True)
    found = time_gemm(Setup(load_arch(gpu), kernel=kernel), each, False)
    return found.kernel, found.time_us


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("sm80", {"sm80_128x64x128_s3_2x2"}),
        ("sm86", {"sm80_128x64x128_s3_2x2", "sm80_256x128x64_s3_4x2"}),
        ("sm89", {"sm80_128x64x128_s3_2x2", "sm80_256x128x64_s3_4x2"}),
        (
            "sm90",
            {
                "sm80_128x64x128_s3_2x2",
                "sm90_256x128x128_coop",
                "sm90_256x128x128_coop_c2x1",
                "sm90_256x128x128_coop_c1x2",
            },
        ),
    ],
)
def test_names_are_those_of_public_profiles(family: str, names: set[str]) -> None:
    kernels = menu(family, False, INT8, None, 4)
    assert {kernel.name(INT8) for kernel in kernels} == names
    assert all(kernel.max_splits == 1 for kernel in kernels)


def test_other_results_other_types_2_4_and_turing_have_the_usual_menu() -> None:
    for family, sparse, name, out_bytes in (
        ("sm80", False, "int8", 1),
        ("sm80", False, "int8", 2),
        ("sm80", True, "int8", 4),
        ("sm80", False, "tf32", 4),
        ("sm75", False, "int8", 4),
    ):
        assert len(menu(family, sparse, dtype(name), None, out_bytes)) > 4


def test_an_a100_is_held_by_its_l2_as_measured() -> None:
    """6,144 more of k take 275.9 µs on an A100 PCIe at m = 2,048, n = 4,096 (slidesparse): 0.60 of the peak."""
    _, short_us = timed("a100-pcie", 2048, 4096, 2048)
    _, long_us = timed("a100-pcie", 2048, 4096, 8192)
    assert long_us - short_us == pytest.approx(275.9, rel=0.06)
    assert timed("a100-pcie", 2048, 4096, 8192, out_bytes=1)[1] < 0.9 * long_us


@pytest.mark.parametrize(
    ("gpu", "m", "n", "large"),
    [
        ("rtx4090", 8192, 512, False),
        ("rtx4090", 6144, 1024, False),
        ("rtx4090", 8192, 1024, True),
        ("rtx4090", 4096, 2048, True),
        ("a40", 10_240, 512, False),
        ("a40", 6144, 1024, True),
    ],
)
def test_heuristics_take_the_large_tile_from_two_for_each_sm_on(gpu: str, m: int, n: int, large: bool) -> None:
    kernel, _ = timed(gpu, m, n, 4096, kernel=HEURISTIC)
    assert kernel == ("sm80_256x128x64_s3_4x2" if large else "sm80_128x64x128_s3_2x2")
