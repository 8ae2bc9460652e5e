"""Whole products by the kernels that cuBLAS, cuSPARSELt and cuDNN chose on an H200, through PyTorch: inputs, and orders that fit.

Inputs are drawn by numpy from the shape; the weight A is the first operand. Of each result the first and the last 64 x 64
block are kept, as hashes of their fp32 values, in ``products.json``; beside them the names of the kernels that ran, and the
order of additions (``numerics.Order``) with which the datapath gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from stcsim import numerics

HERE = Path(__file__).parent
CORNERS = (slice(0, 64), slice(-64, None))


@dataclass(frozen=True)
class Product:
    """One product that ran.

    Attributes:
        m, n, k: shape.
        dtype, out_dtype: types of A (B of an e5m2 A is e4m3), and of D.
        sparse: whether A is 2:4 and ran so.
        kernels: the names that the profiler gave.
        orders: of the first and of the last block; a stream-k kernel has two.
        results: hashes of both blocks.
    """

    m: int
    n: int
    k: int
    dtype: str
    sparse: bool
    out_dtype: str
    kernels: list[str]
    orders: tuple[str, str]
    results: tuple[str, str]


def recorded() -> Iterator[Product]:
    """Yield what was recorded."""
    for each in json.loads((HERE / "products.json").read_text()):
        yield Product(**{**each, "orders": tuple(each["orders"]), "results": tuple(each["results"])})


@cache
def operands(m: int, n: int, k: int, sparse: bool) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the weight (m, k) and the tokens (n, k)."""
    rng = np.random.default_rng([m, n, k, int(sparse)])
    w, x = (rng.standard_normal((rows, k)).astype(np.float32) for rows in (m, n))
    return (pruned(w) if sparse else w), x


def pruned(w: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a weight in 2:4 by magnitude, as the runs had it: independent of ``numerics.prune``."""
    groups = np.abs(w).reshape(-1, 4)
    mask = np.zeros(groups.shape, bool)
    np.put_along_axis(mask, np.argsort(-groups, axis=1, kind="stable")[:, :2], True, 1)
    return w * mask.reshape(w.shape)


def simulate(product: Product, order: str, corner: int) -> npt.NDArray[np.float32]:
    """Return one block of D in fp32, added in that order; tf32 is rounded to nearest even on entry, as cuBLAS does."""
    shape = product.m, product.n, product.k
    return rounded(_sums(*shape, product.dtype, product.sparse, order, corner), product.out_dtype)


@cache
def _sums(m: int, n: int, k: int, dtype: str, sparse: bool, order: str, corner: int) -> npt.NDArray[np.float32]:
    """Return one block of sums in fp32; kernels that add alike share it."""
    w, x = operands(m, n, k, sparse)
    second = "e4m3" if dtype == "e5m2" else dtype
    a, b = encoded(w[CORNERS[corner]], dtype), encoded(x[CORNERS[corner]].T, second)
    sparsity = "2:4" if sparse else "dense"
    d = numerics.gemm(a, b, arch="h200", dtype=dtype, b_dtype=second, sparsity=sparsity, order=order)
    return np.asarray(d).view(np.float32)


def encoded(numbers: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    """Return raw codes; an independent conversion to that of ``numerics.encode``, where there is one."""
    native = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16, "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
    if dtype in native:
        return np.ascontiguousarray(numbers).astype(native[dtype])
    return numerics.encode(numbers, dtype).view(np.float32)


def rounded(d: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[np.float32]:
    """Return D as its type holds it, in fp32."""
    return d if dtype == "fp32" else np.asarray(numerics.values(numerics.encode(d, dtype), dtype), np.float32)


def digest(block: npt.NDArray[np.float32]) -> str:
    """Return the hash of a block."""
    return hashlib.sha256(np.ascontiguousarray(block, "<f4").tobytes()).hexdigest()
