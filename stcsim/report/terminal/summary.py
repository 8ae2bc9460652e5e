"""The summary below a run: totals with error bars, memory, where time and energy go, what to prune, a verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stcsim.report.terminal.breakdown import energy_bars, time_bars
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.facts import NAMES_SHOWN, facts
from stcsim.report.terminal.pruning import PruneTable
from stcsim.report.trust import plain_words
from stcsim.report.units import NOTHING, energy_text, interval_text, likely_time_text, percent, three_digits, time_text
from stcsim.result import Interval, LayerRow, RunResult, Totals

_MAX_WIDTH = 132
_GAP = "  "


def heading(result: RunResult) -> str:
    """Return the run in one line: ``resnet34 on a100 · fp16 · batch 8``."""
    engine = "" if result.engine == "fast" else f" · {result.engine} engine"
    return f"{result.trace} on {result.arch} · {result.dtype} · batch {result.batch}{engine}"


def speedup_style(speedup: float) -> str:
    """Return the colour of a speedup; one that prints as 1.00 has none."""
    return "" if abs(speedup - 1) < 0.005 else "green" if speedup > 1 else "red"


def summary_panel(result: RunResult) -> RenderableType:
    """Return the summary of ``result`` in a frame, and what it means in plain words below."""
    lacks: list[RenderableType] = [Text(result.partial.sentence, "bold yellow"), Text()] if result.partial else []
    blocks: list[RenderableType] = [*lacks, _totals_table(result), Text(), *facts(result)]
    blocks += [Text(), time_bars(result), Text(), energy_bars(result)]
    if result.groups and any(group.pruned for group in result.groups):
        blocks += [Text(), PruneTable(result)]
    if blocked := not_pruned(result.rows):
        blocks += [Text(), _not_pruned_table(blocked, result)]
    panel = Panel(Group(*blocks), title=f"[bold]{escape(heading(result))}[/]", title_align="left", padding=(1, 2))
    words: list[RenderableType] = list(plain_words(result))
    return Fenced(Group(panel, *([Text(), *words] if words else [])))


@dataclass(frozen=True, slots=True)
class Fenced:
    """Something drawn no wider than is good to read."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        yield from console.render(self.content, options.update_width(min(options.max_width, _MAX_WIDTH)))


@dataclass(frozen=True, slots=True)
class _Total:
    """One line of the totals: a network, or one GEMM, with its error bars."""

    name: str
    time_us: float
    likely_us: Interval | None
    speedup: float | None
    likely: Interval | None
    energy_uj: float | None
    clock_mhz: float | None
    pruned: int | None


def _totals(result: RunResult) -> list[_Total]:
    totals, rows, lines = result.totals, result.rows, []
    if totals.dense_us is not None:
        time = totals.dense_us, totals.dense_us_interval
        lines.append(_Total("dense", *time, None, None, totals.dense_uj, totals.dense_clock_mhz, None))
    if totals.sparse_us is not None:
        time, speedup = (totals.sparse_us, totals.sparse_us_interval), (totals.sparse_speedup, totals.sparse_speedup_interval)
        pruned = sum(row.sparse is not None for row in rows)
        which = "as pruned" if result.inputs.get("pruned_as") is not None else f"all {result.pattern}"
        lines.append(_Total(which, *time, *speedup, totals.sparse_uj, totals.sparse_clock_mhz, pruned))
    if totals.speedup is not None and len(rows) > 1:
        time, gain = (totals.best_us, totals.best_us_interval), (totals.speedup, totals.speedup_interval)
        pruned = sum(row.is_pruned for row in rows)
        lines.append(_Total("best of both", *time, *gain, totals.best_uj, totals.best_clock_mhz, pruned))
    return lines


def _totals_table(result: RunResult) -> FittedTable:
    """Return time, speedup, rate, clock, power, energy and work per joule of dense, all 2:4 and best of both."""
    lines, totals = _totals(result), result.totals
    longest_us = max(line.time_us for line in lines)

    def column(header: str, rank: int, cells: Iterable[Text]) -> Column:
        return Column(header, tuple(cells), rank, justify="right")

    columns = [
        Column("", tuple(Text(line.name, "bold" if line.name == "best of both" else "") for line in lines)),
        column("time", 0, (Text(time_text(line.time_us, longest_us), "bold") for line in lines)),
        column("time in 80 %\nof cases", 3, (Text(_likely_time(line, longest_us), "dim") for line in lines)),
    ]
    if any(line.speedup for line in lines):
        columns.append(column("speedup", 0, (_gain(line.speedup) for line in lines)))
        columns.append(column("80 % of\ncases", 1, (Text(_likely_gain(line), "dim") for line in lines)))
    columns += [
        column("TOPS", 2, (Text(three_digits(2e-6 * totals.macs / line.time_us)) for line in lines)),
        column("MHz", 4, (Text(f"{line.clock_mhz:,.0f}" if line.clock_mhz else NOTHING) for line in lines)),
        column("W", 4, (Text(f"{line.energy_uj / line.time_us:,.0f}" if line.energy_uj else NOTHING) for line in lines)),
        column("energy", 1, (Text(energy_text(line.energy_uj) if line.energy_uj else NOTHING) for line in lines)),
        column("TOPS/W", 3, (Text(_per_watt(totals, line)) for line in lines)),
    ]
    if any(line.speedup for line in lines):
        columns.append(column("work per\njoule", 2, (_per_joule(totals, line) for line in lines)))
    if any(line.pruned is not None for line in lines) and len(result.rows) > 1:
        counts = ("" if line.pruned is None else f"{line.pruned} of {len(result.rows)}" for line in lines)
        columns.append(column(f"{result.pattern} layers", 1, map(Text, counts)))
    return FittedTable(tuple(columns))


def _likely_time(line: _Total, longest_us: float) -> str:
    return likely_time_text(line.likely_us, longest_us) if line.likely_us else NOTHING


def _likely_gain(line: _Total) -> str:
    return f"({interval_text(line.likely)})" if line.likely else ""


def _per_watt(totals: Totals, line: _Total) -> str:
    return three_digits(2e-6 * totals.macs / line.energy_uj) if line.energy_uj else NOTHING


def _per_joule(totals: Totals, line: _Total) -> Text:
    """Return work for each joule over that of dense."""
    if line.speedup is None or not totals.dense_uj or not line.energy_uj:
        return Text()
    return _gain(totals.dense_uj / line.energy_uj)


def _gain(ratio: float | None) -> Text:
    return Text() if ratio is None else Text(f"{ratio:.2f}×", speedup_style(ratio))


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
    table.add_row("", Text(f"never {result.pattern}", "dim"))
    for reason, rows in reasons.items():
        share = sum(row.macs * row.count for row in rows) / result.totals.macs
        names = ", ".join(row.name for row in rows[:NAMES_SHOWN]) + (", …" if len(rows) > NAMES_SHOWN else "")
        table.add_row(f"{len(rows)}", Text.assemble(reason, (f" ({percent(share)} of the work): {names}", "dim")))
    return table
