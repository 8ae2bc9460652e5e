"""The fast engine with a memory: in a series of runs that differ in what no plan has, such as power limits, plans come again.

A plan is known by a hash of every field. What is remembered is what a simulation would return, also where it was given up: one
that ends at some limit ends at every higher one, and one that is given up at some limit is given up at every lower one. Nothing
is remembered outside of :func:`remembering`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from hashlib import blake2b

import numpy as np

from stcsim.timing.engine import fast
from stcsim.timing.engine.kernels_fast import MAX_TICK
from stcsim.timing.plan import GemmTiming, TilePlan

LEAST_ITERATIONS = 20_000
"""Tile-iterations from which on a plan is remembered: a smaller one is simulated about as soon as hashed."""
MOST_PLANS = 50_000
"""Plans that are remembered, the latest ones: some 40 MB."""


@dataclass(slots=True)
class _Known:
    """What is known of one plan.

    Attributes:
        timing: once it was simulated to the end.
        ended_ticks: the lowest limit at which it was; it may be below what the plan takes, if nobody noticed in time.
        given_up_ticks: the highest limit at which it was given up.
    """

    timing: GemmTiming | None = None
    ended_ticks: int = MAX_TICK + 1
    given_up_ticks: int = -1


@dataclass(slots=True)
class Memory:
    """Timings by plan, and how much work they saved.

    Attributes:
        simulated: tile-iterations of all plans that were simulated, to the end or until given up.
        spared: tile-iterations of all plans that were remembered.
    """

    simulated: int = 0
    spared: int = 0
    _plans: OrderedDict[bytes, _Known] = field(default_factory=OrderedDict)

    def timing(self, plan: TilePlan, give_up_ticks: int) -> GemmTiming | None:
        """Return what :func:`stcsim.timing.engine.fast.simulate_until` returns."""
        iterations = plan.tile_iterations
        known = self._known(plan) if iterations >= LEAST_ITERATIONS else _Known()
        if give_up_ticks >= known.ended_ticks or give_up_ticks <= known.given_up_ticks:
            self.spared += iterations
            return known.timing if give_up_ticks >= known.ended_ticks else None
        self.simulated += iterations
        timing = fast.simulate_until(plan, give_up_ticks)
        if timing is None:
            known.given_up_ticks = give_up_ticks
        else:
            known.timing, known.ended_ticks = timing, min(give_up_ticks, timing.total_ticks)
        return timing

    def _known(self, plan: TilePlan) -> _Known:
        known = self._plans.setdefault(_key(plan), _Known())
        if len(self._plans) > MOST_PLANS:
            self._plans.popitem(last=False)
        return known


_memory: Memory | None = None


@contextmanager
def remembering(memory: Memory) -> Iterator[None]:
    """Let simulations in the block remember what this memory has, and add to it."""
    global _memory
    before, _memory = _memory, memory
    try:
        yield
    finally:
        _memory = before


def simulate(plan: TilePlan) -> GemmTiming:
    """Return what :func:`stcsim.timing.engine.fast.simulate` returns. Raises as that."""
    timing = simulate_until(plan, MAX_TICK)
    assert timing is not None
    return timing


def simulate_until(plan: TilePlan, give_up_ticks: int) -> GemmTiming | None:
    """Return what :func:`stcsim.timing.engine.fast.simulate_until` returns. Raises as that."""
    return fast.simulate_until(plan, give_up_ticks) if _memory is None else _memory.timing(plan, give_up_ticks)


_FIELDS = tuple(each.name for each in fields(TilePlan))


def _key(plan: TilePlan) -> bytes:
    """Return a hash of all fields."""
    seen = blake2b(digest_size=20)
    for name in _FIELDS:
        value = getattr(plan, name)
        is_array = isinstance(value, np.ndarray)
        seen.update(f"{value.shape}".encode() if is_array else f"{value};".encode())
        if is_array:
            seen.update(np.ascontiguousarray(value).data)
    return seen.digest()
