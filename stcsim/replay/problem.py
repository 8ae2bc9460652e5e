"""From an operation of a trace to what the timing wing needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.isa import DType
from stcsim.isa.patterns import pattern_names
from stcsim.timing.catalogue.libraries import why_not
from stcsim.timing.problem import Problem, gemm_problem
from stcsim.trace import Conv2d, Gemm
from stcsim.words import Sparsity, word


def problem_of(
    op: Gemm | Conv2d,
    element: DType,
    out_dtype: str | None = None,
    weights_in_l2: bool = False,
    activations_in_l2: bool = True,
    a_on_chip: bool = False,
    d_on_chip: bool = False,
    weight_copies: int = 1,
) -> Problem:
    """Return the GEMM that ``op`` is; by default weights come cold from DRAM, and the activation is in L2 if it fits."""
    g = op.gemm() if isinstance(op, Conv2d) else op
    unnamed = {"name": "", "weight_of": "", "inputs": (), "origin": "", "count": 1}
    conv = op.direct().model_copy(update=unnamed) if isinstance(op, Conv2d) else None
    return gemm_problem(
        g.m,
        g.n,
        g.k,
        element,
        g.batch,
        out_dtype,
        weights_in_l2,
        conv=conv,
        activations_in_l2=activations_in_l2,
        a_on_chip=a_on_chip,
        d_on_chip=d_on_chip,
        weight_copies=weight_copies,
    )


def modes_of(arch: Arch, element: DType, sparsity: str | None) -> tuple[str, ...]:
    """Sparsities to run.

    Raises:
        UnsupportedError: when ``sparsity`` is no such word, or the GPU lacks what was asked for.
    """
    dense, sparse = Sparsity.DENSE.value, arch.pattern_name
    wanted = None if sparsity is None else _wanted(arch, sparsity)
    arch.require(element.name, False)
    if wanted is None:
        return (dense, sparse) if arch.supports(element.name, True) else (dense,)
    if wanted is not Sparsity.DENSE:
        arch.require(element.name, True)
    return {Sparsity.BOTH: (dense, sparse), Sparsity.DENSE: (dense,), Sparsity.SPARSE: (sparse,)}[wanted]


def _wanted(arch: Arch, sparsity: str) -> Sparsity:
    """Return the word that ``sparsity`` spells; the GPU's own pattern is its sparse side, and no other pattern is.

    Raises:
        UnsupportedError: for a pattern that the GPU does not run, or no such word.
    """
    name = sparsity.strip() if isinstance(sparsity, str) else ""
    if name == arch.pattern_name:
        return Sparsity.SPARSE
    if name in pattern_names():
        runs = f"{Sparsity.BOTH}, {Sparsity.DENSE} or {arch.pattern_name}, which {arch.name} runs (tensor_core.sparse_kept)"
        raise UnsupportedError("sparsity", runs, f"'{name}'")
    try:
        return word(Sparsity, sparsity, "sparsity")
    except UnsupportedError as error:
        named = (text.replace(Sparsity.SPARSE, arch.pattern_name) for text in (error.expected, error.found))
        raise UnsupportedError("sparsity", *named) from None


def sparsity_of(modes: Sequence[str]) -> str:
    """Return the one word for the sparsities that are run."""
    return Sparsity.BOTH.value if len(modes) == 2 else modes[0]


def why_not_taken(problem: Problem, arch: Arch, library: str) -> str | None:
    """Why no 2:4 kernel of ``library`` runs a GEMM, or ``None`` if one does."""
    return why_not(library, arch.kernel.family, problem.dtype, problem.m, problem.k, problem.conv is not None)


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
