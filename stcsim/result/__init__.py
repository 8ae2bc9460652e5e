"""What a prediction consists of: kernels, layers, networks."""

from stcsim.result.run import (
    Footprint,
    Gains,
    Interval,
    KernelResult,
    LayerRow,
    MemoryResult,
    MemoryRow,
    PruneGroup,
    RunResult,
    TimeSplit,
    Totals,
    Trust,
    account,
)

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
