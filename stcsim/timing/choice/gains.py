"""What would help a GEMM: how much less time it takes with a little more of each resource.

Where the time goes says which server a CTA happened to wait for; when two are nearly as busy, that is the first in its way, and
more of it may bring nothing. So each resource is given a tenth more, and half as much again, and the GEMM is timed again, the
kernel chosen again among all that may win: the answer a user gets who changes the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stcsim.result import Gains
from stcsim.timing.board.board import cost_us, rough_load
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.resources import MORE, with_more
from stcsim.timing.choice.select import HEURISTIC, Search
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.offers.candidates import Candidate, offered

_LEAST = 5e-4  # a smaller share is none
_RUNNERS_UP = 150
_MARGIN = 1.15  # as ``select.MARGIN``; the best is nearly known here from the start


def gains_of(setup: Setup, ranked: Sequence[Candidate]) -> Gains:
    """Return what would help a GEMM; ``ranked`` is what ``select`` returns: its kernel, and those that may take its place."""
    found = ranked[:1] if setup.kernel == HEURISTIC else ranked[: 1 + _RUNNERS_UP]
    cuts = [each.cut for each in found]  # small: results are kept, and these with them
    return Gains(lambda factor: _with_more_of_each(replace(setup, engine="fast"), cuts, factor))


def _with_more_of_each(setup: Setup, cuts: Sequence[Cut], factor: float) -> dict[str, float]:
    """Return the share of the time that ``factor`` times as much of each resource saves."""
    now_us = _best_us(setup, cuts[:1])

    def gain(resource: str) -> float:
        if resource == "power" and setup.clock_mhz:
            return 0.0  # the network's clock, not this GEMM's
        more = replace(setup, arch=with_more(setup.arch, resource, factor))
        saved = 1 - _best_us(more, cuts) / now_us
        return saved if saved >= _LEAST else 0.0

    return {resource: gain(resource) for resource in MORE}


def _best_us(setup: Setup, cuts: Sequence[Cut]) -> float:
    """Return the least cost of ``cuts`` on another GPU, each with the closed forms that it has there."""
    search = Search(setup)
    for again in offered([cut._replace(arch=setup.arch) for cut in cuts]):
        if cost_us(setup, rough_load(setup, again)) < _MARGIN * search.best_us:
            search.attempt(again)
    return search.best_us
