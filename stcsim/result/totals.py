"""Sums of a result: times, energies and bytes of a whole network, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.result.kernel import Interval


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Where the time of a network goes, microseconds; the three sum to its total.

    Attributes:
        layers: kernels of GEMMs and convolutions.
        memory: kernels of memory operations.
        launch: gaps before all of them.
    """

    layers: float
    memory: float
    launch: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the trace (each row times its count), memory operations included.

    A figure is ``None`` where its side was not asked for. *Dense* is every layer dense, *sparse* is 2:4 wherever a layer may be
    pruned, *best* are the sides of ``LayerRow.best``, chosen so that the whole is fastest.

    Attributes:
        launches: kernels of one pass.
        memory_launches: those of memory operations.
        fused: operations that need no kernel.
        macs: multiply-accumulates of one pass.
        eligible_macs: those in layers that may be pruned.
        dense_us: time of one pass, every layer dense.
        sparse_us: time of one pass, 2:4 wherever a layer may be pruned.
        best_us: time of one pass, the best of both.
        speedup: ``dense_us / best_us``.
        sparse_speedup: ``dense_us / sparse_us``.
        dense_tops: ``2 * macs`` over ``dense_us``, 10^12 operations a second.
        best_tops: ``2 * macs`` over ``best_us``.
        dense_uj: board energy of one pass, microjoules, every layer dense.
        sparse_uj: the same, 2:4.
        best_uj: the same, best of both.
        perf_per_watt_gain: work for each joule of best-of-both over that of dense.
        dense_clock_mhz: the one clock that the dense network holds when it is replayed over and over, for as long as ``duration``
            of the inputs says.
        sparse_clock_mhz: the same, 2:4.
        best_clock_mhz: the same, best of both.
        clock_is_limited: whether the board's power limit holds one of them below the highest clock.
        dense_split: where the time of the dense network goes.
        sparse_split: the same, 2:4.
        best_split: the same, best of both.
        dense_energy_parts_uj: energy of the dense network by part (mac, smem, l2, dram, idle).
        sparse_energy_parts_uj: the same, 2:4.
        best_energy_parts_uj: the same, best of both.
        weight_bytes: all weights dense; shared ones count once.
        compressed_bytes: all weights, with every eligible layer pruned.
        pruned_weight_bytes: weights of eligible layers, dense.
        pruned_compressed_bytes: weights of eligible layers, pruned.
        dense_burst_clock_mhz: about the clock that a short burst of the dense network holds.
        sparse_burst_clock_mhz: the same, 2:4.
        best_burst_clock_mhz: the same, best of both.
        dense_us_interval: where a measurement is to be expected, 80 % of them.
        sparse_us_interval: where a measurement is to be expected, 80 % of them.
        best_us_interval: where a measurement is to be expected, 80 % of them.
        speedup_interval: where a measurement is to be expected, 80 % of them.
        sparse_speedup_interval: where a measurement is to be expected, 80 % of them.
        dense_tops_interval: where a measurement is to be expected, 80 % of them.
        best_tops_interval: where a measurement is to be expected, 80 % of them.
        dense_uj_interval: where a measurement is to be expected, 80 % of them.
        best_uj_interval: where a measurement is to be expected, 80 % of them.
        sparse_uj_interval: where a measurement is to be expected, 80 % of them.
    """

    launches: int
    memory_launches: int
    fused: int
    macs: int
    eligible_macs: int
    dense_us: float | None
    sparse_us: float | None
    best_us: float
    speedup: float | None
    sparse_speedup: float | None
    dense_tops: float | None
    best_tops: float
    dense_uj: float | None
    sparse_uj: float | None
    best_uj: float
    perf_per_watt_gain: float | None
    dense_clock_mhz: float | None
    sparse_clock_mhz: float | None
    best_clock_mhz: float
    clock_is_limited: bool
    dense_split: TimeSplit | None
    sparse_split: TimeSplit | None
    best_split: TimeSplit
    dense_energy_parts_uj: dict[str, float] | None
    sparse_energy_parts_uj: dict[str, float] | None
    best_energy_parts_uj: dict[str, float]
    weight_bytes: int
    compressed_bytes: int
    pruned_weight_bytes: int
    pruned_compressed_bytes: int
    dense_burst_clock_mhz: float | None = None
    sparse_burst_clock_mhz: float | None = None
    best_burst_clock_mhz: float | None = None
    dense_us_interval: Interval | None = None
    sparse_us_interval: Interval | None = None
    best_us_interval: Interval | None = None
    speedup_interval: Interval | None = None
    sparse_speedup_interval: Interval | None = None
    dense_tops_interval: Interval | None = None
    best_tops_interval: Interval | None = None
    dense_uj_interval: Interval | None = None
    sparse_uj_interval: Interval | None = None
    best_uj_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory that a network needs on the GPU, bytes.

    Attributes:
        dense_weight_bytes: weights of GEMMs and convolutions, all dense.
        sparse_weight_bytes: the same, with all pruned that may be.
        best_weight_bytes: the same, as in best-of-both.
        activation_bytes: alive at once at the worst moment.
        cache_bytes: keys and values of attention, where the trace has them.
        capacity_bytes: of the GPU.
    """

    dense_weight_bytes: int
    sparse_weight_bytes: int
    best_weight_bytes: int
    activation_bytes: int
    cache_bytes: int
    capacity_bytes: int

    def total(self, weight_bytes: int) -> int:
        """Return all bytes with so many of weights."""
        return weight_bytes + self.activation_bytes + self.cache_bytes

    def fits(self, weight_bytes: int) -> bool:
        """Whether a network with so many bytes of weights fits."""
        return self.total(weight_bytes) <= self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """How far to trust a run's figures.

    Attributes:
        evidence: ``board``, ``sibling`` or ``generation``: what was measured nearest to this GPU.
        rows: measured rows that the intervals were learned from, of the class with fewest.
        assumed: leaves of the GPU that are assumed or a what-if.
        verdict: ``pays``, ``does not pay`` or ``cannot tell``; ``None`` where there is nothing to prune.
        made: when and from what the error model was made.
    """

    evidence: str
    rows: int
    assumed: tuple[str, ...]
    verdict: str | None
    made: str
