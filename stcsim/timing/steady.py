"""Skipping ahead in very large GEMMs: once the waves repeat, the rest is worked out instead of simulated.

The kernel is simulated three times with only its first tiles: some full waves, as many again and as many again, and always the
last partial one, so that all end as the whole does. If both steps took the same time, that is the pace of the waves left out; if
not, one or two more steps are tried, and then the kernel is simulated whole, as one with split-K or stream-K is. A step spans
whole periods of the walk over the matrix as nearly as waves allow, because a period has its own pattern of L2 hits. The engines
know nothing of this; its error is measured in ``tests/bounds/test_steady.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from stcsim.timing.kernel import Kernel
from stcsim.timing.plan import TENSOR, GemmTiming, TilePlan
from stcsim.timing.tiling import Tiling

SKIP_ABOVE_ITERATIONS = 3_000_000
"""Tile-iterations up to which a kernel is simulated whole (about a quarter of a second)."""
_WARM_UP_WAVES = 12
_LEAST_WAVES, _MOST_WAVES = 15, 64  # of one step
_WORTH = 2  # the whole must be so many times the runs together
_LEAST_RUNS, _MOST_RUNS = 3, 5
_SAME_PACE = 0.002  # largest relative difference of the two steps


def simulate_long(
    plan: TilePlan,
    tiling: Tiling,
    kernel: Kernel,
    simulate: Callable[[TilePlan], GemmTiming],
    above: int = SKIP_ABOVE_ITERATIONS,
) -> GemmTiming:
    """Return the timing of ``plan``: skipping ahead if it has over ``above`` tile-iterations and a steady pace, else whole."""
    if plan.tile_iterations <= above or tiling.splits > 1 or kernel.stream_k:
        return simulate(plan)
    step = _step_waves(plan.slots, min(kernel.swizzle, tiling.n_tiles) * tiling.m_tiles)
    waves, rest = divmod(plan.tiles, plan.slots)
    ends = [_WARM_UP_WAVES + each * step for each in range(_MOST_RUNS)]
    while ends and waves < _WORTH * sum(ends):
        ends.pop()
    if len(ends) < _LEAST_RUNS:
        return simulate(plan)
    parts = [_first_tiles(plan, end * plan.slots + rest) for end in ends]
    runs = _side_by_side(simulate, parts[:_LEAST_RUNS])
    for at, end in enumerate(ends[_LEAST_RUNS - 1 :], _LEAST_RUNS):
        runs += [simulate(part) for part in parts[len(runs) : at]]
        if _is_steady(*(run.total_ticks for run in runs[-_LEAST_RUNS:])):
            return _extended(runs[-_LEAST_RUNS], runs[-1], waves - end, 2 * step)
    return simulate(plan)


def _side_by_side(simulate: Callable[[TilePlan], GemmTiming], plans: list[TilePlan]) -> list[GemmTiming]:
    """Simulate ``plans`` on two cores, the last one, which is the longest, first."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(simulate, reversed(plans)))[::-1]


def _is_steady(first: int, second: int, third: int) -> bool:
    """Whether both steps took the same time."""
    return abs((third - second) - (second - first)) <= _SAME_PACE * (third - second)


def _step_waves(slots: int, period_tiles: int) -> int:
    """Return the number of waves, within limits, that comes nearest to whole periods of the walk."""
    if period_tiles > _MOST_WAVES * slots:  # the walk repeats too rarely; within a period its pace is even
        return _LEAST_WAVES

    def off(waves: int) -> float:
        tiles = waves * slots
        return min(tiles % period_tiles, -tiles % period_tiles) / tiles

    return min(range(_LEAST_WAVES, _MOST_WAVES + 1), key=off)


def _first_tiles(plan: TilePlan, tiles: int) -> TilePlan:
    """Return the plan cut after its first tiles."""
    cut = {name: getattr(plan, name)[:tiles] for name in ("m_index", "n_index", "k_start", "k_count", "kind")}
    return replace(plan, **cut)


def _extended(short: GemmTiming, long: GemmTiming, waves_left: int, waves_between: int) -> GemmTiming:
    """Return ``long`` and the pace from ``short`` to ``long`` for the waves left; rounding is given to the part TENSOR."""

    def more(small: int, large: int) -> int:
        return large + round((large - small) * waves_left / waves_between)

    pairs = {field.name: (getattr(short, field.name), getattr(long, field.name)) for field in fields(GemmTiming)}
    parts = [max(0, more(a, b)) for a, b in zip(*pairs.pop("part_ticks"), strict=True)]
    counts = {name: more(*pair) for name, pair in pairs.items()}
    slots = sum(long.part_ticks) // long.total_ticks
    parts[TENSOR] += slots * counts["total_ticks"] - sum(parts)
    return GemmTiming(part_ticks=tuple(parts), **counts)
