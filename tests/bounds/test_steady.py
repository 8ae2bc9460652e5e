"""Skipping ahead against whole simulations: 60 random large GEMMs with random kernels on five GPUs."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from stcsim.arch import load_arch
from stcsim.timing.board.steady import simulate_long
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.lower import lower
from stcsim.timing.lowering.tiling import tile_up
from stcsim.timing.plan import PARTS, GemmTiming, TilePlan
from tests.shapes import cut_of, problem

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
        cut = tile_up(arch, each, kernel, 1)
        if cut is None or not ABOVE < cut.tile_iterations < MOST:
            continue
        plan = lower(cut)
        simulated: list[TilePlan] = []

        def noted(part: TilePlan, simulated: list[TilePlan] = simulated) -> GemmTiming:
            simulated.append(part)
            return simulate(part)

        skipped = simulate_long(plan, cut, noted, ABOVE)
        if any(part is plan for part in simulated):
            continue  # nothing was skipped
        whole = simulate(plan)
        assert sum(skipped.part_ticks) == plan.slots * skipped.total_ticks and min(skipped.part_ticks) >= 0
        if skipped != whole:
            errors.append(skipped.total_ticks / whole.total_ticks - 1)
    assert max(map(abs, errors)) < 0.01 and sum(map(abs, errors)) / SHAPES < 0.002


def test_small_kernels_are_simulated_whole() -> None:
    arch, each = load_arch("a100"), problem(4096, 4096, 4096)
    kernel = kernels("sm80", False)[0]
    cut = cut_of(arch, each, kernel)
    plan = lower(cut)
    assert simulate_long(plan, cut, simulate) == simulate(plan)


Ticks = Callable[[int], int]
"""What an engine made for a test takes for so many tile-iterations."""


def long_plan() -> tuple[TilePlan, Cut]:
    """Return a kernel of 900 waves and what it is cut from; its reductions are too short to be shortened."""
    arch, each = load_arch("a100"), problem(16_384, 100_000, 8192, "int8")
    kernel = next(k for k in kernels("sm80", True) if (k.cta_m, k.cta_n, k.k_bytes, k.stages) == (128, 128, 256, 3))
    cut = cut_of(arch, each, kernel)
    return lower(cut), cut


def skipped_by(ticks_of: Ticks) -> tuple[list[int], int]:
    """Return the tile-iterations of all that is simulated, the shortest first, and the ticks that follow for the whole."""
    plan, cut = long_plan()
    runs: list[int] = []

    def engine(part: TilePlan) -> GemmTiming:
        runs.append(part.tile_iterations)
        ticks = ticks_of(part.tile_iterations)
        return GemmTiming(ticks, (part.slots * ticks, *[0] * (len(PARTS) - 1)), *[0] * 8)

    ticks = simulate_long(plan, cut, engine, above=600_000).total_ticks
    return sorted(runs), ticks


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_kernel_may_need_a_step_or_two_more_to_be_steady(steps: int) -> None:
    (first, second, _), _ = skipped_by(lambda iterations: 10_000 * iterations)
    step, whole = second - first, long_plan()[0].tile_iterations
    settles = first + steps * step - step // 2  # until then 15,000 ticks each, from there on 10,000
    runs, ticks = skipped_by(lambda iterations: 10_000 * iterations + 5_000 * min(iterations, settles))
    assert runs == [first + at * step for at in range(3 + steps)] and ticks == 10_000 * whole + 5_000 * settles
    assert sum(runs) < whole / 2


def test_a_kernel_that_never_is_steady_is_simulated_whole() -> None:
    whole = long_plan()[0].tile_iterations
    runs, ticks = skipped_by(lambda iterations: iterations * iterations)
    assert len(runs) == 6 and runs[-1] == whole and ticks == whole * whole
