"""Sums over a network: time, energy and where they go, weight memory."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stcsim.replay.rows import Cases
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, TimeSplit, Totals


@dataclass(frozen=True, slots=True)
class _Sum:
    """One network: its time by where it goes, and its energy."""

    split: TimeSplit
    energy_parts_uj: dict[str, float]

    @property
    def energy_uj(self) -> float:
        return math.fsum(self.energy_parts_uj.values())

    @property
    def time_us(self) -> float:
        return self.split.layers + self.split.memory + self.split.launch


def totals(layers: Mapping[int, LayerRow], steps: Mapping[int, MemoryRow], cases: Cases) -> Totals:
    """Sum rows, by place (each times its count), for each of the networks that were run."""
    rows, memory = list(layers.values()), list(steps.values())
    counts = {at: row.count for at, row in layers.items()} | {at: row.count for at, row in steps.items()}
    dense, sparse, best = (
        _summed([(result, counts[at]) for at, result in enumerate(case.results)]) if case else None
        for case in (cases.dense, cases.sparse, cases.best)
    )
    assert best is not None
    macs = sum(row.count * row.macs for row in rows)
    stored = [row for row in rows if not row.weight_of]  # what several layers share is stored once
    pruned = [row for row in stored if row.metadata_bytes]
    return Totals(
        launches=sum(counts.values()),
        memory_launches=sum(row.count for row in memory),
        fused=sum(row.count * len(row.fused) for row in rows) + sum(row.count * len(row.fused) for row in memory),
        macs=macs,
        eligible_macs=sum(row.count * row.macs for row in rows if row.metadata_bytes),
        dense_us=dense.time_us if dense else None,
        sparse_us=sparse.time_us if sparse else None,
        best_us=best.time_us,
        speedup=dense.time_us / best.time_us if dense and sparse else None,
        sparse_speedup=dense.time_us / sparse.time_us if dense and sparse else None,
        dense_tops=2e-6 * macs / dense.time_us if dense else None,
        best_tops=2e-6 * macs / best.time_us,
        dense_uj=dense.energy_uj if dense else None,
        sparse_uj=sparse.energy_uj if sparse else None,
        best_uj=best.energy_uj,
        perf_per_watt_gain=dense.energy_uj / best.energy_uj if dense and sparse else None,
        dense_clock_mhz=cases.dense.clock_mhz if cases.dense else None,
        sparse_clock_mhz=cases.sparse.clock_mhz if cases.sparse else None,
        best_clock_mhz=cases.best.clock_mhz,
        dense_burst_clock_mhz=cases.dense.burst_clock_mhz if cases.dense else None,
        sparse_burst_clock_mhz=cases.sparse.burst_clock_mhz if cases.sparse else None,
        best_burst_clock_mhz=cases.best.burst_clock_mhz,
        clock_is_limited=any(case.limited for case in (cases.dense, cases.sparse, cases.best) if case),
        dense_split=dense.split if dense else None,
        sparse_split=sparse.split if sparse else None,
        best_split=best.split,
        dense_energy_parts_uj=dense.energy_parts_uj if dense else None,
        sparse_energy_parts_uj=sparse.energy_parts_uj if sparse else None,
        best_energy_parts_uj=best.energy_parts_uj,
        weight_bytes=sum(row.weight_bytes for row in stored),
        compressed_bytes=sum(row.compressed_bytes for row in stored),
        pruned_weight_bytes=sum(row.weight_bytes for row in pruned),
        pruned_compressed_bytes=sum(row.compressed_bytes for row in pruned),
    )


def _summed(kernels: Iterable[tuple[KernelResult | MemoryResult, int]]) -> _Sum:
    layers_us = memory_us = launch_us = 0.0
    parts_uj: dict[str, float] = defaultdict(float)
    for kernel, count in kernels:
        launch_us += count * kernel.breakdown["launch"]
        own_us = count * (kernel.time_us - kernel.breakdown["launch"])
        if isinstance(kernel, MemoryResult):
            memory_us += own_us
        else:
            layers_us += own_us
        for part, energy_uj in kernel.energy_parts_uj.items():
            parts_uj[part] += count * energy_uj
    return _Sum(TimeSplit(layers_us, memory_us, launch_us), dict(parts_uj))
