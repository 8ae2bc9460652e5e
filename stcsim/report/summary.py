"""The summary below a run: totals, weight memory, where the time goes, and what may not be pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stcsim.report.units import NOTHING, bar, bytes_text, energy_text, macs_text, percent, three_digits, time_text
from stcsim.result import KernelResult, LayerRow, RunResult, Totals

#: The keys of a breakdown in words; the first is the key itself, as the table of layers has it.
PARTS = {
    "launch": "launch",
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
}
_MAX_WIDTH = 120
_LABEL_COLUMNS = max(map(len, PARTS.values()))
_FIGURE_COLUMNS = 17
_MAX_BAR = 24
_NAMES_SHOWN = 3
_GAP = "  "


def heading(result: RunResult) -> str:
    """Return the run in one line: ``resnet34 on a100 · fp16 · batch 8``."""
    engine = "" if result.engine == "fast" else f" · {result.engine} engine"
    return f"{result.trace} on {result.arch} · {result.dtype} · batch {result.batch}{engine}"


def best_kernel(row: LayerRow) -> KernelResult | None:
    """Return the faster of the row's kernels."""
    return row.sparse if row.best == "2:4" else row.dense


def speedup_style(speedup: float) -> str:
    """Return the colour of a speedup; one that prints as 1.00 has none."""
    return "" if abs(speedup - 1) < 0.005 else "green" if speedup > 1 else "red"


def summary_panel(result: RunResult) -> RenderableType:
    """Return the summary of ``result`` in a frame."""
    blocks: list[RenderableType] = [_totals_table(result), Text(), _facts_table(result)]
    blocks += [Text(), Breakdown(result)]
    if blocked := not_pruned(result.rows):
        blocks += [Text(), _not_pruned_table(blocked, result)]
    return Fenced(Panel(Group(*blocks), title=f"[bold]{escape(heading(result))}[/]", title_align="left", padding=(1, 2)))


@dataclass(frozen=True, slots=True)
class Fenced:
    """Something drawn no wider than is good to read."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        yield from console.render(self.content, options.update_width(min(options.max_width, _MAX_WIDTH)))


def _totals_table(result: RunResult) -> Table:
    """Return time, speedup and TOPS of dense, all-2:4 and best-of-both."""
    totals, table = result.totals, Table.grid(padding=(0, 3))
    for justify in ("left", "right", "right", "right", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column()
    words = ("time", "speedup" if totals.speedup else "", "TOPS", "energy", "TOPS/W", "")
    table.add_row("", *(Text(word, "dim") for word in words))
    layers = f"of {len(result.rows)} layers" if len(result.rows) > 1 else ""
    pruned = f"2:4 in {sum(row.sparse is not None for row in result.rows)} {layers}" if layers else ""
    picked = f"2:4 in {sum(row.best == '2:4' for row in result.rows)} {layers}" if layers else ""
    if totals.dense_us is not None:
        table.add_row("dense", *_total_cells(totals, totals.dense_us, totals.dense_uj, None, ""))
    if totals.sparse_us is not None:
        table.add_row("all 2:4", *_total_cells(totals, totals.sparse_us, totals.sparse_uj, totals.sparse_speedup, pruned))
    if totals.dense_us is not None and totals.sparse_us is not None:
        cells = _total_cells(totals, totals.best_us, totals.best_uj, totals.speedup, picked)
        table.add_row(Text("best of both", "bold"), *cells)
    return table


def _total_cells(totals: Totals, time_us: float, energy_uj: float | None, speedup: float | None, note: str) -> tuple[Text, ...]:
    tops = 2 * totals.macs / time_us / 1e6
    energy = energy_text(energy_uj) if energy_uj else NOTHING
    per_watt = three_digits(2e-6 * totals.macs / energy_uj) if energy_uj else NOTHING
    gain = Text(f"{speedup:.2f}×", speedup_style(speedup)) if speedup is not None else Text()
    longest_us = max(each for each in (totals.dense_us, totals.sparse_us, totals.best_us) if each is not None)
    return (
        Text(time_text(time_us, longest_us), "bold"),
        gain,
        Text(three_digits(tops)),
        Text(energy),
        Text(per_watt),
        Text(note, "dim"),
    )


def _facts_table(result: RunResult) -> Table:
    """Return how much work it is, the weight memory without and with 2:4, and the kernels of a single GEMM."""
    totals, table = result.totals, Table.grid(padding=(0, len(_GAP)))
    launches = f"{totals.launches:,} launch{'es' if totals.launches > 1 else ''}"
    eligible = percent(totals.eligible_macs / totals.macs)
    work = f"{launches}, {macs_text(totals.macs)}, {eligible} of it in layers that may be pruned"
    table.add_row(Text("work", "dim"), work)
    table.add_row(Text("weights", "dim"), _weights_text(result))
    if len(result.rows) == 1:
        for side, kernel in (("dense", result.rows[0].dense), ("2:4", result.rows[0].sparse)):
            if kernel is not None:
                table.add_row(Text(side, "dim"), _kernel_text(kernel))
    return table


def _kernel_text(kernel: KernelResult) -> str:
    grid = f"{kernel.ctas:,} CTA{'s' if kernel.ctas > 1 else ''}, {kernel.ctas_per_sm}/SM, {three_digits(kernel.waves)} waves"
    return f"{kernel.kernel}, {grid}, {kernel.clock_mhz:,.0f} MHz, {kernel.watts:,.0f} W"


def _weights_text(result: RunResult) -> str:
    totals = result.totals
    if not totals.weight_bytes:
        return "none"
    if not totals.pruned_weight_bytes:
        return f"{bytes_text(totals.weight_bytes)}, none of it may be pruned"
    if totals.sparse_us is None:
        return f"{bytes_text(totals.weight_bytes)}, {bytes_text(totals.compressed_bytes)} if pruned"
    of_pruned = 1 - totals.pruned_compressed_bytes / totals.pruned_weight_bytes
    of_all = 1 - totals.compressed_bytes / totals.weight_bytes
    sizes = bytes_text(totals.weight_bytes, totals.compressed_bytes)
    return f"{sizes} with metadata: −{percent(of_pruned)} of the pruned, −{percent(of_all)} of all"


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
        totals, rows = self.result.totals, self.result.rows
        best = summed((best_kernel(row), row.count) for row in rows)
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


def summed(kernels: Iterable[tuple[KernelResult | None, int]]) -> dict[str, float]:
    """Return the breakdowns of ``(kernel, launches)`` added up, parts that take no time left out."""
    parts: dict[str, float] = defaultdict(float)
    for kernel, count in kernels:
        for part, part_us in (kernel.breakdown if kernel else {}).items():
            parts[part] += part_us * count
    return {part: part_us for part, part_us in parts.items() if part_us > 0}


def not_pruned(rows: Iterable[LayerRow]) -> dict[str, list[LayerRow]]:
    """Return the rows that may not be pruned, by reason, in the order of the trace."""
    reasons: dict[str, list[LayerRow]] = defaultdict(list)
    for row in rows:
        if row.not_sparse_because is not None:
            reasons[row.not_sparse_because].append(row)
    return dict(reasons)


def _not_pruned_table(reasons: dict[str, list[LayerRow]], result: RunResult) -> Table:
    """Return one line a reason: how many layers, what share of the work, and which."""
    table = Table.grid(padding=(0, len(_GAP)))
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    table.add_row("", Text("never 2:4", "dim"))
    for reason, rows in reasons.items():
        share = sum(row.macs * row.count for row in rows) / result.totals.macs
        names = ", ".join(row.name for row in rows[:_NAMES_SHOWN]) + (", …" if len(rows) > _NAMES_SHOWN else "")
        table.add_row(f"{len(rows)}", Text.assemble(reason, (f" ({percent(share)} of the work): {names}", "dim")))
    return table
