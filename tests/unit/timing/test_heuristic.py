"""What cuBLAS takes unmeasured, beside what a search finds."""

from __future__ import annotations

import random

import pytest

from stcsim.arch import load_arch
from stcsim.replay import gemm
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.select import HEURISTIC
from tests.shapes import problem

A100 = load_arch("a100")


def timed(m: int, n: int, k: int, kernel: str | None, sparse: bool = False) -> tuple[str, float, float]:
    found = time_gemm(Setup(A100, kernel=kernel), problem(m, n, k, "bf16"), sparse)
    return found.kernel, found.time_us, found.waves


@pytest.mark.parametrize(("m", "n"), [(2048, 2048), (1024, 4096), (16384, 256)])
def test_two_waves_of_large_tiles_look_as_good_as_smaller_ones_that_end_sooner(m: int, n: int) -> None:
    kernel, time_us, waves = timed(m, n, 2048, HEURISTIC)
    assert kernel.startswith(("sm80_256x128x", "sm80_128x256x")) and 1 < waves < 1.2  # 128 tiles on 108 SMs
    _, searched_us, _ = timed(m, n, 2048, None)
    assert searched_us < 0.9 * time_us


def test_heuristics_are_not_faster_than_a_search() -> None:
    rng = random.Random(3)
    sizes = [256, 1000, 2048, 4096, 8192]
    for _ in range(20):
        shape = rng.choice(sizes), rng.choice([8, 128, *sizes]), rng.choice(sizes)
        assert timed(*shape, HEURISTIC)[1] >= 0.98 * timed(*shape, None)[1], shape


@pytest.mark.parametrize(("n", "sparse"), [(1, False), (512, True)])
def test_matrix_vector_products_and_2_4_are_searched(n: int, sparse: bool) -> None:
    assert timed(4096, n, 2048, HEURISTIC, sparse) == timed(4096, n, 2048, None, sparse)


def test_a_report_of_one_gemm_takes_it() -> None:
    dense = gemm(2048, 2048, 2048, A100, dtype="bf16", kernel=HEURISTIC).rows[0].dense
    assert dense is not None and dense.kernel == timed(2048, 2048, 2048, HEURISTIC)[0]
