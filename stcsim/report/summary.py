"""The summary below a run: totals, weight memory, where the time goes, what to prune first, and what may not be pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stcsim.report.breakdown import Breakdown
from stcsim.report.units import NOTHING, bytes_text, energy_text, macs_text, percent, three_digits, time_text
from stcsim.result import KernelResult, LayerRow, MemoryRow, RunResult, TimeSplit, Totals

_MAX_WIDTH = 120
_NAMES_SHOWN = 3
_PRUNED_SHOWN = 3
_MOST_OF_IT = 0.9
_GAP = "  "


def heading(result: RunResult) -> str:
    """Return the run in one line: ``resnet34 on a100 · fp16 · batch 8``."""
    engine = "" if result.engine == "fast" else f" · {result.engine} engine"
    return f"{result.trace} on {result.arch} · {result.dtype} · batch {result.batch}{engine}"


def speedup_style(speedup: float) -> str:
    """Return the colour of a speedup; one that prints as 1.00 has none."""
    return "" if abs(speedup - 1) < 0.005 else "green" if speedup > 1 else "red"


def summary_panel(result: RunResult) -> RenderableType:
    """Return the summary of ``result`` in a frame."""
    blocks: list[RenderableType] = [_totals_table(result), Text(), _facts_table(result)]
    blocks += [Text(), Breakdown(result)]
    if len(result.rows) > 1 and (ranked := prune_list(result.rows)):
        blocks += [Text(), _prune_table(ranked)]
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
    """Return time, speedup, TOPS and work per joule of dense, all-2:4 and best-of-both."""
    totals, table = result.totals, Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for _ in range(7):
        table.add_column(no_wrap=True, justify="right")
    both = totals.speedup is not None
    several = both and len(result.rows) > 1
    words = (
        "time",
        "speedup" if both else "",
        "TOPS",
        "energy",
        "TOPS/W",
        "gain" if both else "",
        "2:4 layers" if several else "",
    )
    table.add_row("", *(Text(word, "dim") for word in words))
    pruned = f"{sum(row.sparse is not None for row in result.rows)} of {len(result.rows)}" if several else ""
    picked = f"{sum(row.best == '2:4' for row in result.rows)} of {len(result.rows)}" if several else ""
    if totals.dense_us is not None:
        table.add_row("dense", *_total_cells(totals, totals.dense_us, totals.dense_uj, None, ""))
    if totals.sparse_us is not None:
        table.add_row("all 2:4", *_total_cells(totals, totals.sparse_us, totals.sparse_uj, totals.sparse_speedup, pruned))
    if both:
        cells = _total_cells(totals, totals.best_us, totals.best_uj, totals.speedup, picked)
        table.add_row(Text("best of both", "bold"), *cells)
    return table


def _total_cells(totals: Totals, time_us: float, energy_uj: float | None, speedup: float | None, layers: str) -> tuple[Text, ...]:
    tops = 2 * totals.macs / time_us / 1e6
    per_watt = three_digits(2e-6 * totals.macs / energy_uj) if energy_uj else NOTHING
    per_watt_gain = totals.dense_uj / energy_uj if speedup is not None and totals.dense_uj and energy_uj else None
    longest_us = max(each for each in (totals.dense_us, totals.sparse_us, totals.best_us) if each is not None)
    return (
        Text(time_text(time_us, longest_us), "bold"),
        _gain(speedup),
        Text(three_digits(tops)),
        Text(energy_text(energy_uj) if energy_uj else NOTHING),
        Text(per_watt),
        _gain(per_watt_gain),
        Text(layers),
    )


def _gain(ratio: float | None) -> Text:
    return Text() if ratio is None else Text(f"{ratio:.2f}×", speedup_style(ratio))


def _facts_table(result: RunResult) -> Table:
    """Return how much work it is, what runs beside the layers, weight memory, clock, and the kernels of a single GEMM."""
    totals, table = result.totals, Table.grid(padding=(0, len(_GAP)))
    launches = f"{totals.launches:,} launch{'es' if totals.launches > 1 else ''}"
    eligible = f", {percent(totals.eligible_macs / totals.macs)} of it in layers that may be pruned" if totals.macs else ""
    table.add_row(Text("work", "dim"), f"{launches}, {macs_text(totals.macs)}{eligible}")
    if totals.memory_launches or totals.fused:
        table.add_row(Text("time", "dim"), _split_text(totals.dense_split, totals.best_split))
        table.add_row(Text("memory steps", "dim"), _memory_text(result))
    table.add_row(Text("weights", "dim"), _weights_text(result))
    if clock := _clock_text(result):
        table.add_row(Text("clock", "dim"), clock)
    if exceptions := _exceptions_text(result):
        table.add_row(Text("by layer", "dim"), exceptions)
    if len(result.rows) == 1:
        for side, kernel in (("dense", result.rows[0].dense), ("2:4", result.rows[0].sparse)):
            if kernel is not None:
                table.add_row(Text(side, "dim"), _kernel_text(kernel))
    return table


def _split_text(dense: TimeSplit | None, best: TimeSplit) -> str:
    """Return what share layers, memory steps and launch gaps have, dense → best of both."""
    sides = [side for side in (dense, best) if side is not None]
    sums = [side.layers + side.memory + side.launch for side in sides]
    words = {"layers": "GEMMs, convolutions", "memory": "memory steps", "launch": "launch gaps"}
    texts = []
    for part, word in words.items():
        shares = dict.fromkeys(percent(getattr(side, part) / total) for side, total in zip(sides, sums, strict=True))
        *others, last = shares
        texts.append(f"{word} {' → '.join([*(share.removesuffix(' %') for share in others), last])}")
    return ", ".join(texts)


def _memory_text(result: RunResult) -> str:
    """Return the operators that have a kernel of their own, by time, and how many have none."""
    by_operator: dict[str, list[MemoryRow]] = defaultdict(list)
    for row in result.memory:
        by_operator[row.operator].append(row)
    times_us = {name: sum(row.count * row.chosen.time_us for row in rows) for name, rows in by_operator.items()}
    slowest = sorted(times_us, key=lambda name: -times_us[name])[:_NAMES_SHOWN]
    named = [f"{name} ×{sum(row.count for row in by_operator[name])} {time_text(times_us[name])}" for name in slowest]
    named += ["…"] if len(by_operator) > _NAMES_SHOWN else []
    kernels = f"{result.totals.memory_launches:,} ({', '.join(named)})" if named else ""
    fused = f"{result.totals.fused:,} in the kernel before" if result.totals.fused else ""
    return ", ".join(filter(None, (kernels, fused)))


def _kernel_text(kernel: KernelResult) -> str:
    grid = f"{kernel.ctas:,} CTA{'s' if kernel.ctas > 1 else ''}, {kernel.ctas_per_sm}/SM, {three_digits(kernel.waves)} waves"
    return f"{kernel.kernel}, {grid}, {kernel.clock_mhz:,.0f} MHz, {kernel.watts:,.0f} W"


def _clock_text(result: RunResult) -> str:
    """Return the clocks that the board's power limit holds the networks to; nothing where it does not bind or for one GEMM."""
    totals = result.totals
    if len(result.rows) == 1 or not totals.clock_is_limited:
        return ""
    clocks = {"dense": totals.dense_clock_mhz, "best of both": totals.best_clock_mhz if totals.sparse_us is not None else None}
    texts = [f"{side} {clock:,.0f} MHz" for side, clock in clocks.items() if clock is not None]
    return f"{', '.join(texts)}: held down by the board's power limit"


def _exceptions_text(result: RunResult) -> str:
    """Return what was asked of single layers."""
    dense = [f"{pattern} kept dense" for pattern in result.inputs.get("keep_dense", ())]
    return ", ".join(dense + [f"{pattern} {element}" for pattern, element in result.inputs.get("dtype_of", {}).items()])


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


def prune_list(rows: Iterable[LayerRow]) -> list[LayerRow]:
    """Return the layers that 2:4 makes faster, the largest saving first."""
    return sorted((row for row in rows if row.prune_rank is not None), key=lambda row: row.prune_rank or 0)


def _prune_table(ranked: Sequence[LayerRow]) -> Table:
    """Return the layers that save most, and how many bring most of it."""
    saved_us = sum(row.saved_us for row in ranked)
    most = next(row for row in ranked if (row.saved_share or 0.0) >= _MOST_OF_IT or row is ranked[-1])
    table = Table.grid(padding=(0, len(_GAP)))
    for _ in range(3):
        table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    share = f"{most.prune_rank} of {len(ranked)} layers bring {percent(most.saved_share or 0.0)} of the {time_text(saved_us)}"
    table.add_row("", Text("saves", "dim"), Text("sum", "dim"), Text.assemble(("prune first", "dim"), f": {share}"))
    for row in ranked[:_PRUNED_SHOWN]:
        table.add_row(str(row.prune_rank), time_text(row.saved_us, ranked[0].saved_us), percent(row.saved_share or 0.0), row.name)
    return table


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
