"""Skipping ahead in very large GEMMs: once waves, or iterations, repeat, the rest is worked out instead of simulated.

*Waves.* The kernel is simulated three times with only its first tiles: some full waves, as many again and as many again, and
always the last partial one, so that all end as the whole does. A step spans whole periods of the walk over the matrix as nearly
as waves allow, because a period has its own pattern of L2 hits. *Iterations.* A long reduction is simulated three times with
only the first iterations of every tile (of every slice, if it is split): enough of them that what a wave of tiles reads exceeds
the L2 as it does in the whole, where it does. Either way, if both steps took the same time, that is the pace of what was left
out; if not, one or two more steps are tried, and then the kernel is simulated whole, as one with stream-K is. A shortened kernel
may be shortened the other way too. The engines know nothing of this; its error is measured in ``tests/bounds/test_steady.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from stcsim.timing.lowering.bounds import lower_bound_ticks
from stcsim.timing.lowering.cut import Cut, Tiling
from stcsim.timing.plan import DRAM, TENSOR, GemmTiming, TilePlan

SKIP_ABOVE_ITERATIONS = 3_000_000
"""Tile-iterations up to which a kernel is simulated whole (about a twentieth of a second)."""
ANYWAY_ABOVE_ITERATIONS = 100_000_000
"""Above so many the mean pace of the parts is taken even where it is not steady to ``_SAME_PACE``: seconds instead of minutes."""
_WARM_UP_WAVES = 12
_LEAST_WAVES, _MOST_WAVES = 15, 128  # of one step
_LEAST_ITERATIONS = 96  # of one tile: the pipeline fills, and one step
_MANY_WAVES, _FEWER_ITERATIONS = 64, 32  # so many waves of tiles even out what a short step catches
_TIMES_L2 = 3  # what a wave reads in the warm-up, over the L2, where the whole does not stay there
_WORTH = 2  # the whole must be so many times the runs together
_LEAST_RUNS, _MOST_RUNS = 3, 5
_SAME_PACE = 0.002  # largest relative difference of the two steps

Simulate = Callable[[TilePlan], GemmTiming]


@dataclass(frozen=True, slots=True)
class _Shorter:
    """Ever longer parts of one plan: ``sizes`` of them in waves or iterations, and of the ``whole``."""

    parts: tuple[TilePlan, ...]
    sizes: tuple[int, ...]
    whole: int


def simulate_long(plan: TilePlan, cut: Cut, simulate: Simulate, above: int = SKIP_ABOVE_ITERATIONS) -> GemmTiming:
    """Return the timing of ``plan``: skipping ahead if it has over ``above`` tile-iterations and a steady pace, else whole."""
    if plan.tile_iterations <= above or cut.kernel.stream_k:
        return simulate(plan)

    def of_part(part: TilePlan) -> GemmTiming:
        return simulate_long(part, cut, simulate, above)

    anyway = plan.tile_iterations > ANYWAY_ABOVE_ITERATIONS
    for shorter in (_fewer_iterations(plan, cut.tiling), _fewer_waves(plan, cut)):
        if shorter is not None and (timing := _skipped(shorter, of_part, anyway)) is not None:
            known = replace(timing, l2_read_bytes=plan.of_loads("l2_bytes"), write_bytes=plan.write_bytes)
            return _not_below(known, max(lower_bound_ticks(plan).values()), plan.slots)
    return simulate(plan)


def simulate_long_until(plan: TilePlan, cut: Cut, give_up_ticks: float) -> GemmTiming | None:
    """Return :func:`simulate_long` by the fast engine, or ``None`` once it is certain to take more than ``give_up_ticks``."""
    from stcsim.timing.engine import remembered
    from stcsim.timing.engine.kernels_fast import MAX_TICK

    if plan.tile_iterations > SKIP_ABOVE_ITERATIONS:
        return simulate_long(plan, cut, remembered.simulate)
    return remembered.simulate_until(plan, int(min(give_up_ticks, MAX_TICK)))


def _skipped(shorter: _Shorter, simulate: Simulate, anyway: bool) -> GemmTiming | None:
    """Return the timing of the whole from the pace of its parts; ``None`` where they have none, unless it is asked for anyway."""
    runs = _side_by_side(simulate, shorter.parts[:_LEAST_RUNS])
    for at, size in enumerate(shorter.sizes[_LEAST_RUNS - 1 :], _LEAST_RUNS):
        runs += [simulate(part) for part in shorter.parts[len(runs) : at]]
        if _is_steady(*(run.total_ticks for run in runs[-_LEAST_RUNS:])):
            between = size - shorter.sizes[at - _LEAST_RUNS]
            return _extended(runs[-_LEAST_RUNS], runs[-1], shorter.whole - size, between)
    if not anyway:
        return None
    first, last = shorter.sizes[1], shorter.sizes[-1]
    return _extended(runs[1], runs[-1], shorter.whole - last, last - first)


def _side_by_side(simulate: Simulate, plans: Sequence[TilePlan]) -> list[GemmTiming]:
    """Simulate ``plans`` on two cores, the last one, which is the longest, first."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(simulate, reversed(plans)))[::-1]


def _is_steady(first: int, second: int, third: int) -> bool:
    """Whether both steps took the same time."""
    return abs((third - second) - (second - first)) <= _SAME_PACE * (third - second)


def _fewer_waves(plan: TilePlan, cut: Cut) -> _Shorter | None:
    """Return the first waves of a plan; ``None`` where they would be no saving."""
    if cut.tiling.splits > 1:
        return None
    step = _step_waves(plan.slots, _period_tiles(plan, cut))
    waves, rest = divmod(plan.tiles, plan.slots)
    ends = _worthwhile([_WARM_UP_WAVES + each * step for each in range(_MOST_RUNS)], waves)
    return _Shorter(tuple(_first_tiles(plan, end * plan.slots + rest) for end in ends), tuple(ends), waves) if ends else None


def _fewer_iterations(plan: TilePlan, tiling: Tiling) -> _Shorter | None:
    """Return the first iterations of every tile of a plan; ``None`` where they would be no saving, or come back (taps)."""
    if plan.b_period != plan.k_iters or plan.a_period not in (1, plan.k_iters):
        return None
    whole, read = plan.k_iters // tiling.splits, _wave_bytes(plan)
    stays = whole * tiling.splits * read <= plan.l2_capacity_bytes
    least = _FEWER_ITERATIONS if plan.tiles >= _MANY_WAVES * plan.slots else _LEAST_ITERATIONS
    warm_up = max(least, 0 if stays else -(-_TIMES_L2 * plan.l2_capacity_bytes // (read * tiling.splits)))
    ends = _worthwhile([warm_up + each * max(least, warm_up // 2) for each in range(_MOST_RUNS)], whole)
    return _Shorter(tuple(_first_iterations(plan, tiling, end) for end in ends), tuple(ends), whole) if ends else None


def _wave_bytes(plan: TilePlan) -> int:
    """Bytes that the tiles of the first wave read in one iteration, each once."""
    rows, columns = (np.unique(index[: plan.slots]).size for index in (plan.m_index, plan.n_index))
    return max(1, rows * int(plan.a_dram_bytes[0, 0]) + columns * int(plan.b_dram_bytes[0, 0]))


def _worthwhile(ends: list[int], whole: int) -> list[int]:
    """Return those of ``ends`` that together are a saving, at least three or none."""
    while ends and whole < _WORTH * sum(ends):
        ends.pop()
    return ends if len(ends) >= _LEAST_RUNS else []


def _period_tiles(plan: TilePlan, cut: Cut) -> int:
    """Return after how many tiles the walk repeats: a group of columns; one matrix of a batch whose last group is smaller."""
    tiling = cut.tiling
    group, whole = min(cut.kernel.swizzle, tiling.n_tiles), tiling.m_tiles * tiling.n_tiles
    uneven = tiling.n_tiles % group > 0 or bool((plan.n_index >= plan.n_edge).any())
    repeats = plan.tiles >= _LEAST_RUNS * whole and whole <= _MOST_WAVES * plan.slots
    return whole if uneven and repeats else group * tiling.m_tiles


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


def _first_iterations(plan: TilePlan, tiling: Tiling, iterations: int) -> TilePlan:
    """Return the plan with so many iterations in every tile, or in every slice of one, each with chunks of its own."""
    k_iters, panels = iterations * tiling.splits, (plan.a_chunks // plan.a_period, plan.b_chunks // plan.b_period)
    slices = np.rint(plan.k_start * tiling.splits / plan.k_iters).astype(np.int64)
    a_period = 1 if plan.a_period == 1 else k_iters
    return replace(
        plan,
        k_iters=k_iters,
        k_start=slices * iterations,
        k_count=np.full_like(plan.k_count, iterations),
        a_period=a_period,
        b_period=k_iters,
        a_chunks=panels[0] * a_period,
        b_chunks=panels[1] * k_iters,
    )


def _not_below(timing: GemmTiming, least_ticks: int, slots: int) -> GemmTiming:
    """Return a timing that no bound of the whole plan contradicts; what is missing, a rounding, is given to the part DRAM."""
    missing = least_ticks - timing.total_ticks
    if missing <= 0:
        return timing
    parts = [ticks + (slots * missing if part == DRAM else 0) for part, ticks in enumerate(timing.part_ticks)]
    return replace(timing, total_ticks=least_ticks, part_ticks=tuple(parts))


def _extended(short: GemmTiming, long: GemmTiming, left: int, between: int) -> GemmTiming:
    """Return ``long`` and the pace from ``short`` to ``long`` for what is left; rounding is given to the part TENSOR."""

    def more(small: int, large: int) -> int:
        return large + round((large - small) * left / between)

    pairs = {field.name: (getattr(short, field.name), getattr(long, field.name)) for field in fields(GemmTiming)}
    parts = [max(0, more(a, b)) for a, b in zip(*pairs.pop("part_ticks"), strict=True)]
    counts = {name: more(*pair) for name, pair in pairs.items()}
    slots = sum(long.part_ticks) // long.total_ticks
    parts[TENSOR] += slots * counts["total_ticks"] - sum(parts)
    return GemmTiming(part_ticks=tuple(parts), **counts)
