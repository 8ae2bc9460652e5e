"""Real problems on real GPUs for the tests of the timing wing: seeded random sizes, ragged ones among them."""

from __future__ import annotations

from random import Random

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.tiling import tile_up
from stcsim.timing.problem import Problem, gemm_problem

SIZES_M = (64, 100, 256, 1000, 2048, 4096, 5120)
SIZES_N = (1, 16, 64, 200, 1024, 3000)
SIZES_K = (64, 256, 1000, 2048, 4096, 11008)


def problem(
    m: int, n: int, k: int, name: str = "fp16", batch: int = 1, weights_in_l2: bool = False, weight_copies: int = 1
) -> Problem:
    return gemm_problem(m, n, k, name, batch, weights_in_l2=weights_in_l2, weight_copies=weight_copies)


def cut_of(arch: Arch, each: Problem, kernel: Kernel, splits: int = 1) -> Cut:
    """Return ``each`` cut by a kernel that fits the GPU."""
    cut = tile_up(arch, each, kernel, splits)
    assert cut is not None
    return cut


def random_problems(seed: int, count: int) -> list[Problem]:
    rng = Random(seed)
    return [
        problem(
            rng.choice(SIZES_M),
            rng.choice(SIZES_N),
            rng.choice(SIZES_K),
            rng.choice(("fp16", "int8")),
            rng.choice((1, 1, 1, 3)),
            rng.random() < 0.3,
        )
        for _ in range(count)
    ]
