"""Where the time of a run goes, as bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from stcsim.report.units import NOTHING, bar, percent, time_text
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, RunResult

MEMORY = "memory"
"""The part that is the kernels of memory operations, without their launches."""

#: The keys of a breakdown in words; the first is the key itself, as the table of layers has it.
PARTS = {
    "launch": "launch gaps",
    "tensor": "tensor pipe",
    "smem": "smem port",
    "issue": "issue, barriers",
    "ingress": "ingress to SM",
    "l2": "L2",
    "dram": "DRAM",
    "latency": "latency",
    "prologue": "prologue",
    "epilogue": "epilogue",
    "tail": "tail, idle SMs",
    MEMORY: "memory steps",
}
_LABEL_COLUMNS = max(map(len, PARTS.values()))
_FIGURE_COLUMNS = 17
_MAX_BAR = 24
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the time goes: microseconds by part, summed over all launches, as bars on one scale."""

    result: RunResult

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one bar a part and side."""
        sides = self.sides()
        spare = options.max_width - _LABEL_COLUMNS - len(sides) * (len(_GAP) + _FIGURE_COLUMNS)
        columns = max(0, min(_MAX_BAR, spare // len(sides)))
        longest_us = max(max(parts.values(), default=0.0) for parts in sides.values()) or 1.0
        head = "".join(f"{_GAP}{side:<{columns + _FIGURE_COLUMNS}}" for side in sides)
        yield Text(f"{'time by part':<{_LABEL_COLUMNS}}{head}".rstrip(), "dim", no_wrap=True)
        longest = {part: max(parts.get(part, 0.0) for parts in sides.values()) for parts in sides.values() for part in parts}
        for part in sorted(longest, key=lambda part: -longest[part]):
            yield self._line(part, sides, columns, longest_us)

    def sides(self) -> dict[str, dict[str, float]]:
        """Return microseconds by part of every side that was run."""
        totals = self.result.totals
        rows: list[LayerRow | MemoryRow] = [*self.result.rows, *self.result.memory]
        best = summed((row.chosen, row.count) for row in rows)
        if totals.dense_us is None:
            return {"2:4": best}
        dense = {"dense": summed((row.dense, row.count) for row in rows)}
        return dense | ({"best of both": best} if totals.sparse_us is not None else {})

    def _line(self, part: str, sides: dict[str, dict[str, float]], columns: int, longest_us: float) -> Text:
        line = Text(f"{PARTS.get(part, part):<{_LABEL_COLUMNS}}", no_wrap=True)
        for parts in sides.values():
            part_us = parts.get(part, 0.0)
            share = part_us / (sum(parts.values()) or 1.0)
            line.append(_GAP + bar(part_us / longest_us, columns), "cyan")
            figures = f"{time_text(part_us, longest_us):>10} {percent(share):>5} " if part_us else f"{NOTHING:>10}"
            line.append(f"{figures:<{_FIGURE_COLUMNS}}")
        line.rstrip()
        return line


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
