"""Real problems on real GPUs for the tests of the timing wing: seeded random sizes, ragged ones among them."""

from __future__ import annotations

from random import Random

from stcsim.isa import dtype, type_bytes
from stcsim.timing.problem import Problem

SIZES_M = (64, 100, 256, 1000, 2048, 4096, 5120)
SIZES_N = (1, 16, 64, 200, 1024, 3000)
SIZES_K = (64, 256, 1000, 2048, 4096, 11008)


def problem(m: int, n: int, k: int, name: str = "fp16", batch: int = 1, weights_in_l2: bool = False) -> Problem:
    element = dtype(name)
    return Problem(m, n, k, batch, element, type_bytes(element.out), weights_in_l2)


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
