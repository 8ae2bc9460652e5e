"""Timed kernels as the rows of a result, and which layers are worth pruning first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from stcsim.replay.kernels import Kernels
from stcsim.replay.problem import why_not_sparse
from stcsim.replay.sides import Planned, Sides
from stcsim.result import LayerRow, MemoryRow
from stcsim.timing.problem import a_row_bytes, metadata_bytes
from stcsim.trace import Memory


def layer_row(kernels: Kernels, step: Planned, sparse_is_best: bool, clocks: Sides) -> LayerRow:
    """Time a layer in both networks."""
    some = step.dense or step.sparse
    assert some is not None and not isinstance(step.op, Memory)
    problem, weightless = some.problem, not step.op.weight_elements
    best_mhz = clocks.best_clock_mhz
    dense = kernels.layer(step.dense, clocks.dense_clock_mhz or best_mhz) if step.dense else None
    sparse = kernels.layer(step.sparse, best_mhz) if step.sparse else None
    used = step.sparse if sparse_is_best else step.dense
    assert used is not None
    weight = 0 if weightless else problem.a_bytes(False)
    prunable = why_not_sparse(problem, weightless) is None and step.not_sparse_because is None
    weight_rows = problem.batch * problem.m
    return LayerRow(
        name=step.op.name,
        kind=step.op.kind,
        m=problem.m,
        n=problem.n,
        k=problem.k,
        batch=problem.batch,
        count=step.op.count,
        dtype=problem.dtype.name,
        macs=problem.macs,
        dense=dense,
        sparse=sparse,
        not_sparse_because=step.not_sparse_because,
        best="2:4" if sparse_is_best else "dense",
        chosen=kernels.layer(used, best_mhz),
        speedup=dense.time_us / sparse.time_us if dense and sparse else None,
        weight_bytes=weight,
        compressed_bytes=weight_rows * a_row_bytes(problem.dtype, problem.k, True) if prunable else weight,
        metadata_bytes=weight_rows * metadata_bytes(problem.dtype, problem.k) if prunable else 0,
        weight_of=step.op.weight_of,
        fused=step.fused,
        fused_bytes=some.beside.read,
    )


def memory_row(kernels: Kernels, step: Planned, clocks: Sides) -> MemoryRow:
    """Time a memory operation in both networks."""
    assert isinstance(step.op, Memory) and step.moved is not None
    dense_mhz = clocks.dense_clock_mhz
    return MemoryRow(
        name=step.op.name,
        operator=step.op.operator,
        count=step.op.count,
        dtype=step.element.name,
        dense=kernels.memory(step.moved, dense_mhz) if dense_mhz else None,
        chosen=kernels.memory(step.moved, clocks.best_clock_mhz),
        fused=step.fused,
    )


def with_prune_ranks(rows: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """Return ``rows`` with what 2:4 saves in each, ranked by it (ties: order of the trace)."""
    saved = {
        place: row.count * (row.dense.time_us - row.chosen.time_us)
        for place, row in enumerate(rows)
        if row.best == "2:4" and row.dense is not None
    }
    ranked = sorted(saved, key=lambda place: -saved[place])
    summed, total_us = list(accumulate(saved[place] for place in ranked)), sum(saved.values())
    shares = {place: so_far / total_us if total_us else 0.0 for place, so_far in zip(ranked, summed, strict=True)}
    return tuple(
        replace(row, saved_us=saved[place], prune_rank=1 + ranked.index(place), saved_share=shares[place])
        if place in saved
        else row
        for place, row in enumerate(rows)
    )
