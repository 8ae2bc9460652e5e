"""A search that remembers what was simulated for other clocks finds what one without memory finds."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stcsim import load_arch
from stcsim.timing.board.power import Load
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.select import Key, key_of, select
from tests.shapes import problem

SIZES = (256, 512, 1024, 2048, 3072, 4096)


@pytest.mark.parametrize("seed", range(12))
def test_what_was_known_changes_no_answer(seed: int) -> None:
    rng = random.Random(seed)
    arch, sparse = load_arch(rng.choice(["a100", "h100", "a40"])), rng.random() < 0.5
    each = problem(rng.choice(SIZES), rng.choice(SIZES), rng.choice(SIZES))
    highest_mhz, known = arch.clock.sustained_mhz, dict[Key, Load]()
    for clock_mhz, price in [
        (highest_mhz, 0.0),
        *((highest_mhz * rng.uniform(0.7, 1), rng.uniform(100, 6000)) for _ in range(3)),
    ]:
        setup = replace(Setup(arch), clock_mhz=clock_mhz, price_us_per_j=price)
        with_memory, without = select(setup, each, sparse, known), select(setup, each, sparse)
        assert list(map(key_of, with_memory)) == list(map(key_of, without))
    assert known
