"""The engine's memory: what it says is what a simulation would say, and it says nothing when nobody asked it to remember."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest

from stcsim.arch import load_arch
from stcsim.replay import gemm
from stcsim.timing.engine import fast, remembered
from stcsim.timing.engine.remembered import Memory, remembering
from tests.differential.random_plans import random_plan


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small plans are remembered, too."""
    monkeypatch.setattr(remembered, "LEAST_ITERATIONS", 0)


def test_at_every_limit_and_in_every_order_the_answer_is_that_of_a_simulation(everything: None) -> None:
    dice, memory = random.Random(3), Memory()
    for seed in range(20):
        plan = random_plan(seed)
        total = fast.simulate(plan).total_ticks
        limits = [dice.choice([0, total // 2, total - 1, total, total + 1, 2 * total, fast.MAX_TICK]) for _ in range(8)]
        expected = [fast.simulate_until(plan, limit) for limit in limits]
        with remembering(memory):
            assert [remembered.simulate_until(plan, limit) for limit in limits] == expected
    assert memory.spared > memory.simulated / 2


def test_plans_that_differ_in_one_field_are_told_apart(everything: None) -> None:
    plan, keys = random_plan(1), set()
    keys.add(remembered._key(plan))
    for field in fields(plan):
        keys.add(remembered._key(replace(plan, **{field.name: getattr(plan, field.name) + 1})))
    assert len(keys) == 1 + len(fields(plan))


def test_small_plans_are_simulated_each_time() -> None:
    plan, memory = random_plan(1), Memory()
    with remembering(memory):
        for _ in range(2):
            remembered.simulate(plan)
    assert (memory.simulated, memory.spared) == (2 * plan.tile_iterations, 0)


def test_nothing_is_remembered_outside_of_the_block(everything: None) -> None:
    plan, memory = random_plan(1), Memory()
    with remembering(memory):
        remembered.simulate(plan)
    remembered.simulate(plan)
    assert memory.spared == 0


def test_the_oldest_plans_are_forgotten(everything: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_PLANS", 2)
    memory = Memory()
    with remembering(memory):
        for seed in (1, 2, 3):
            remembered.simulate(random_plan(seed))
        simulated = memory.simulated
        remembered.simulate(random_plan(3))
        assert memory.simulated == simulated
        remembered.simulate(random_plan(1))
        assert memory.simulated == simulated + random_plan(1).tile_iterations


def test_a_run_with_a_memory_is_a_run_without() -> None:
    memory, a100 = Memory(), load_arch("a100")
    small = load_arch("a100", ["tensor_core.sparse_kept=1"])
    alone = [gemm(4096, 4096, 2048, arch).totals for arch in (a100, small)]
    with remembering(memory):
        assert [gemm(4096, 4096, 2048, arch).totals for arch in (a100, small)] == alone
    assert memory.spared > 0  # the dense side is the same on both
