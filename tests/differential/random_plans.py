"""Random small plans, drawn so that every rule of the contract gets its turn, costs of nothing among them."""

from __future__ import annotations

from random import Random
from typing import Any

from stcsim.timing.plan import FINISHER, HELD_WHOLE, KINDS, PARTIAL, WHOLE, TilePlan
from tests.plans import OPERAND_TABLES, OUT_TABLES, Tile, make_plan

SHARED = ("_l2_ticks", "_dram_ticks")
"""Costs at the servers of the whole GPU: kept small, or every wait is for L2 or DRAM."""

MOST = {"out_dram_ticks": (0, 0, 1, 2, 5, 30)}
"""Writes are put off, and only felt where they are many."""


def most_of(name: str) -> tuple[int, ...]:
    """Return what the largest cost of a table may be, in steps."""
    return MOST.get(name, (0, 1, 2, 5) if name.endswith(SHARED) else (0, 3, 3, 10))


def random_plan(seed: int) -> TilePlan:
    """Return the plan of a seed; the same seed gives the same plan."""
    rng = Random(seed)
    m_tiles, n_tiles, k_iters = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 12)
    step = rng.choice((1, 4, 4, 4))  # multiples of 4 meet often, odd ticks catch roundings
    tables = {
        name: random_table(rng, step, rng.choice(most_of(name)), *shape)
        for names, shape in ((OPERAND_TABLES, (2, 2)), (OUT_TABLES, (3, 2, 2)))
        for name in names
    }
    tiles = random_tiles(rng, m_tiles, n_tiles, k_iters)
    return make_plan(
        tiles=tiles,
        kind=random_kinds(rng, tiles, k_iters),
        k_iters=k_iters,
        units=rng.choice((1, 2, 2, 3, 4, 5, 6, 8)),
        slots_per_unit=rng.randint(1, 3),
        stages=rng.randint(1, 6),
        m_edge=rng.randint(0, m_tiles),
        n_edge=rng.randint(0, n_tiles),
        a_period=rng.choice((k_iters, rng.randint(1, k_iters))),
        b_period=rng.choice((k_iters, rng.randint(1, k_iters))),
        a_held=rng.choice((0, 0, HELD_WHOLE, rng.randint(0, HELD_WHOLE))),
        b_held=rng.choice((0, 0, HELD_WHOLE, rng.randint(0, HELD_WHOLE))),
        d_held=rng.choice((0, HELD_WHOLE)),
        l2_capacity_bytes=rng.choice((0, 1, 40, 200, 1000, 10**9)),
        tensor_ticks=step * rng.randint(0, 6),
        warp_ticks=step * rng.randint(0, 8),
        smem_read_ticks=step * rng.randint(0, 6),
        iteration_ticks=step * rng.randint(0, 2),
        prefetch=rng.random() < 0.5,
        prologue_ticks=step * rng.randint(0, 10),
        next_prologue_ticks=step * rng.randint(0, 5),
        epilogue_ticks=[step * rng.randint(0, 10) for _ in KINDS],
        tail_ticks=rng.choice((0, step * rng.randint(1, 10))),
        l2_latency_ticks=step * rng.randint(0, 5),
        dram_latency_ticks=step * rng.randint(0, 10),
        **tables,
    )


def random_tiles(rng: Random, m_tiles: int, n_tiles: int, k_iters: int) -> list[Tile]:
    """Return every tile of the grid, each cut in k at its own places, in raster order or shuffled."""
    splits = rng.choice((1, 1, rng.randint(1, min(4, k_iters))))
    tiles = []
    for m in range(m_tiles):
        for n in range(n_tiles):
            cuts = [0, *sorted(rng.sample(range(1, k_iters), splits - 1)), k_iters]
            tiles += [(m, n, start, stop - start) for start, stop in zip(cuts, cuts[1:], strict=False)]
    if rng.random() < 0.5:
        rng.shuffle(tiles)
    return tiles


def random_kinds(rng: Random, tiles: list[Tile], k_iters: int) -> list[int]:
    """Return the kinds of the tiles: slices of a split reduction, all whole, or pieces of stream-K, or anything."""
    if rng.random() < 0.3:
        return [WHOLE] * len(tiles)
    if rng.random() < 0.5:
        return [rng.choice(KINDS) for _ in tiles]
    return [
        WHOLE if k_count == k_iters else FINISHER if k_start + k_count == k_iters else PARTIAL for _, _, k_start, k_count in tiles
    ]


def random_table(rng: Random, step: int, most: int, *shape: int) -> list[Any]:
    """Return costs for every class, up to ``most`` steps each."""
    size, *inner = shape
    return [random_table(rng, step, most, *inner) if inner else step * rng.randint(0, most) for _ in range(size)]
