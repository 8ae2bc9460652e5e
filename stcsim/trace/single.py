"""The trace of a single GEMM, for commands that take a network or a GEMM."""

from __future__ import annotations

from stcsim.trace.ops import Gemm
from stcsim.trace.trace import Source, Trace


def gemm_trace(m: int, n: int, k: int) -> Trace:
    """Return the trace of D[m x n] = A[m x k] . B[k x n], with A the weight."""
    name = f"gemm {m}x{n}x{k}"
    source = Source(model="gemm", library="command line", version="none")
    return Trace(name=name, title=name, source=source, batch=1, input_shape=(k,), ops=(Gemm(name=name, m=m, n=n, k=k),))
