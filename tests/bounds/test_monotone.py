"""Is more hardware never slower? Strictly so for one plan: less of any cost, or a larger L2, cannot make it longer."""

from __future__ import annotations

import dataclasses
from random import Random

import numpy as np
import pytest

from stcsim.timing.engine.fast import simulate
from stcsim.timing.plan import TilePlan
from tests.differential.random_plans import random_plan

COSTS = [field.name for field in dataclasses.fields(TilePlan) if field.name.endswith("_ticks")]
SEEDS = range(300)


def cheaper(plan: TilePlan, cost: str, rng: Random) -> TilePlan:
    """Return ``plan`` with less of one cost: every number of a table falls by a part of its own."""
    value = np.asarray(getattr(plan, cost))
    share = np.array([rng.choice((0.0, 0.3, 0.5, 1.0)) for _ in range(value.size)]).reshape(value.shape)
    less = (value - np.floor(value * share)).astype(np.int64)
    return dataclasses.replace(plan, **{cost: less if less.shape else int(less)})


@pytest.mark.parametrize("cost", COSTS)
def test_less_of_a_cost_is_never_slower(cost: str) -> None:
    faster = 0
    for seed in SEEDS:
        plan = random_plan(seed)
        before, after = simulate(plan), simulate(cheaper(plan, cost, Random(seed)))
        assert after.total_ticks <= before.total_ticks, f"seed {seed}: {plan}"
        assert after.dram_read_bytes == before.dram_read_bytes, f"seed {seed}: what misses depends on no duration"
        faster += after.total_ticks < before.total_ticks
    assert faster >= 10  # the cost is felt at all


def test_a_larger_l2_is_never_slower() -> None:
    faster = 0
    for seed in SEEDS:
        plan = random_plan(seed)
        for factor in (1.1, 2, 10):
            larger = dataclasses.replace(plan, l2_capacity_bytes=int(plan.l2_capacity_bytes * factor))
            before, after = simulate(plan), simulate(larger)
            assert after.total_ticks <= before.total_ticks and after.dram_read_bytes <= before.dram_read_bytes, seed
            faster += after.total_ticks < before.total_ticks
    assert faster >= 10
