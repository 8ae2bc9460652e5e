"""One GEMM to be timed: sizes, types, and what the caches hold when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.isa import DType, type_bytes
from stcsim.isa import dtype as find_dtype
from stcsim.trace import Conv2d
from stcsim.words import size


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """D[m x n] = A[m x k] . B[k x n], ``batch`` times; A is the weight and the sparse operand.

    Attributes:
        m: rows of A and D.
        n: columns of B and D.
        k: columns of A and rows of B: the reduction.
        batch: how many such GEMMs.
        dtype: input element type.
        out_bytes: bytes of one element of D.
        weights_in_l2: whether A may still be in L2 from an earlier launch (if it fits).
        conv: the convolution this is the implicit GEMM of, else ``None``.
        weight_copies: with ``weights_in_l2``, how many sets of weights are launched in turn: A is in L2 again if all of them fit.
        activations_in_l2: whether B may still be in L2 from an earlier launch (if it fits).
        a_on_chip: A was made by the same kernel (the scores of fused attention): no traffic.
        d_on_chip: D is used by the same kernel: no traffic.

    Raises:
        UnsupportedError: when a size is no whole number of at least 1.
    """

    m: int
    n: int
    k: int
    batch: int
    dtype: DType
    out_bytes: int
    weights_in_l2: bool = False
    conv: Conv2d | None = None
    activations_in_l2: bool = True
    a_on_chip: bool = False
    d_on_chip: bool = False
    weight_copies: int = 1

    def __post_init__(self) -> None:
        """Refuse sizes that no GEMM has."""
        for name in ("m", "n", "k", "batch", "weight_copies"):
            size(getattr(self, name), name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, pruned ones included."""
        return self.m * self.n * self.k * self.batch

    @property
    def b_bytes(self) -> int:
        """Bytes of B as it lies in memory: a convolution's input is stored once, not once per tap."""
        if self.conv is not None:
            conv = self.conv
            return self.dtype.bytes_of(conv.batch * conv.c * conv.h * conv.w)
        return self.dtype.bytes_of(self.batch * self.n * self.k)

    def a_bytes(self, sparse: bool) -> int:
        """Bytes of A as stored: dense, or 2:4 values plus metadata."""
        if self.a_on_chip:
            return 0
        return self.batch * self.m * a_row_bytes(self.dtype, self.k, sparse)

    @property
    def d_bytes(self) -> int:
        """Bytes of D."""
        return 0 if self.d_on_chip else self.batch * self.m * self.n * self.out_bytes


def gemm_problem(
    m: int,
    n: int,
    k: int,
    dtype: str | DType = "fp16",
    batch: int = 1,
    out_dtype: str | None = None,
    weights_in_l2: bool = False,
    *,
    conv: Conv2d | None = None,
    activations_in_l2: bool = True,
    a_on_chip: bool = False,
    d_on_chip: bool = False,
    weight_copies: int = 1,
) -> Problem:
    """Return the GEMM D[m x n] = A[m x k] . B[k x n] as a problem: the one way from sizes and names of types to one.

    Args:
        m: rows of A and D.
        n: columns of B and D.
        k: columns of A and rows of B.
        dtype: input element type, by name, or a row of the table as a GPU's sparsity pattern has it (``Arch.element``).
        batch: how many such GEMMs.
        out_dtype: type of D, by name; what libraries write by default for ``dtype``.
        weights_in_l2: as in :class:`Problem`, and so are the others.
        conv: the convolution this is the implicit GEMM of.
        activations_in_l2: whether B may be in L2.
        a_on_chip: whether A was made by the same kernel.
        d_on_chip: whether D is used by the same kernel.
        weight_copies: how many sets of weights are launched in turn.

    Raises:
        UnsupportedError: when a type is unknown or a size is no whole number of at least 1.
    """
    element = find_dtype(dtype) if isinstance(dtype, str) else dtype
    return Problem(
        m=m,
        n=n,
        k=k,
        batch=batch,
        dtype=element,
        out_bytes=type_bytes(out_dtype or element.out),
        weights_in_l2=weights_in_l2,
        conv=conv,
        activations_in_l2=activations_in_l2,
        a_on_chip=a_on_chip,
        d_on_chip=d_on_chip,
        weight_copies=weight_copies,
    )


def ceil_div(a: int, b: int) -> int:
    """Return ``a / b`` rounded up."""
    return -(-a // b)


def a_row_bytes(dtype: DType, k: int, sparse: bool) -> int:
    """Bytes of ``k`` elements of one row of A: dense, or kept values plus metadata; values and metadata begin in whole bytes."""
    if not sparse or not dtype.sparse_group:  # without structured sparsity nothing is left out
        return dtype.bytes_of(k)
    groups = ceil_div(k, dtype.sparse_group)
    return dtype.bytes_of(groups * dtype.sparse_kept) + dtype.metadata_bytes(k)
