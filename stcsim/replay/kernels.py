"""The kernels of one run, each timed once for each problem, L2 content and clock, however often the network has it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stcsim.result import KernelResult, MemoryResult
from stcsim.timing.memory_op import Load, Traffic, gemm_load, memory_load, time_memory, with_fused_reads
from stcsim.timing.outcome import Launch, choose, engine, outcome
from stcsim.timing.power import Energy, energy
from stcsim.timing.problem import Problem
from stcsim.timing.select import Candidate, select


@dataclass(frozen=True, slots=True)
class Layer:
    """One GEMM kernel of a network: what to compute, dense or 2:4, and what fused steps read beside it."""

    problem: Problem
    sparse: bool
    beside: Traffic = Traffic()


class Kernels:
    """Selects and times kernels, and remembers them.

    ``alone``: they run one at a time, over and over, and are chosen at the clock they hold; in a network the clock is shared.
    """

    def __init__(self, setup: Launch, alone: bool = False) -> None:
        self.setup = setup
        self._alone_on_board = alone
        self._selected: dict[tuple[Problem, bool], tuple[Candidate, Energy]] = {}
        self._alone: dict[tuple[Problem, bool, float | None], KernelResult] = {}
        self._memory: dict[tuple[Traffic, float], MemoryResult] = {}

    def layer(self, layer: Layer, clock_mhz: float | None = None) -> KernelResult:
        """Return the kernel of ``layer`` at ``clock_mhz``; by default at the clock it holds alone, launched over and over.

        Raises:
            UnsupportedError: when no kernel fits.
        """
        chosen, _ = self._select(layer)
        return with_fused_reads(self.setup.arch, chosen, self._time(layer, clock_mhz), layer.beside)

    def memory(self, moved: Traffic, clock_mhz: float) -> MemoryResult:
        """Return the kernel of a memory operation at ``clock_mhz``."""
        key = (moved, clock_mhz)
        if key not in self._memory:
            self._memory[key] = time_memory(replace(self.setup, clock_mhz=clock_mhz), moved)
        return self._memory[key]

    def load(self, step: Layer | Traffic, clock_mhz: float) -> Load:
        """Return what one launch asks of the board, its cycles counted at ``clock_mhz``."""
        if isinstance(step, Traffic):
            return memory_load(self.setup, step)
        chosen, spent = self._select(step)
        return gemm_load(self.setup.arch, chosen, spent, self._time(step, clock_mhz), step.beside)

    def _select(self, layer: Layer) -> tuple[Candidate, Energy]:
        key = (layer.problem, layer.sparse)
        if key not in self._selected:
            arch = self.setup.arch
            ranked = select(arch, layer.problem, layer.sparse, engine("fast"), self.setup.kernel)
            winner = (choose(self.setup, layer.problem, ranked) if self._alone_on_board else ranked)[0]
            self._selected[key] = winner, energy(arch, layer.problem, winner, self.setup.data)
        return self._selected[key]

    def _time(self, layer: Layer, clock_mhz: float | None) -> KernelResult:
        key = (layer.problem, layer.sparse, clock_mhz)
        if key not in self._alone:
            chosen, _ = self._select(layer)
            self._alone[key] = outcome(replace(self.setup, clock_mhz=clock_mhz), layer.problem, chosen)
        return self._alone[key]
