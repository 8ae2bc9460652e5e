"""The first sieve of a large menu must not lose what the closed form would have liked."""

from __future__ import annotations

import random

import pytest

from stcsim.arch import load_arch
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.kernel import SPLITS, Kernel
from stcsim.timing.lowering.tiling import tile_up
from stcsim.timing.offers.candidates import candidates
from stcsim.timing.offers.closed_form import worth_splitting
from stcsim.timing.offers.estimate import estimates
from stcsim.timing.offers.shortlist import KEPT, KEPT_OF_EACH, shortlist
from stcsim.timing.problem import Problem, gemm_problem

H100 = load_arch("h100")
MENU = kernels("sm90", False)


def problems(count: int) -> list[Problem]:
    rng = random.Random(7)
    sizes = [64, 100, 256, 768, 1024, 2048, 3072, 4096, 5120, 11008, 16384]
    return [
        gemm_problem(
            rng.choice(sizes), rng.choice([2, 16, 64, 128, 257, 512, 1024, 4096]), rng.choice(sizes),
            rng.choice(["bf16", "fp8"]), 1, "bf16", rng.random() < 0.5,
        )
        for _ in range(count)
    ]  # fmt: skip


def best_estimate(problem: Problem, pairs: list[tuple[Kernel, int]]) -> float:
    cuts = [cut for kernel, splits in pairs if (cut := tile_up(H100, problem, kernel, splits)) is not None]
    return min(each.cycles for each in estimates(cuts))


def test_the_best_of_the_shortlist_is_about_the_best_of_the_menu() -> None:
    lost = []
    for problem in problems(25):
        pairs = [(kernel, splits) for kernel in MENU for splits in SPLITS if splits <= kernel.max_splits]
        plausible = [
            (kernel, splits)
            for kernel, splits in pairs
            if splits == 1 or worth_splitting(H100, problem, kernel.cta_m, kernel.cta_n, kernel.cta_k(problem.dtype), splits)
        ]
        kept = shortlist(H100, problem, MENU)
        assert KEPT <= len(kept) <= KEPT + len(SPLITS) * KEPT_OF_EACH and set(kept) <= set(pairs)
        lost.append(best_estimate(problem, kept) / best_estimate(problem, plausible) - 1)
    assert max(lost) < 0.12 and sum(lost) / len(lost) < 0.02


@pytest.mark.parametrize("most", [1, 2, 4])
def test_clusters_that_the_gpu_does_not_have_are_not_offered(most: int) -> None:
    arch = load_arch("h100", [f"kernel.max_cluster_ctas={most}"])
    found = candidates(arch, problems(1)[0], False)
    assert found and max(each.tiling.unit_ctas for each in found) <= most


def test_the_whole_menu_is_tried_where_nothing_on_the_list_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    arch = load_arch("h100", ["shared_memory.max_per_cta_kib=64", "shared_memory.capacity_kib=68"])
    problem = gemm_problem(8192, 8192, 4096, "bf16")
    too_large = [(kernel, 1) for kernel in MENU if tile_up(arch, problem, kernel, 1) is None]
    assert 0 < len(too_large) < len(MENU)
    monkeypatch.setattr("stcsim.timing.offers.candidates.shortlist", lambda *_: too_large)
    assert {each.kernel for each in candidates(arch, problem, False)}.isdisjoint(kernel for kernel, _ in too_large)
