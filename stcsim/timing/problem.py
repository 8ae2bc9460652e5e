"""One GEMM to be timed: sizes, types, and what the caches hold when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.isa import DType
from stcsim.trace import Conv2d


@dataclass(frozen=True, slots=True)
class Problem:
    """D[m x n] = A[m x k] . B[k x n], ``batch`` times; A is the weight and the sparse operand.

    Attributes:
        dtype: input element type.
        out_bytes: bytes of one element of D.
        weights_in_l2: whether A may still be in L2 from an earlier launch (if it fits). activations_in_l2: the same for B.
        conv: the convolution this is the implicit GEMM of, else ``None``.
        a_on_chip, d_on_chip: A was made, or D is used, by the same kernel (the scores of fused attention): no traffic.
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


def a_row_bytes(dtype: DType, k: int, sparse: bool) -> int:
    """Bytes of ``k`` elements of one row of A: dense, or kept values plus metadata; values and metadata begin in whole bytes."""
    if not sparse or not dtype.sparse_group:  # without structured sparsity nothing is left out
        return dtype.bytes_of(k)
    groups = -(-k // dtype.sparse_group)
    return dtype.bytes_of(groups * dtype.sparse_kept) + dtype.metadata_bytes(k)
