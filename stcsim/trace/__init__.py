"""Traces of networks: the GEMMs, convolutions and memory operations that one pass launches."""

from stcsim.trace.trace import Conv2d, Gemm, Memory, Op, Source, Trace, TraceOrName, load_trace, trace_names

__all__ = ["Conv2d", "Gemm", "Memory", "Op", "Source", "Trace", "TraceOrName", "load_trace", "trace_names"]
