"""The kernels of one run, each chosen and timed once for each problem, L2 content and clock step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from stcsim.replay.clock_steps import Steps
from stcsim.result import KernelResult, MemoryResult
from stcsim.timing.board.memory_op import Traffic, gemm_load, memory_load, time_memory, with_fused_reads
from stcsim.timing.board.power import Load
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import Choice, choose
from stcsim.timing.choice.select import Key, key_of
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.problem import Problem

_CLOCK_STEP, _PRICE_STEP = 0.02, 0.1  # relative: kernels are chosen once for clocks and prices that differ by less


@dataclass(frozen=True, slots=True)
class Layer:
    """One GEMM kernel of a network: what to compute, dense or 2:4, and what fused steps read beside it."""

    problem: Problem
    sparse: bool
    beside: Traffic = Traffic()


Work = Layer | Traffic
"""One kernel: of a layer, or of a memory operation."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms kernels are chosen: the SM clock, and what a joule costs the network (``power.price_us_per_j``).

    At the highest clock, with no price, that is the fastest kernel.
    """

    clock_mhz: float
    price_us_per_j: float = 0.0

    def rounded(self) -> Terms:
        """Return the terms for which a search is made: nearly the same ones share it."""
        if not self.price_us_per_j:
            return self
        clock, price = (
            round(math.log(value) / step) * step
            for value, step in ((self.clock_mhz, _CLOCK_STEP), (self.price_us_per_j, _PRICE_STEP))
        )
        return Terms(math.exp(clock), math.exp(price))


class Kernels:
    """Chooses and times kernels, and remembers them."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._fast = replace(setup, engine="fast")
        self._chosen: dict[tuple[Problem, bool, Terms | None], Choice] = {}
        self._known: dict[tuple[Problem, bool], dict[Key, Load]] = {}
        self._timed: dict[tuple[Problem, Key, float], Candidate] = {}
        self._loads: dict[tuple[Work, Terms, Steps], Load] = {}
        self._results: dict[tuple[str, Layer, Terms, float], KernelResult] = {}

    @property
    def highest_mhz(self) -> float:
        """The clock that is held while the board limit does not bind."""
        return self.setup.arch.clock.sustained_mhz

    def alone(self, layer: Layer) -> tuple[KernelResult, Load]:
        """Return the kernel of ``layer`` that is fastest when launched over and over, at the clock it holds then, and its load.

        Raises:
            UnsupportedError: when no kernel fits.
        """
        choice = self._choose(layer, None)
        timed = choice.by_engine(choice.settled())
        result = choice.result(timed)
        load = gemm_load(self._fast, timed, result, layer.beside)
        return with_fused_reads(self.setup.arch, timed, result, layer.beside), load

    def layer(self, layer: Layer, terms: Terms, clock_mhz: float, steps: Steps) -> KernelResult:
        """Return the kernel of ``layer`` that is chosen on ``terms``, at a clock near ``steps``. Raises as :meth:`alone`."""
        low, high = (self._at(self.setup, layer, terms, mhz) for mhz in (steps.low_mhz, steps.high_mhz))
        result = high
        if steps.low_mhz != steps.high_mhz:
            result = steps.between(self.setup.arch, self.load(layer, terms, steps).spent, low, high, clock_mhz)
        return replace(result, gains=self._choose(layer, terms).gains(clock_mhz))

    def memory(self, moved: Traffic, clock_mhz: float, steps: Steps) -> MemoryResult:
        """Return the kernel of a memory operation at a clock near ``steps``."""
        low, high = (time_memory(replace(self.setup, clock_mhz=mhz), moved) for mhz in (steps.low_mhz, steps.high_mhz))
        if steps.low_mhz == steps.high_mhz:
            return high
        return steps.between(self.setup.arch, memory_load(self.setup, moved).spent, low, high, clock_mhz)

    def load(self, work: Work, terms: Terms, steps: Steps) -> Load:
        """Return what one launch asks of the board at clocks near ``steps``."""
        key = (work, terms, steps)
        if key not in self._loads:
            self._loads[key] = self._load(work, terms, steps)
        return self._loads[key]

    def _load(self, work: Work, terms: Terms, steps: Steps) -> Load:
        if isinstance(work, Traffic):
            near = memory_load(self.setup, work)
        else:
            choice, timed = self._choose(work, terms), self._time(work, terms, steps.high_mhz)
            near = gemm_load(self._fast, timed, choice.result(timed), work.beside)
        if steps.low_mhz == steps.high_mhz:
            return near
        low_us, high_us = (self._time_us(work, terms, mhz) for mhz in (steps.low_mhz, steps.high_mhz))
        return steps.load(near.spent, low_us, high_us)

    def _time_us(self, work: Work, terms: Terms, clock_mhz: float) -> float:
        if isinstance(work, Traffic):
            return time_memory(replace(self.setup, clock_mhz=clock_mhz), work).time_us
        return self._at(self._fast, work, terms, clock_mhz).time_us

    def _at(self, setup: Setup, layer: Layer, terms: Terms, clock_mhz: float) -> KernelResult:
        """Return the kernel of ``layer`` that is chosen on ``terms``, at a clock step, with what is read beside it."""
        key = (setup.engine, layer, terms, clock_mhz)
        if key not in self._results:
            choice, timed = self._choose(layer, terms), self._time(layer, terms, clock_mhz)
            if setup.engine != "fast":
                timed = choice.by_engine(timed)
            self._results[key] = with_fused_reads(setup.arch, timed, choice.result(timed), layer.beside)
        return self._results[key]

    def _time(self, layer: Layer, terms: Terms, clock_mhz: float) -> Candidate:
        choice = self._choose(layer, terms)
        key = (layer.problem, key_of(choice.chosen), clock_mhz)
        if key not in self._timed:
            self._timed[key] = choice.at(clock_mhz)
        return self._timed[key]

    def _choose(self, layer: Layer, terms: Terms | None) -> Choice:
        """Return the kernel of ``layer`` and those that may take its place."""
        key = (layer.problem, layer.sparse, terms)
        if key not in self._chosen:
            setup = self.setup
            if terms is not None:
                setup = replace(setup, clock_mhz=terms.clock_mhz, price_us_per_j=terms.price_us_per_j)
            known = self._known.setdefault((layer.problem, layer.sparse), {})
            self._chosen[key] = choose(setup, layer.problem, layer.sparse, known)
        return self._chosen[key]
