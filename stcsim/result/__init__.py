"""What a prediction consists of: kernels, layers, networks."""

from stcsim.result.kernel import Gains, Interval, KernelResult, MemoryResult, account
from stcsim.result.rows import LayerRow, MemoryRow, PruneGroup
from stcsim.result.run import RunResult
from stcsim.result.totals import Footprint, TimeSplit, Totals, Trust

__all__ = [
    "Footprint",
    "Gains",
    "Interval",
    "KernelResult",
    "LayerRow",
    "MemoryResult",
    "MemoryRow",
    "PruneGroup",
    "RunResult",
    "TimeSplit",
    "Totals",
    "Trust",
    "account",
]
