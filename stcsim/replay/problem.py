"""From an operation of a trace to what the timing wing needs to know of it."""

from __future__ import annotations

from stcsim.arch import Arch
from stcsim.isa import DType, type_bytes
from stcsim.timing.problem import Problem
from stcsim.trace import Conv2d, Gemm


def problem_of(
    op: Gemm | Conv2d,
    element: DType,
    out_dtype: str | None = None,
    weights_in_l2: bool = False,
    activations_in_l2: bool = True,
    a_on_chip: bool = False,
    d_on_chip: bool = False,
) -> Problem:
    """Return the GEMM that ``op`` is; by default weights come cold from DRAM, and the activation is in L2 if it fits."""
    g = op.gemm() if isinstance(op, Conv2d) else op
    unnamed = {"name": "", "weight_of": "", "inputs": (), "origin": "", "count": 1}
    conv = op.direct().model_copy(update=unnamed) if isinstance(op, Conv2d) else None
    out_bytes = type_bytes(out_dtype or element.out)
    return Problem(g.m, g.n, g.k, g.batch, element, out_bytes, weights_in_l2, conv, activations_in_l2, a_on_chip, d_on_chip)


def modes_of(arch: Arch, element: DType, sparsity: str | None) -> tuple[str, ...]:
    """Sparsities to run; raises when the GPU lacks what was asked for."""
    arch.require(element.name, False)
    if sparsity is None:
        return ("dense", "2:4") if arch.supports(element.name, True) else ("dense",)
    if sparsity != "dense":
        arch.require(element.name, True)
    return ("dense", "2:4") if sparsity == "both" else (sparsity,)


def why_not_sparse(problem: Problem, weightless: bool) -> str | None:
    """Why a GEMM may not run 2:4, or ``None`` if it may."""
    if weightless:
        return "no weight operand (activation x activation)"
    if not problem.dtype.sparse_group:
        return f"no structured sparsity in {problem.dtype.name}"
    multiple = problem.dtype.sparse_k_multiple
    if problem.k % multiple:
        return f"reduction is not a multiple of {multiple}"
    return None
