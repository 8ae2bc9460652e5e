"""Kernel selection as a tuned library does it: time what may be the fastest, keep what is.

Kernels are tried in the order of a closed-form estimate. One is left out only where a floor (``estimate``) shows that it cannot
win, and its simulation ends as soon as it has lost, so the answer is the best of all that are offered, as far as the budget
goes. That matters for *what if*: a search that misses the best kernel makes a better GPU slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from stcsim.timing.board.board import (
    clock_mhz_of,
    cost_us,
    least_load,
    load_of,
    may_cost_less,
    rough_load,
    settled,
    simulated,
    simulated_until,
)
from stcsim.timing.board.power import Load, joules
from stcsim.timing.board.setup import Setup
from stcsim.timing.lowering.cut import Tiling
from stcsim.timing.offers.candidates import Candidate, candidates, offered, other_grids
from stcsim.timing.offers.heuristic import has_heuristics, pick
from stcsim.timing.problem import Problem

MARGIN = 1.3
"""A kernel is not simulated if its estimate is so many times the best simulation so far."""
BUDGET_ITERATIONS = 12_000_000
"""After so many simulated tile-iterations no further kernel is tried: the larger the GEMM, the better the estimates."""
VERY_LARGE_ITERATIONS = 20_000_000
ALIKE = 1.03
"""Estimates of a very large GEMM that differ by less say nothing of which kernel is faster."""
CLOSE = 1.01
"""Costs that differ by less are compared at the clocks that the kernels hold exactly."""
OTHER_CLOCK = 0.005
"""Clocks that differ by more, relative, are another simulation: waits for DRAM follow no clock, and only about."""
Key = tuple[int, Tiling]
"""A kernel of the catalogue, by identity (hashing one takes longer than using it), and how it is cut."""
HEURISTIC = "heuristic"
"""Instead of a kernel's name: the dense kernel that cuBLAS takes unmeasured (``timing.offers.heuristic``); 2:4 as ever."""


@dataclass(slots=True)
class Search:
    """The search for the kernel of one GEMM.

    Attributes:
        timed: candidates that were simulated to the end with their costs, in the order in which they were tried.
        best_us: the lowest cost so far.
        clock_mhz: at which candidates are simulated unless one is given: that which the first holds, as the others nearly will.
        known: where the clock is given, loads of candidates that were simulated at the highest clock, by this search or others
            for the same GEMM.
    """

    setup: Setup
    timed: list[tuple[float, Candidate]] = field(default_factory=list)
    best_us: float = math.inf
    clock_mhz: float = 0.0
    known: dict[Key, Load] = field(default_factory=dict)
    _iterations: int = 0

    def run(self, found: list[Candidate]) -> list[Candidate]:
        """Try ``found`` by rough cost; return all, the cheapest of the simulated first (ties: the better estimate)."""
        ranked = _coarse_first(self._ranked(found))
        for rough_us, candidate in ranked:
            if self._iterations > BUDGET_ITERATIONS or rough_us > MARGIN * self.best_us:
                break
            self.attempt(candidate)
        if self.timed and len(found) > 1:
            kernels = {(id(each.kernel), each.tiling.splits): each for _, each in self.timed}
            fewer_sms = offered([grid for each in kernels.values() for grid in other_grids(each)])
            for rough_us, candidate in self._ranked(fewer_sms):
                if rough_us < self.best_us:
                    self.attempt(candidate)
        tried = self._by_cost()
        names = {id(each.estimate) for each in tried}
        return tried + [each for _, each in ranked if id(each.estimate) not in names]

    def _ranked(self, found: list[Candidate]) -> list[tuple[float, Candidate]]:
        """Return ``found`` with their rough costs, the lowest first."""
        costs = [cost_us(self.setup, rough_load(self.setup, each)) for each in found]
        return sorted(zip(costs, found, strict=True), key=lambda pair: pair[0])

    def attempt(self, candidate: Candidate) -> None:
        """Simulate a candidate if it may be the best, and as far as it may."""
        least = least_load(self.setup, candidate)
        if not may_cost_less(self.setup, least, self.best_us):
            return
        self._iterations += candidate.cut.tile_iterations
        if self.setup.clock_mhz:
            self._attempt_at_given_clock(candidate, least)
            return
        highest_mhz = self.setup.arch.clock.sustained_mhz
        clock_mhz = self.clock_mhz or clock_mhz_of(self.setup, rough_load(self.setup, candidate))
        # at its own clock, up to the highest, it may be so much faster than at this one
        done = simulated_until(self.setup, candidate, clock_mhz, self.best_us * highest_mhz / clock_mhz)
        if done is not None:
            self._keep(done)

    def _attempt_at_given_clock(self, candidate: Candidate, least: Load) -> None:
        """Take the cost at the given clock from a simulation at the highest: a kernel is simulated once for all clocks."""
        highest_mhz, most_us = self.setup.arch.clock.sustained_mhz, self._most_us(least)
        load = self.known.get(key_of(candidate))
        if load is None:
            done = simulated_until(self.setup, candidate, highest_mhz, most_us)
            if done is None:
                return
            candidate, load = done, load_of(self.setup, done)
            self.known[key_of(done)] = load
        if load.time_us(highest_mhz) <= most_us:  # the same answer whether it was known or not
            cost = cost_us(self.setup, load)
            self.timed.append((cost, candidate))
            self.best_us = min(self.best_us, cost)

    def _most_us(self, least: Load) -> float:
        """Return the time above which a candidate cannot win at the given clock: what the price of its energy leaves."""
        return self.best_us - self.setup.price_us_per_j * joules(self.setup.arch, least.spent, self.setup.clock_mhz or 0.0)

    def _keep(self, done: Candidate) -> None:
        """Add a simulated candidate; the first, and a better one whose clock is another, is simulated at the clock it holds."""
        load = load_of(self.setup, done)
        cost, off = cost_us(self.setup, load), abs(clock_mhz_of(self.setup, load) / done.clock_mhz - 1)
        if not self.timed or cost < self.best_us and off > OTHER_CLOCK:
            done = settled(self.setup, done)
            cost = cost_us(self.setup, load_of(self.setup, done))
        self.clock_mhz = self.clock_mhz or done.clock_mhz
        self.timed.append((cost, done))
        self.best_us = min(self.best_us, cost)

    def _by_cost(self) -> list[Candidate]:
        """Return the simulated candidates, cheapest first; the close ones at the clocks they hold."""
        order = sorted(self.timed, key=lambda pair: pair[0])
        if self.setup.clock_mhz:
            return [each for _, each in order]
        close = [pair for pair in order if pair[0] <= CLOSE * self.best_us]
        exact = [settled(self.setup, each) for _, each in close]
        exact.sort(key=lambda each: cost_us(self.setup, load_of(self.setup, each)))
        return exact + [each for _, each in order[len(close) :]]


def select(setup: Setup, problem: Problem, sparse: bool, known: dict[Key, Load] | None = None) -> list[Candidate]:
    """Search for the kernel of ``problem``; return all candidates, the winner first, and simulated unless a clock is given.

    ``setup.kernel`` is a kernel's name, or ``HEURISTIC``, or ``None``. ``known`` is remembered from one search for a GEMM
    to the next, where the clock is given.

    Raises:
        UnsupportedError: as ``offers.candidates``.
    """
    forced = setup.kernel
    if forced == HEURISTIC:
        if not sparse and problem.n > 1 and has_heuristics(setup.arch):
            return _by_heuristic(setup, candidates(setup.arch, problem, sparse))
        forced = None
    search = Search(setup, known={} if known is None else known)
    return search.run(candidates(setup.arch, problem, sparse, forced, setup.library))


def key_of(candidate: Candidate) -> Key:
    """Return what tells the kernels that are offered for one GEMM apart."""
    return id(candidate.kernel), candidate.tiling


def _coarse_first(ranked: list[tuple[float, Candidate]]) -> list[tuple[float, Candidate]]:
    """Of a very large GEMM's kernels with about the same estimate put the one first that takes least to simulate."""
    if ranked[0][1].cut.tile_iterations <= VERY_LARGE_ITERATIONS:
        return ranked
    near = [pair for pair in ranked if pair[0] <= ALIKE * ranked[0][0]]
    return sorted(near, key=lambda pair: pair[1].cut.tile_iterations) + ranked[len(near) :]


def _by_heuristic(setup: Setup, ranked: list[Candidate]) -> list[Candidate]:
    """Return all candidates, first the one that heuristics take, the only one that is simulated (ties: the better estimate)."""
    whole = [each for each in ranked if not each.tiling.leaves_idle]
    taken = whole[pick([each.cut for each in whole])]
    clock_mhz = setup.clock_mhz or setup.arch.clock.sustained_mhz
    return [simulated(setup, taken, clock_mhz), *(each for each in ranked if each is not taken)]
