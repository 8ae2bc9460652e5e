"""Sums over a network: time, energy and where they go, weight memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.replay.sides import Sides
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, TimeSplit, Totals


@dataclass(frozen=True, slots=True)
class _Sum:
    """One network: its time by where it goes, and its energy."""

    split: TimeSplit
    energy_uj: float

    @property
    def time_us(self) -> float:
        return self.split.layers + self.split.memory + self.split.launch


def totals(rows: Sequence[LayerRow], memory: Sequence[MemoryRow], clocks: Sides) -> Totals:
    """Sum rows (each times its count)."""
    counts, memory_counts = [row.count for row in rows], [row.count for row in memory]
    chosen = [row.chosen for row in memory]
    best = _summed([row.chosen for row in rows], counts, chosen, memory_counts)
    all_dense, all_steps = [row.dense for row in rows if row.dense], [row.dense for row in memory if row.dense]
    whole = len(all_dense) == len(rows) and len(all_steps) == len(memory)
    dense = _summed(all_dense, counts, all_steps, memory_counts) if whole else None
    pruned = any(row.sparse for row in rows)
    sparse = _summed([row.sparse or row.chosen for row in rows], counts, chosen, memory_counts) if pruned else None
    macs = sum(row.count * row.macs for row in rows)
    return Totals(
        launches=sum(counts) + sum(memory_counts),
        memory_launches=sum(memory_counts),
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
        dense_clock_mhz=clocks.dense_clock_mhz if dense else None,
        best_clock_mhz=clocks.best_clock_mhz,
        clock_is_limited=min(clocks.dense_clock_mhz or clocks.highest_clock_mhz, clocks.best_clock_mhz)
        < clocks.highest_clock_mhz,
        dense_split=dense.split if dense else None,
        sparse_split=sparse.split if sparse else None,
        best_split=best.split,
        **_weight_bytes(rows),
    )


def _weight_bytes(rows: Sequence[LayerRow]) -> dict[str, int]:
    """Sum weights; those of launches that repeat, and those that several layers share, are stored once."""
    stored = [row for row in rows if not row.weight_of]
    pruned = [row for row in stored if row.metadata_bytes]
    return {
        "weight_bytes": sum(row.weight_bytes for row in stored),
        "compressed_bytes": sum(row.compressed_bytes for row in stored),
        "pruned_weight_bytes": sum(row.weight_bytes for row in pruned),
        "pruned_compressed_bytes": sum(row.compressed_bytes for row in pruned),
    }


def _summed(
    layers: Sequence[KernelResult], counts: Sequence[int], steps: Sequence[MemoryResult], step_counts: Sequence[int]
) -> _Sum:
    layers_us = memory_us = launch_us = energy_uj = 0.0
    for kernel, count in zip(layers, counts, strict=True):
        launch_us += count * kernel.breakdown["launch"]
        layers_us += count * (kernel.time_us - kernel.breakdown["launch"])
        energy_uj += count * kernel.energy_uj
    for step, count in zip(steps, step_counts, strict=True):
        launch_us += count * step.breakdown["launch"]
        memory_us += count * (step.time_us - step.breakdown["launch"])
        energy_uj += count * step.energy_uj
    return _Sum(TimeSplit(layers_us, memory_us, launch_us), energy_uj)
