"""Replay: Trace x Arch -> RunResult. Every GEMM dense and 2:4, the best of both per layer, and totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stcsim.arch import Arch
from stcsim.isa import DType, type_bytes
from stcsim.isa import dtype as find_dtype
from stcsim.result import KernelResult, LayerRow, RunResult, Totals
from stcsim.timing.outcome import Launch, time_gemm
from stcsim.timing.problem import Problem, a_row_bytes, metadata_bytes
from stcsim.trace import Conv2d, Gemm, Trace
from stcsim.version import __version__

Progress = Callable[[int, int], None]


def run(
    trace: Trace,
    arch: Arch,
    *,
    dtype: str | None = None,
    sparsity: str | None = None,
    engine: str = "fast",
    kernel: str | None = None,
    launch: str = "graph",
    progress: Progress | None = None,
) -> RunResult:
    """Predict every GEMM of ``trace`` on ``arch``.

    Args:
        trace: the network (its batch as it is; rescale with ``trace.with_batch``).
        arch: the GPU.
        dtype: input element type of every layer; the trace's own by default.
        sparsity: ``"dense"``, ``"2:4"`` or ``"both"``; ``None`` is both where the GPU has Sparse Tensor Cores, else dense.
        engine: ``"fast"``, or ``"reference"`` to time the chosen kernels once more with it; they agree exactly, it is slow.
        kernel: force one catalogue kernel for the sparsity asked for.
        launch: ``"graph"`` (CUDA-graph replay) or ``"stream"`` (back-to-back launches).
        progress: called with (operations done, operations in all).

    Raises:
        UnsupportedError: when the GPU lacks the type or sparsity, or no kernel fits.
    """
    element = find_dtype(dtype or trace.dtype)
    modes = modes_of(arch, element, sparsity)
    setup = Launch(arch, engine, launch, kernel)
    operations = [op for op in trace.ops if isinstance(op, Gemm | Conv2d)]
    rows, known = [], {}
    for done, op in enumerate(operations):
        problem = problem_of(op, element)
        if problem not in known:
            known[problem] = _both(setup, problem, _weightless(op), modes)
        rows.append(_row(op, problem, *known[problem]))
        if progress is not None:
            progress(done + 1, len(operations))
    inputs = {
        "arch": arch.to_dict(),
        "trace": trace.model_dump(mode="json"),
        "trace_sha256": trace.sha256,
        "dtype": element.name,
        "batch": trace.batch,
        "sparsity": list(modes),
        "engine": engine,
        "kernel": kernel,
        "launch": launch,
        "version": __version__,
    }
    return RunResult(
        arch.name,
        trace.name,
        element.name,
        trace.batch,
        "both" if len(modes) == 2 else modes[0],
        engine,
        inputs,
        tuple(rows),
        totals(rows),
    )


def gemm(
    m: int,
    n: int,
    k: int,
    arch: Arch,
    *,
    dtype: str = "fp16",
    batch: int = 1,
    out_dtype: str | None = None,
    sparsity: str | None = None,
    engine: str = "fast",
    kernel: str | None = None,
    launch: str = "graph",
    weights_in_l2: bool = False,
) -> RunResult:
    """Predict one GEMM D[m x n] = A[m x k] . B[k x n] (A is the weight); a result with one row. Raises as :func:`run`."""
    element = find_dtype(dtype)
    modes = modes_of(arch, element, sparsity)
    op = Gemm(
        name=f"gemm {m}x{n}x{k}", m=m, n=n, k=k, batch=batch, weight_operand="a", scales_with_batch=None, origin="command line"
    )
    problem = problem_of(op, element, out_dtype, weights_in_l2)
    row = _row(op, problem, *_both(Launch(arch, engine, launch, kernel), problem, False, modes))
    inputs: dict[str, Any] = {
        "arch": arch.to_dict(),
        "gemm": op.model_dump(mode="json"),
        "dtype": element.name,
        "out_dtype": out_dtype or element.out,
        "sparsity": list(modes),
        "engine": engine,
        "kernel": kernel,
        "launch": launch,
        "weights_in_l2": weights_in_l2,
        "version": __version__,
    }
    return RunResult(
        arch.name, op.name, element.name, batch, "both" if len(modes) == 2 else modes[0], engine, inputs, (row,), totals([row])
    )


def problem_of(op: Gemm | Conv2d, element: DType, out_dtype: str | None = None, weights_in_l2: bool = False) -> Problem:
    """Return what the timing wing needs to know of an operation; weights come cold from DRAM unless ``weights_in_l2``."""
    g = op.gemm() if isinstance(op, Conv2d) else op
    conv = op.model_copy(update={"name": "", "origin": "", "count": 1}) if isinstance(op, Conv2d) else None
    return Problem(g.m, g.n, g.k, g.batch, element, type_bytes(out_dtype or element.out), weights_in_l2, conv)


def modes_of(arch: Arch, element: DType, sparsity: str | None) -> tuple[str, ...]:
    """Sparsities to run; raises when the GPU lacks what was asked for."""
    arch.require(element.name, False)
    if sparsity is None:
        return ("dense", "2:4") if arch.supports(element.name, True) else ("dense",)
    if sparsity != "dense":
        arch.require(element.name, True)
    return ("dense", "2:4") if sparsity == "both" else (sparsity,)


def _weightless(op: Gemm | Conv2d) -> bool:
    return isinstance(op, Gemm) and op.weight_operand is None


def why_not_sparse(problem: Problem, weightless: bool) -> str | None:
    """Why a GEMM may not run 2:4, or ``None`` if it may."""
    if weightless:
        return "no weight operand (activation x activation)"
    multiple = problem.dtype.sparse_k_multiple
    if problem.k % multiple:
        return f"reduction is not a multiple of {multiple}"
    return None


def _both(
    setup: Launch, problem: Problem, weightless: bool, modes: Iterable[str]
) -> tuple[KernelResult | None, KernelResult | None, str | None]:
    """Time a problem dense and 2:4 as asked; a layer that may not be pruned is timed dense also when only 2:4 was asked for."""
    reason = why_not_sparse(problem, weightless)
    sparse = time_gemm(setup, problem, True) if "2:4" in modes and reason is None else None
    dense = time_gemm(setup, problem, False) if "dense" in modes or reason is not None else None
    return dense, sparse, reason if "2:4" in modes else None


def _row(
    op: Gemm | Conv2d, problem: Problem, dense: KernelResult | None, sparse: KernelResult | None, reason: str | None
) -> LayerRow:
    weight = 0 if _weightless(op) else problem.a_bytes(False)
    prunable = why_not_sparse(problem, _weightless(op)) is None
    rows = problem.batch * problem.m
    best = "2:4" if sparse and (dense is None or sparse.time_us < dense.time_us) else "dense"
    return LayerRow(
        name=op.name,
        kind=op.kind,
        m=problem.m,
        n=problem.n,
        k=problem.k,
        batch=problem.batch,
        count=op.count,
        dtype=problem.dtype.name,
        macs=problem.macs,
        dense=dense,
        sparse=sparse,
        not_sparse_because=reason,
        best=best,
        speedup=dense.time_us / sparse.time_us if dense and sparse else None,
        weight_bytes=weight,
        compressed_bytes=rows * a_row_bytes(problem.dtype, problem.k, True) if prunable else weight,
        metadata_bytes=rows * metadata_bytes(problem.dtype, problem.k) if prunable else 0,
    )


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Sum rows (each times its count)."""
    pruned = [row for row in rows if row.metadata_bytes]
    macs = sum(row.count * row.macs for row in rows)
    any_sparse = any(row.sparse for row in rows)
    dense_us, dense_uj = _sum(rows, lambda row: row.dense)
    sparse_us, sparse_uj = _sum(rows, lambda row: row.sparse or row.dense) if any_sparse else (None, None)
    best_us, best_uj = (each or 0.0 for each in _sum(rows, lambda row: row.sparse if row.best == "2:4" else row.dense))
    return Totals(
        launches=sum(row.count for row in rows),
        macs=macs,
        eligible_macs=sum(row.count * row.macs for row in pruned),
        dense_us=dense_us,
        sparse_us=sparse_us,
        best_us=best_us,
        speedup=dense_us / best_us if dense_us and sparse_us else None,
        sparse_speedup=dense_us / sparse_us if dense_us and sparse_us else None,
        dense_tops=2e-6 * macs / dense_us if dense_us else None,
        best_tops=2e-6 * macs / best_us if best_us else 0.0,
        dense_uj=dense_uj,
        sparse_uj=sparse_uj,
        best_uj=best_uj,
        weight_bytes=sum(row.count * row.weight_bytes for row in rows),
        compressed_bytes=sum(row.count * row.compressed_bytes for row in rows),
        pruned_weight_bytes=sum(row.count * row.weight_bytes for row in pruned),
        pruned_compressed_bytes=sum(row.count * row.compressed_bytes for row in pruned),
    )


def _sum(rows: Sequence[LayerRow], side: Callable[[LayerRow], KernelResult | None]) -> tuple[float | None, float | None]:
    """Sum one side's microseconds and microjoules over all launches; ``None`` if a row has no such side."""
    total_us = total_uj = 0.0
    for row in rows:
        kernel = side(row)
        if kernel is None:
            return None, None
        total_us += row.count * kernel.time_us
        total_uj += row.count * kernel.energy_uj
    return total_us, total_uj
