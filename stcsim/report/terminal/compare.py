"""Comparisons as tables: runs side by side, and why two results differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.summary import speedup_style
from stcsim.report.trust import evidence_lines
from stcsim.report.units import NOTHING, bytes_text, energy_text, interval_text, three_digits, time_decimals
from stcsim.result import Totals
from stcsim.result.parts import Side

if TYPE_CHECKING:
    from stcsim.study.comparison.difference import Difference, Step
    from stcsim.study.comparison.side_by_side import Comparison, Entry

_LAYERS_SHOWN = 5
_SOURCES_SHOWN = 8


def compare_table(found: Comparison) -> RenderableType:
    """Return one row for each run: times, speedups with intervals, energy, memory, and cost where prices are known."""
    entries = found.entries
    sparse = "/".join(dict.fromkeys(entry.pattern for entry in entries))
    decimals = time_decimals(max(entry.time_us("dense") or 0.0 for entry in entries))
    columns = [
        Column("", tuple(Text(entry.label) for entry in entries), elastic="start"),
        *_times(found, sparse, lambda us: f"{us:,.{decimals}f}"),
        _column(f"speed over\n{found.first.label}", map(found.faster_than_first, entries), lambda ratio: f"{ratio:.2f}", 1),
        *_speedups(found, sparse),
        _column("dense\nenergy", (entry.energy_uj("dense") for entry in entries), energy_text, 2),
        _column("best\nenergy", (entry.energy_uj("best") for entry in entries), energy_text, 2),
        *_memory(entries),
        *_costs(entries),
    ]
    refused = [Phrases("", f"no run of {entry.refused}", 0, "yellow") for entry in entries if entry.refused]
    lacks = [Text(each, "bold yellow") for each in dict.fromkeys(entry.partial.sentence for entry in entries if entry.partial)]
    return Group(Text(found.title, "bold"), *lacks, FittedTable(tuple(columns)), *refused, *evidence_lines(found.trust))


def _times(found: Comparison, sparse: str, text: Callable[[float], str]) -> list[Column]:
    sides: list[tuple[Side, str]] = [("dense", "dense"), ("2:4", f"all {sparse}"), ("best", "best of both")]
    return [
        _column(f"{word}\nµs", (entry.time_us(side) for entry in found.entries), text)
        for side, word in sides[: 3 if found.has_choice else 2]
        if any(entry.time_us(side) is not None for entry in found.entries)
    ]


def _speedups(comparison: Comparison, sparse: str) -> list[Column]:
    """Return the speedups over dense on the same GPU, each with its interval."""
    columns, entries = [], comparison.entries
    sides = (("sparse_speedup", f"all {sparse}"), ("speedup", "best of both"))
    for name, word in sides[: 2 if comparison.has_choice else 1]:
        found = [getattr(entry.totals, name) if entry.totals and entry.totals.sparse_us else None for entry in entries]
        likely = [getattr(entry.totals, f"{name}_interval") if entry.totals else None for entry in entries]
        cells = tuple(Text(NOTHING, "dim") if each is None else Text(f"{each:.2f}×", speedup_style(each)) for each in found)
        columns.append(Column(f"{word}\nspeedup", cells, 1, justify="right"))
        cells = tuple(Text(interval_text(each) if each else "") for each in likely)
        columns.append(Column("80 % of\ncases", cells, 2, justify="right"))
    return columns if any(entry.time_us("2:4") for entry in entries) else []


def _memory(entries: Sequence[Entry]) -> list[Column]:
    if not any(entry.memory for entry in entries):
        return []
    cells = []
    for entry in entries:
        dense, best = entry.memory_bytes("dense"), entry.memory_bytes("best")
        if dense is None or best is None:
            cells.append(Text(NOTHING, "dim"))
            continue
        fits = "" if entry.fits("dense") else " (only pruned fits)" if entry.fits("best") else " (does not fit)"
        cells.append(Text(bytes_text(dense, best) + fits, "bold red" if fits else ""))
    return [Column("dense → best\nmemory", tuple(cells), 2, justify="right")]


def _costs(entries: Sequence[Entry]) -> list[Column]:
    if all(entry.price_per_hour is None for entry in entries):
        return []
    sides: list[tuple[Side, str]] = [("dense", "dense"), ("best", "best")]
    return [
        _column(f"{word} cost\na million", (entry.cost_per_million(side) for entry in entries), three_digits)
        for side, word in sides
    ]


def _column(header: str, figures: Iterable[float | None], text: Callable[[float], str], rank: int = 0) -> Column:
    cells = tuple(Text(NOTHING, "dim") if each is None else Text(text(each)) for each in figures)
    return Column(header, cells, rank, justify="right")


class _Row(NamedTuple):
    """One line of the way: what was changed, the totals from there on, and against which they are held."""

    what: str
    totals: Totals
    step: Step | None


def difference_table(found: Difference) -> RenderableType:
    """Return the way from the old result to the new one, what moves nothing, and the layers and leaves behind it."""
    moving, quiet = ([step for step in found.steps if step.moves is moves] for moves in (True, False))
    rows = [_Row(found.names[0], found.old.totals, None)]
    rows += [_Row(f"  {step.what}", step.after, step) for step in moving]
    rows.append(_Row(found.names[1], found.new.totals, found.whole))
    columns = [Column("one change after the other", tuple(Text(row.what) for row in rows), elastic="end")]
    for name, word in (("dense_us", "dense"), ("sparse_us", found.new.pattern), ("best_us", "best of both")):
        if any(getattr(row.totals, name) is not None for row in rows):
            columns += _way(rows, name, word)
    notes = [Phrases("", f"without effect: {', '.join(step.what for step in quiet)}", 0, "dim")] if quiet else []
    title = Text(f"{_run_text(found, 0)} → {_run_text(found, 1)}", "bold")
    return Group(title, FittedTable(tuple(columns)), *notes, *_sources(found), *_layers(found))


def _way(rows: Sequence[_Row], name: str, word: str) -> list[Column]:
    """Return a time at each stop, and by which share each change moved it."""
    times = [getattr(row.totals, name) for row in rows]
    decimals = time_decimals(max(each or 0.0 for each in times))
    shares = [row.step.share(name) if row.step else None for row in rows]
    return [
        Column(
            f"{word}\nµs", tuple(Text(NOTHING if each is None else f"{each:,.{decimals}f}") for each in times), 1, None, "right"
        ),
        Column(f"{word}\nchange", tuple(map(_share, shares)), 0, None, "right"),
    ]


def _share(share: float | None) -> Text:
    if share is None or abs(share) < 5e-4:
        return Text("" if share is None else "0", "dim")
    return Text(f"{100 * share:+.1f} %".replace("-", "−"), "red" if share > 0 else "green")


def _run_text(found: Difference, at: int) -> str:
    run = (found.old, found.new)[at]
    return f"{found.names[at]} ({run.trace} on {run.arch}, {run.dtype}, batch {run.batch})"


def _sources(found: Difference) -> list[Phrases]:
    """Return where the new values of the GPU come from."""
    changed = [change for change in found.changes if change.source]
    shown = [
        Phrases("", f"{change.what} {change.before} → {change.after}: {change.source}", 0, "dim")
        for change in changed[:_SOURCES_SHOWN]
    ]
    rest = len(changed) - len(shown)
    return [*shown, Phrases("", f"{rest} more values of the GPU differ (--json has all)", 0, "dim")] if rest else shown


def _layers(found: Difference) -> list[Phrases]:
    """Return the layers whose times differ most."""
    lines = []
    for layer in found.layers[:_LAYERS_SHOWN]:
        before, after = (NOTHING if each is None else f"{each:,.1f}" for each in (layer.before_us, layer.after_us))
        kernels = "" if layer.kernel_before == layer.kernel_after else f" ({layer.kernel_before} → {layer.kernel_after})"
        several = f" ×{layer.layers}" if layer.layers > 1 else ""
        lines.append(Phrases("", f"{layer.name}{several}: {before} → {after} µs{kernels}", 0))
    rest = sum(layer.layers for layer in found.layers[_LAYERS_SHOWN:])
    return [*lines, Phrases("", f"{rest} more layers differ", 0, "dim")] if rest else lines
