"""A microbenchmark as a table, as a document and as lines: latency, issue interval, and FMA/clk/SM by warps and ILP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import percent
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.timing.microbenchmark import Microbench, Point

_BOUND = {
    "latency": "latency: too few in flight",
    "tensor": "tensor cores",
    "issue": "shortest issue interval",
    "smem": "shared-memory port",
}
_PLACES = {"ss": "A and B in shared memory", "rs": "A in registers, B in shared memory", "registers": "A and B in registers"}


def microbench_text(benches: Sequence[Microbench]) -> RenderableType:
    """Return every placement of the operands: a heading, and the points measured."""
    parts: list[RenderableType] = []
    for bench in benches:
        parts += [Text() if parts else Text(f"{bench.instruction} on {bench.arch}", "bold"), *_one(bench)]
    return Group(*parts)


def document(benches: Sequence[Microbench], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the instruction and each placement of its operands, with the arguments of the call."""
    content = {"instruction": benches[0].instruction, "arch": benches[0].arch, "operands": benches, "inputs": inputs}
    return documents.document("microbench-1", content)


def row_lines(benches: Sequence[Microbench]) -> list[dict[str, object]]:
    """Return one flat line for each point, with what is the same for all of its placement."""
    lines = []
    for bench in benches:
        shared = {name: value for name, value in documents.plain(bench).items() if name != "points"}
        lines += [documents.flat(shared | documents.plain(point)) for point in bench.points]
    return lines


def _one(bench: Microbench) -> list[RenderableType]:
    where = "SM" if bench.instruction.startswith("wgmma") else "sub-core"
    pairs = (
        ("operands", _PLACES[bench.operands]),
        ("completion latency", f"{bench.latency_cycles:.1f} cycles"),
        ("issue interval", f"{bench.interval_cycles:.2f} cycles on one {where}, set by {_BOUND[bench.limit]}"),
        ("work", f"{bench.macs:,} MAC{_zeros(bench)}, nominal {bench.peak_fma_per_clk_per_sm:,.0f} FMA/clk/SM"),
    )
    return [*(Text(f"  {name:<20}{value}") for name, value in pairs), Text(), _points(bench.points)]


def _zeros(bench: Microbench) -> str:
    return " (pruned zeros count)" if ".sp." in bench.instruction else ""


def _points(points: Sequence[Point]) -> FittedTable:
    """Return the points as a list, or as warps by ILP where both vary."""
    foot = "cycles of a round: every warp issues ILP independent instructions, then waits for their results"
    every_warps, every_ilp = dict.fromkeys(p.warps for p in points), dict.fromkeys(p.ilp for p in points)
    if min(len(every_warps), len(every_ilp)) < 2:
        return FittedTable(tuple(_list(points)), foot=foot)
    columns = [_numbers("  warps", [Text(str(warps)) for warps in every_warps])]
    for ilp in every_ilp:
        column = [point for point in points if point.ilp == ilp]
        columns.append(_numbers("cycles", [_styled(p, f"{p.round_cycles:.1f}") for p in column], 1))
        shares = [_styled(p, f"{p.fma_per_clk_per_sm:,.0f} {percent(p.share_of_peak):>5}") for p in column]
        columns.append(_numbers(f"ILP {ilp}\nFMA/clk/SM", shares))
    return FittedTable(tuple(columns), foot=f"{foot}; dim: too few in flight")


def _list(points: Sequence[Point]) -> list[Column]:
    return [
        _numbers("  warps", [Text(str(point.warps)) for point in points]),
        _numbers("ILP", [Text(str(point.ilp)) for point in points]),
        _numbers("cycles", [Text(f"{point.round_cycles:.1f}") for point in points]),
        _numbers("FMA/clk/SM", [Text(f"{point.fma_per_clk_per_sm:,.1f}") for point in points]),
        _numbers("% peak", [Text(percent(point.share_of_peak)) for point in points]),
        Column("bound by", tuple(Text(_BOUND[point.bound]) for point in points), rank=1),
    ]


def _styled(point: Point, text: str) -> Text:
    return Text(text, "dim" if point.bound == "latency" else "")


def _numbers(header: str, cells: Sequence[Text], rank: int = 0) -> Column:
    return Column(header, tuple(cells), rank=rank, justify="right")
