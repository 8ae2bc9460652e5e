"""Where the time of a run goes: the breakdowns of its kernels added up, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from stcsim.result.kernel import KernelResult, MemoryResult
from stcsim.result.rows import LayerRow, MemoryRow
from stcsim.result.run import RunResult

MEMORY = "memory"
"""The part of a network's time that is kernels of memory operations, without their launches."""

Side = Literal["dense", "2:4", "best"]
"""Every layer dense, 2:4 wherever a layer may be pruned, or the best of both."""


def times_of(result: RunResult, side: Side) -> dict[str, float]:
    """Return microseconds by part of one side of a run, which was asked for."""
    rows: list[LayerRow | MemoryRow] = [*result.rows, *result.memory]
    if side == "dense":
        return summed((row.dense, row.count) for row in rows)
    if side == "best":
        return summed((row.chosen, row.count) for row in rows)
    return summed((row.sparse or row.chosen, row.count) for row in rows)


def times_by_side(result: RunResult) -> dict[str, dict[str, float]]:
    """Return microseconds by part of every side that was run; of a network with a choice its best instead of all 2:4."""
    sides: dict[str, dict[str, float]] = {}
    if result.totals.dense_us is not None:
        sides["dense"] = times_of(result, "dense")
    if result.totals.sparse_us is not None and len(result.rows) > 1 and sides:
        sides["best of both"] = times_of(result, "best")
    elif result.totals.sparse_us is not None:
        sides[result.pattern] = times_of(result, "2:4")
    return sides


def summed(kernels: Iterable[tuple[KernelResult | MemoryResult | None, int]]) -> dict[str, float]:
    """Return the breakdowns of ``(kernel, launches)`` added up, parts that take no time left out.

    A memory operation adds to ``launch`` and, whatever it waits for, to ``memory``.
    """
    parts: dict[str, float] = defaultdict(float)
    for kernel, count in kernels:
        for part, part_us in (kernel.breakdown if kernel else {}).items():
            its_own = part == "launch" or not isinstance(kernel, MemoryResult)
            parts[part if its_own else MEMORY] += part_us * count
    return {part: part_us for part, part_us in parts.items() if part_us > 0}
