"""Skipping ahead against whole simulations: 60 random large GEMMs with random kernels on five GPUs."""

from __future__ import annotations

from random import Random

import pytest

from stcsim.arch import load_arch
from stcsim.isa import dtype
from stcsim.timing.catalogue import kernels
from stcsim.timing.fast import simulate
from stcsim.timing.int8_catalogue import SMALL
from stcsim.timing.lower import lower
from stcsim.timing.plan import GemmTiming, TilePlan
from stcsim.timing.problem import Problem
from stcsim.timing.steady import simulate_long
from stcsim.timing.tiling import tile_up
from tests.shapes import problem

SHAPES = 60
ABOVE, MOST = 200_000, 6_000_000  # tile-iterations: small enough to run whole, large enough to skip


def test_skipping_ahead_is_within_one_percent() -> None:
    rng, errors = Random(5), []
    while len(errors) < SHAPES:
        arch = load_arch(rng.choice(("a100", "h100", "a40", "a100-pcie", "l40s")))
        sizes_m, sizes_n = (4096, 8192, 11008, 12288, 16384, 28672, 32768), (4096, 8192, 12000, 16384, 30000, 65536)
        each = problem(rng.choice(sizes_m), rng.choice(sizes_n), rng.choice((512, 1024, 2048, 4096)))
        menu = [
            kernel
            for kernel in kernels(arch.kernel.family, rng.random() < 0.5)
            if kernel.cta_m * kernel.cta_n >= 8192 and not kernel.stream_k
        ]
        kernel = rng.choice(menu)
        tiling = tile_up(arch, each, kernel, 1)
        if tiling is None or not ABOVE < tiling.tiles * tiling.k_iters < MOST:
            continue
        plan = lower(arch, each, kernel, tiling)
        skipped = simulate_long(plan, tiling, kernel, simulate, ABOVE)
        whole = simulate(plan)
        assert sum(skipped.part_ticks) == plan.slots * skipped.total_ticks and min(skipped.part_ticks) >= 0
        if skipped != whole:
            errors.append(skipped.total_ticks / whole.total_ticks - 1)
    assert max(map(abs, errors)) < 0.01 and sum(map(abs, errors)) / SHAPES < 0.002


def test_small_kernels_are_simulated_whole() -> None:
    arch, each = load_arch("a100"), problem(4096, 4096, 4096)
    kernel = kernels("sm80", False)[0]
    tiling = tile_up(arch, each, kernel, 1)
    assert tiling is not None
    plan = lower(arch, each, kernel, tiling)
    assert simulate_long(plan, tiling, kernel, simulate) == simulate(plan)


def test_a_kernel_may_need_a_step_more_to_be_steady() -> None:
    arch, each = load_arch("a100"), Problem(65_536, 65_536, 65_536, 1, dtype("int8"), 4)
    tiling = tile_up(arch, each, SMALL, 1)
    assert tiling is not None
    plan, tiles = lower(arch, each, SMALL, tiling), []

    def counted(part: TilePlan) -> GemmTiming:
        tiles.append(part.tiles)
        return simulate(part)

    skipped = simulate_long(plan, tiling, SMALL, counted)
    assert len(tiles) == 4 and sum(tiles) < plan.tiles / 10
    assert skipped.total_ticks == pytest.approx(548_303_692_931, rel=1e-4)  # simulated whole: 24 s
