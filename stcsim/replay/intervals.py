"""Error bars on a run: every time, rate, energy and speedup with the interval that measurements are expected in."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from stcsim.arch import Arch
from stcsim.isa import DType
from stcsim.isa import dtype as known_dtype
from stcsim.result import Interval, KernelResult, LayerRow, MemoryResult, MemoryRow, Totals, Trust
from stcsim.trust.accuracy import ErrorModel, Known, Spread, error_model
from stcsim.trust.verdict import Verdict, verdict_of

_NOTHING = Spread(0, 0.0, 0.0, 0.0)  # of the ratio of what is the same on both sides


@dataclass(frozen=True, slots=True)
class Bars:
    """Puts intervals on the rows and sums of one run."""

    arch: Arch
    model: ErrorModel
    known: Known

    def layer(self, row: LayerRow) -> LayerRow:
        """Return ``row`` with intervals on its kernels and its speedup."""
        dense, sparse, chosen = (
            self.kernel(kernel, known_dtype(row.dtype), 2 * row.macs, is_sparse) if kernel else None
            for kernel, is_sparse in ((row.dense, False), (row.sparse, True), (row.chosen, row.is_pruned))
        )
        assert chosen is not None
        speedup = self._speedup(row).of(row.speedup) if row.speedup is not None else None
        return replace(row, dense=dense, sparse=sparse, chosen=chosen, speedup_interval=speedup)

    def memory(self, row: MemoryRow) -> MemoryRow:
        """Return ``row`` with intervals."""

        def barred(kernel: MemoryResult) -> MemoryResult:
            return replace(kernel, time_us_interval=self._of_step(row).of(kernel.time_us))

        dense, sparse = (barred(kernel) if kernel else None for kernel in (row.dense, row.sparse))
        return replace(row, dense=dense, sparse=sparse, chosen=barred(row.chosen))

    def totals(self, totals: Totals, rows: Iterable[LayerRow], memory: Iterable[MemoryRow]) -> Totals:
        """Return ``totals`` with intervals; errors that layers have in common do not average out."""
        rows, memory = list(rows), list(memory)
        dense, sparse, best = (
            self._sum(rows, memory, side)
            for side in (
                lambda row: (row.dense or row.chosen, False),
                lambda row: (row.sparse or row.dense or row.chosen, row.sparse is not None),
                lambda row: (row.chosen, getattr(row, "is_pruned", False)),
            )
        )
        return replace(
            totals,
            dense_us_interval=_of(dense, totals.dense_us),
            sparse_us_interval=_of(sparse, totals.sparse_us),
            best_us_interval=_of(best, totals.best_us),
            speedup_interval=_of(self._ratio(rows, memory, lambda row: row.is_pruned), totals.speedup),
            sparse_speedup_interval=_of(self._ratio(rows, memory, lambda row: row.sparse is not None), totals.sparse_speedup),
            dense_tops_interval=_of(_inverse(dense), totals.dense_tops),
            best_tops_interval=_of(_inverse(best), totals.best_tops),
            dense_uj_interval=_of(dense, totals.dense_uj),
            sparse_uj_interval=_of(sparse, totals.sparse_uj),
            best_uj_interval=_of(best, totals.best_uj),
        )

    def trust(self, totals: Totals, rows: Iterable[LayerRow], partial: bool = False) -> Trust:
        """Return how far to trust the run; whether pruning a ``partial`` network pays cannot be told from what is there."""
        spreads = [self._time(row, row.is_pruned) for row in rows] or [_NOTHING]
        verdict = self._verdict(totals, rows)
        return self._trust(
            min(spread.rows for spread in spreads), verdict and (Verdict.CANNOT_TELL.value if partial else verdict)
        )

    def trust_of(self, dtype: DType, operations: float, speedup: Interval | None) -> Trust:
        """Return how far to trust what is said of a GEMM of so many operations."""
        spreads = (self.model.of_time(self.known, sparse, dtype, operations) for sparse in (False, True))
        return self._trust(min(spread.rows for spread in spreads), verdict_of(speedup).value if speedup else None)

    def _trust(self, rows: int, verdict: str | None) -> Trust:
        return Trust(
            evidence=self.known.evidence.value,
            rows=rows,
            assumed=tuple(leaf.path for leaf in self.arch.leaves() if leaf.kind == "assumed"),
            verdict=verdict,
            made=self.model.made,
        )

    @staticmethod
    def _verdict(totals: Totals, rows: Iterable[LayerRow]) -> str | None:
        """Return whether pruning pays: what is pruned in best of both; where nothing is, all that may be."""
        pruned = any(row.is_pruned for row in rows)
        interval = totals.speedup_interval if pruned else totals.sparse_speedup_interval
        return verdict_of(interval).value if interval else None

    def kernel(self, kernel: KernelResult, dtype: DType, operations: float, sparse: bool) -> KernelResult:
        """Return a kernel of so many operations with intervals."""
        spread = self.model.of_time(self.known, sparse, dtype, operations)
        return replace(
            kernel,
            time_us_interval=spread.of(kernel.time_us),
            tops_interval=_inverse(spread).of(kernel.tops),
            energy_uj_interval=spread.of(kernel.energy_uj),
        )

    def speedup_of(self, dtype: DType, operations: float, speedup: float) -> Interval:
        """Return the interval of the 2:4 speedup of a GEMM of so many operations."""
        return self.model.of_speedup(self.known, dtype, operations).of(speedup)

    def _time(self, row: LayerRow, sparse: bool) -> Spread:
        return self.model.of_time(self.known, sparse, known_dtype(row.dtype), 2 * row.macs)

    def _speedup(self, row: LayerRow) -> Spread:
        return self.model.of_speedup(self.known, known_dtype(row.dtype), 2 * row.macs)

    def _of_step(self, row: MemoryRow) -> Spread:
        """Return the spread of a memory operation: none was measured, so that of dense GEMMs of all sizes stands for it."""
        return self.model.of_time(self.known, False, known_dtype(row.dtype), 0)

    def _sum(
        self,
        rows: Iterable[LayerRow],
        memory: Iterable[MemoryRow],
        side: Callable[[LayerRow | MemoryRow], tuple[KernelResult | MemoryResult, bool]],
    ) -> Spread:
        """Return the spread of a network's time; launches of one GEMM, and all memory operations, go together."""
        parts: dict[object, tuple[float, Spread]] = defaultdict(lambda: (0.0, _NOTHING))
        for row in rows:
            kernel, sparse = side(row)
            key = row.m, row.n, row.k, row.batch, row.dtype, sparse
            parts[key] = parts[key][0] + row.count * kernel.time_us, self._time(row, sparse)
        for step in memory:
            parts[None] = parts[None][0] + step.count * side(step)[0].time_us, self._of_step(step)
        return self.model.of_sum(list(parts.values()))

    def _ratio(self, rows: Iterable[LayerRow], memory: Iterable[MemoryRow], pruned: Callable[[LayerRow], bool]) -> Spread:
        """Return the spread of a network's speedup: that of its pruned layers; what both sides have in common cancels."""
        parts: dict[object, tuple[float, Spread]] = defaultdict(lambda: (0.0, _NOTHING))
        for row in rows:
            key = (row.m, row.n, row.k, row.batch, row.dtype) if pruned(row) else None
            spread = self._speedup(row) if pruned(row) else _NOTHING
            parts[key] = parts[key][0] + row.count * row.chosen.time_us, spread
        parts[None] = parts[None][0] + math.fsum(step.count * step.chosen.time_us for step in memory), _NOTHING
        return self.model.of_sum(list(parts.values()))


def bars(arch: Arch) -> Bars:
    """Return the error bars of a GPU, by the error model that ships."""
    model = error_model()
    return Bars(arch, model, model.known(arch))


def _inverse(spread: Spread) -> Spread:
    return Spread(spread.rows, -spread.high, -spread.median, -spread.low)


def _of(spread: Spread, figure: float | None) -> Interval | None:
    return None if figure is None else spread.of(figure)
