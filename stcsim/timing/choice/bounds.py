"""The plain roofline of a GEMM."""

from __future__ import annotations

import math

from stcsim.arch import Arch
from stcsim.timing.problem import Problem


def roofline_us(arch: Arch, problem: Problem, sparse: bool) -> float:
    """Return the plain roofline, microseconds: MACs at vendor peak or each operand once at peak DRAM bandwidth."""
    peak_tops = arch.peak_tops(problem.dtype.name, sparse)
    if peak_tops is None:
        return math.nan
    moved = problem.a_bytes(sparse) + problem.b_bytes + problem.d_bytes
    return max(2 * problem.macs / (peak_tops * 1e6), moved / (arch.dram.bandwidth_gb_per_s * 1e3))
