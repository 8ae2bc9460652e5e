"""Timed kernels as the rows of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.replay.kernels import Layer, Work
from stcsim.replay.planned import Planned, Sides
from stcsim.replay.problem import why_not_sparse
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow
from stcsim.timing.problem import a_row_bytes
from stcsim.trace import Memory


@dataclass(frozen=True, slots=True)
class Case:
    """One network of a run, timed.

    Attributes:
        sides, works, results: of each kernel: whether it runs 2:4, what it does, and what it takes.
        clock_mhz: the one clock of all.
        limited: whether the board's power limit holds it down.
        burst_clock_mhz: about the clock that a short burst of it holds.
    """

    sides: Sides
    works: Sequence[Work]
    results: Sequence[KernelResult | MemoryResult]
    clock_mhz: float
    limited: bool
    burst_clock_mhz: float


@dataclass(frozen=True, slots=True)
class Cases:
    """The networks of a run: every layer dense, 2:4 wherever a layer may be, and the best; those not asked for are ``None``.

    Attributes:
        pattern: name of the GPU's sparsity pattern, e.g. ``"2:4"``.
        dense: every layer dense.
        sparse: pruned wherever a layer may be.
        best: the fastest.
    """

    pattern: str
    dense: Case | None
    sparse: Case | None
    best: Case


def layer_row(step: Planned, at: int, cases: Cases) -> LayerRow:
    """Return the row of the layer at place ``at`` of the network."""
    work = cases.best.works[at]
    assert isinstance(work, Layer) and not isinstance(step.op, Memory)
    problem, weightless = work.problem, not step.op.weight_elements
    sparse, chosen = _layer(cases.sparse, at, True), _layer(cases.best, at, work.sparse)
    dense = _layer(cases.dense, at, False) or (None if step.sparse else chosen)
    assert chosen is not None
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
        best=cases.pattern if work.sparse else "dense",
        chosen=chosen,
        speedup=dense.time_us / sparse.time_us if dense and sparse else None,
        weight_bytes=weight,
        compressed_bytes=weight_rows * a_row_bytes(problem.dtype, problem.k, True) if prunable else weight,
        metadata_bytes=weight_rows * problem.dtype.metadata_bytes(problem.k) if prunable else 0,
        weight_of=step.op.weight_of,
        fused=step.fused,
        fused_bytes=work.beside.read,
        in_l2=("a" if problem.weights_in_l2 else "") + ("b" if problem.activations_in_l2 else ""),
    )


def memory_row(step: Planned, at: int, cases: Cases) -> MemoryRow:
    """Return the row of the memory operation at place ``at`` of the network."""
    assert isinstance(step.op, Memory)
    dense, sparse, chosen = (_moved(case, at) for case in (cases.dense, cases.sparse, cases.best))
    assert chosen is not None
    return MemoryRow(step.op.name, step.op.operator, step.op.count, step.element.name, dense, sparse, chosen, step.fused)


def _layer(case: Case | None, at: int, sparse: bool) -> KernelResult | None:
    """Return the kernel of a layer in one network, if it has that side there."""
    result = case.results[at] if case and case.sides[at] == sparse else None
    assert not isinstance(result, MemoryResult)
    return result


def _moved(case: Case | None, at: int) -> MemoryResult | None:
    result = case.results[at] if case else None
    assert not isinstance(result, KernelResult)
    return result
