"""What stcsim knows: tables of GPUs, of one GPU's every value with its source, and of traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stcsim.isa import dtype as find_dtype
from stcsim.isa import timed_types
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING, percent, three_digits

if TYPE_CHECKING:
    from stcsim.arch import Arch, Leaf
    from stcsim.trace import Trace

_LEAST_SOURCE = 30
_LEAST_TITLE = 40


def arch_list_table(archs: Sequence[Arch]) -> RenderableType:
    """Return one line for each GPU, with its peak dense and 2:4 TOPS by type; types that none of them has are left out."""
    columns = [
        _words("arch", [arch.name for arch in archs]),
        _words("GPU", [arch.title for arch in archs], rank=3),
        _numbers("SMs", [str(arch.sm.count) for arch in archs], rank=1),
        _numbers("L2\nMiB", [f"{arch.l2.capacity_mib:g}" for arch in archs], rank=2),
        _numbers("DRAM\nGB/s", [f"{arch.dram.bandwidth_gb_per_s:,.0f}" for arch in archs], rank=2),
    ]
    by_peaks: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in (row.name for row in timed_types() if any(arch.supports(row.name, False) for arch in archs)):
        by_peaks[tuple(_peaks(arch, name) for arch in archs)].append(name)
    columns += [_numbers(f"{', '.join(dtypes)}\nTOPS", peaks) for peaks, dtypes in by_peaks.items()]
    return FittedTable(tuple(columns), foot="peak dense/2:4 TOPS; `stcsim arch NAME` shows every value and its source")


def arch_table(arch: Arch) -> RenderableType:
    """Return every value of ``arch``: path, value, unit, kind and source, one block for each section."""
    facts = f"{arch.title} · {arch.die} · {arch.generation.capitalize()}, compute capability {arch.compute_capability}"
    peaks = ", ".join(f"{row.name} {_peaks(arch, row.name)}" for row in timed_types() if arch.supports(row.name, False))
    return Group(Text(facts, "bold"), Text(f"peak dense/{arch.pattern_name} TOPS: {peaks}"), Leaves(tuple(arch.leaves())))


@dataclass(frozen=True, slots=True)
class Leaves:
    """The values of a GPU; the source stands beside each where there is room, else below it."""

    leaves: tuple[Leaf, ...]

    def table(self) -> FittedTable:
        """Return all of them as one table."""
        columns = zip(*((leaf.path, _value(leaf.value), leaf.unit, leaf.kind, leaf.source) for leaf in self.leaves), strict=True)
        headers = ("path", "value", "unit", "kind", "source")
        return FittedTable(tuple(Column(header, tuple(map(Text, cells))) for header, cells in zip(headers, columns, strict=True)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw them, one block for each section."""
        cells = [(leaf.path, _value(leaf.value), leaf.unit, leaf.kind) for leaf in self.leaves]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        indent = sum(widths) + 2 * len(widths)
        beside = options.max_width - indent >= _LEAST_SOURCE
        section = ""
        for leaf, (path, value, unit, kind) in zip(self.leaves, cells, strict=True):
            if leaf.path.split(".")[0] != section:
                section = leaf.path.split(".")[0]
                yield Text()
            line = f"{path:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {kind:<{widths[3]}}"
            if not beside:
                yield Text(line.rstrip(), no_wrap=True, overflow="ellipsis")
                yield Padding(Text(leaf.source, "dim"), (0, 0, 0, 4))
                continue
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=indent - 2, no_wrap=True)
            row.add_column()
            row.add_row(line, Text(leaf.source, "dim"))
            yield row


def traces_table(traces: Sequence[Trace]) -> RenderableType:
    """Return one line for each trace: what it is, how large, how much of it may run 2:4, and where it comes from."""
    columns = (
        _words("trace", [trace.name for trace in traces]),
        Column("network", tuple(Text(trace.title) for trace in traces), elastic="end"),
        _numbers("batch", [str(trace.batch) for trace in traces], rank=1),
        _words("dtype", [trace.dtype for trace in traces], rank=2),
        _numbers("launches", [f"{sum(op.count for op in trace.ops):,}" for trace in traces], rank=2),
        _numbers("GMAC", [three_digits(trace.macs / 1e9) for trace in traces], rank=1),
        _numbers("weights\nM", [three_digits(trace.weight_elements / 1e6) for trace in traces], rank=1),
        _numbers("may be\n2:4", [percent(eligible_share(trace)) for trace in traces], rank=1),
        _words("source", [f"{each.source.library} {each.source.version}, {each.source.model}" for each in traces], rank=3),
    )
    foot = "weights are those that multiply, 2:4 is a share of MACs; `stcsim run NAME --arch …` simulates one"
    foot = "\n".join([*(f"{trace.name} is {trace.partial.sentence}" for trace in traces if trace.partial), foot])
    return FittedTable(columns, foot=foot, least_elastic=_LEAST_TITLE)


def eligible_share(trace: Trace) -> float:
    """Return the share of MACs that may run 2:4: a weight operand, and a reduction that divides as the type asks."""
    eligible = 0
    for op in trace.ops:
        if op.kind != "memory":
            gemm = op.gemm() if op.kind == "conv2d" else op
            multiple = find_dtype(gemm.dtype or trace.dtype).sparse_k_multiple
            eligible += op.macs * op.count if gemm.weight_operand and gemm.k % multiple == 0 else 0
    return eligible / trace.macs if eligible else 0.0


def _words(header: str, cells: Sequence[str], rank: int = 0) -> Column:
    return Column(header, tuple(map(Text, cells)), rank)


def _numbers(header: str, cells: Sequence[str], rank: int = 0) -> Column:
    return Column(header, tuple(map(Text, cells)), rank, justify="right")


def _peaks(arch: Arch, dtype: str) -> str:
    """Return ``312/624``, with a dash for what the GPU lacks."""
    peaks = [arch.peak_tops(dtype, sparse) for sparse in (False, True)]
    return NOTHING if peaks[0] is None else "/".join(NOTHING if peak is None else f"{peak:,.0f}" for peak in peaks)


def _value(value: object) -> str:
    if isinstance(value, tuple):  # 7 GPCs of 16 SMs and one of 14 are "7×16, 14"
        runs = [(size, len(list(same))) for size, same in groupby(value)]
        return ", ".join(f"{times}×{size}" if times > 1 else f"{size}" for size, times in runs)
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
