"""An explained GEMM as text: the plan, the bounds beside the simulation, where the time goes, the kernels that lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.columns import Column, FittedTable
from stcsim.report.units import NOTHING, bar, bytes_text, percent, three_digits, time_text

if TYPE_CHECKING:
    from stcsim.explain import Contender, Explanation, Side

_BAR_COLUMNS = 32

MEANING = {
    "launch": "launching the kernel",
    "tensor": "tensor pipe busy, or waiting for its turn",
    "smem": "shared-memory port: operand reads and fills",
    "issue": "barrier and issue at every iteration",
    "ingress": "port from L2 into the SM",
    "l2": "L2 bandwidth",
    "dram": "DRAM bandwidth",
    "latency": "latency of a load that nothing delayed",
    "prologue": "starting a CTA",
    "epilogue": "writing D",
    "reduction": "adding up the k-slices (a second kernel)",
    "tail": "SMs without a CTA (too few tiles, last wave)",
    "chain": "the longest CTA alone",
    "roofline": "MACs at vendor peak, or each operand once at peak DRAM bandwidth",
}


def explanation_text(explanation: Explanation, top: int = 8) -> RenderableType:
    """Return ``explanation`` for a terminal, with at most ``top`` kernels of each sparsity."""
    problem = explanation.problem
    batch = f" × {problem.batch}" if problem.batch > 1 else ""
    title = f"{problem.m} × {problem.n} × {problem.k}{batch}  {problem.dtype.name} on {explanation.arch}"
    parts: list[RenderableType] = [Text(title, "bold")]
    for side in explanation.sides:
        parts += [Text(), *_side(side, top)]
    if len(explanation.sides) == 2:
        dense, sparse = (side.result for side in explanation.sides)
        gain = f"2:4 is {dense.time_us / sparse.time_us:.2f}× as fast as dense"
        parts += [Text(), Text(f"{gain}: {_lost(explanation.sides)}", "bold")]
    if explanation.note:
        parts += [Text(), Text(explanation.note)]
    return Group(*parts)


def _side(side: Side, top: int) -> list[RenderableType]:
    result = side.result
    share = f"{three_digits(result.tops)} TOPS, {percent(result.share_of_peak)} of peak"
    rate = f"{share}, {result.clock_mhz:.0f} MHz, {result.watts:.0f} W"
    moved = ", ".join(f"{name.replace('_', ' ')} {bytes_text(count)}" for name, count in result.bytes.items())
    return [
        Text(f"{side.mode}: {time_text(result.time_us)}  ({rate})  {result.kernel}", "bold"),
        _pairs([*side.plan, ("bytes", moved)]),
        Text("\nwhere the time goes", "dim"),
        _breakdown(result.breakdown, result.time_us),
        Text("\nno schedule of this kernel can be faster than", "dim"),
        _bounds(side.bounds_us, result.time_us),
        Text("\nkernels considered", "dim"),
        _contenders(side.contenders, top),
    ]


def _pairs(rows: Sequence[tuple[str, str]]) -> RenderableType:
    width = max(len(name) for name, _ in rows)
    return Group(*(Text(f"  {name:<{width}}  {value}") for name, value in rows))


def _breakdown(parts: dict[str, float], total_us: float) -> RenderableType:
    shown = sorted(((name, time) for name, time in parts.items() if time > 0), key=lambda item: -item[1])
    return Group(
        *(
            Text(f"  {name:<9} {time_text(time, total_us):>11} {percent(time / total_us):>5}  ")
            + Text(bar(time / total_us, _BAR_COLUMNS), "cyan")
            + Text(f" {MEANING[name]}", "dim")
            for name, time in shown
        )
    )


def _bounds(bounds_us: dict[str, float], time_us: float) -> RenderableType:
    shown = sorted(bounds_us.items(), key=lambda item: -item[1])
    return Group(
        *(
            Text(f"  {name:<9} {time_text(bound, time_us):>11} {percent(bound / time_us):>5}  ")
            + Text(bar(min(bound / time_us, 1), _BAR_COLUMNS), "green")
            + Text(f" {MEANING[name]}", "dim")
            for name, bound in shown
        )
    )


def _contenders(contenders: Sequence[Contender], top: int) -> FittedTable:
    rows = contenders[:top]
    times = [Text(time_text(row.time_us) if row.time_us is not None else NOTHING) for row in rows]
    return FittedTable(
        (
            Column("  kernel", tuple(Text(f"  {row.kernel}") for row in rows)),
            Column("estimate", tuple(Text(time_text(row.estimate_us)) for row in rows), justify="right"),
            Column("simulated", tuple(times), justify="right"),
            Column("", tuple(Text(row.verdict) for row in rows), rank=1),
        ),
        foot=f"  and {len(contenders) - top} slower ones" if len(contenders) > top else "",
    )


def _lost(sides: Sequence[Side]) -> str:
    """Return which parts 2:4 does not halve."""
    dense, sparse = (side.result.breakdown for side in sides)
    excess = {name: sparse[name] - dense[name] / 2 for name in sparse}
    worst = sorted((name for name in excess if excess[name] > 0), key=lambda name: -excess[name])[:3]
    if not worst:
        return "every part was halved"
    words = ", ".join(f"{name} {time_text(dense[name])} → {time_text(sparse[name])}" for name in worst)
    return f"not halved are {words}"
