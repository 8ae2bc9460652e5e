"""Do the two timing engines agree exactly, on plans that really test them?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stcsim.timing.engine import fast, reference
from stcsim.timing.plan import PARTS, TilePlan
from tests.differential.random_plans import random_plan

SEEDS = range(400)
CHUNK = 50


def plans(first_seed: int) -> Iterator[tuple[int, TilePlan]]:
    """Yield a chunk of seeds with their plans."""
    for seed in range(first_seed, first_seed + CHUNK):
        yield seed, random_plan(seed)


@pytest.mark.small
@pytest.mark.parametrize("first_seed", SEEDS[::CHUNK])
def test_fast_equals_reference(first_seed: int) -> None:
    for seed, plan in plans(first_seed):
        assert fast.simulate(plan) == reference.simulate(plan), f"seed {seed}: {plan}"


@pytest.mark.parametrize("engine", [reference, fast], ids=["reference", "fast"])
def test_parts_sum_to_slots_times_total(engine) -> None:
    for seed in SEEDS:
        plan = random_plan(seed)
        timing = engine.simulate(plan)
        assert sum(timing.part_ticks) == plan.slots * timing.total_ticks, f"seed {seed}: {plan}"


def test_order_of_slots_decides_for_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order = [reference.simulate(random_plan(seed)) for seed in SEEDS]

    monkeypatch.setattr(reference.Simulation, "turns", lambda simulation, lives: reversed(lives))
    backwards = [reference.simulate(random_plan(seed)) for seed in SEEDS]

    differ = [one.total_ticks != other.total_ticks for one, other in zip(in_order, backwards, strict=True)]
    assert sum(differ) >= 150  # so an engine with another order cannot pass for equal


def test_giving_up_is_never_wrong() -> None:
    given_up = 0
    for seed in SEEDS:
        plan = random_plan(seed)
        total_ticks = fast.simulate(plan).total_ticks
        assert fast.simulate_until(plan, total_ticks) is not None, f"seed {seed}: {plan}"
        given_up += fast.simulate_until(plan, total_ticks // 2) is None
    assert given_up >= 300  # short ones end before anything is certain


def test_seeds_have_every_kind_of_tile_on_every_edge() -> None:
    classes = {each for seed in SEEDS for each in zip(*(of.tolist() for of in random_plan(seed).out_classes), strict=True)}

    assert len(classes) == 3 * 2 * 2


def test_seeds_reach_every_part() -> None:
    part_ticks = np.sum([reference.simulate(random_plan(seed)).part_ticks for seed in SEEDS], axis=0)

    assert dict(zip(PARTS, part_ticks > 0, strict=True)) == dict.fromkeys(PARTS, True)
