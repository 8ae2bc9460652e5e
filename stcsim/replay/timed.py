"""Timing all that a run needs: each of its networks, or one GEMM by itself, as rows and sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.replay.choice import Chooser, Progress
from stcsim.replay.kernels import Kernels, Layer
from stcsim.replay.planned import Network, Planned
from stcsim.replay.residency import Placed, Residency
from stcsim.replay.rows import Case, Cases, layer_row, memory_row
from stcsim.replay.savings import groups_of, prune_groups, with_savings
from stcsim.replay.totals import totals
from stcsim.result import LayerRow, MemoryRow, PruneGroup, Totals
from stcsim.timing.board.duration import BURST
from stcsim.timing.board.power import clock_under
from stcsim.timing.board.setup import Setup


@dataclass(frozen=True, slots=True)
class Timed:
    """Rows by their place in the network, sums, and groups of alike layers."""

    rows: dict[int, LayerRow]
    memory: dict[int, MemoryRow]
    totals: Totals
    groups: tuple[PruneGroup, ...] = ()


def timed_network(setup: Setup, steps: Sequence[Planned], residency: Residency, progress: Progress | None = None) -> Timed:
    """Time the networks of a run: dense, all 2:4 and best of both, as far as they were asked for."""
    kernels, groups = Kernels(setup), groups_of(steps)
    chooser = Chooser(kernels, steps, residency, groups)
    chooser.prepare(progress)
    whole = all(step.dense or not step.sparse for step in steps)
    dense = chooser.settle(chooser.sides(lambda at: False)) if whole else None
    sparse = chooser.settle(chooser.sides(lambda at: True)) if any(step.sparse for step in steps) else None
    best = chooser.best([dense, sparse]) if dense and sparse else sparse or dense
    assert best is not None
    cases = Cases(
        setup.arch.pattern_name,
        _case(kernels, chooser, dense) if dense else None,
        _case(kernels, chooser, sparse) if sparse else None,
        _case(kernels, chooser, best),
    )
    rows = {at: layer_row(step, at, cases) for at, step in enumerate(steps) if step.dense or step.sparse}
    memory = {at: memory_row(step, at, cases) for at, step in enumerate(steps) if at not in rows}
    rows = with_savings(rows, steps, chooser, best)
    return Timed(rows, memory, totals(rows, memory, cases), prune_groups(rows, groups, chooser, best))


def timed_alone(setup: Setup, step: Planned, placed: Placed, progress: Progress | None = None) -> Timed:
    """Time one GEMM that is launched over and over by itself, each side at the clock that it holds."""
    kernels = Kernels(setup)
    dense, sparse = (
        _case_alone(kernels, placed, side) if wanted else None for side, wanted in ((False, step.dense), (True, step.sparse))
    )
    best = min((case for case in (dense, sparse) if case), key=lambda case: case.results[0].time_us)
    cases = Cases(setup.arch.pattern_name, dense, sparse, best)
    row = layer_row(step, 0, cases)
    if progress is not None:
        progress(1, 1)
    return Timed({0: row}, {}, totals({0: row}, {}, cases))


def _case(kernels: Kernels, chooser: Chooser, network: Network) -> Case:
    works = chooser.works(network.sides)
    results = [
        kernels.layer(work, network.terms, network.clock_mhz, network.steps)
        if isinstance(work, Layer)
        else kernels.memory(work, network.clock_mhz, network.steps)
        for work in works
    ]
    burst_mhz = clock_under(kernels.setup.arch, network.load, BURST)
    return Case(network.sides, works, results, network.clock_mhz, network.limited, burst_mhz)


def _case_alone(kernels: Kernels, placed: Placed, sparse: bool) -> Case:
    assert placed.problem is not None
    layer = Layer(placed.problem, sparse, placed.beside)
    result, load = kernels.alone(layer)
    limited, burst_mhz = result.clock_mhz < kernels.highest_mhz, clock_under(kernels.setup.arch, load, BURST)
    return Case((sparse,), [layer], [result], result.clock_mhz, limited, burst_mhz)
