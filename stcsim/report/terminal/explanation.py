"""An explained GEMM as text: the plan, where the time goes, what would help, the bounds, the kernels that lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from stcsim.isa.patterns import skipped_ratio
from stcsim.report.clock import allowed_w, clock_text
from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.trust import evidence_lines
from stcsim.report.units import (
    NOTHING,
    bar,
    bytes_text,
    interval_text,
    likely_time_text,
    over_limit_text,
    percent,
    percent_text,
    three_digits,
    time_text,
)
from stcsim.report.words import RESOURCES

if TYPE_CHECKING:
    from stcsim.study.explain import Explanation, Side

_MOST_BAR = 32
_FEW_CHOICES = 60

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
}


def explanation_text(explanation: Explanation, top: int = 8) -> RenderableType:
    """Return ``explanation`` for a terminal, with at most ``top`` kernels of each sparsity."""
    problem = explanation.problem
    batch = f" × {problem.batch}" if problem.batch > 1 else ""
    title = f"{problem.m} × {problem.n} × {problem.k}{batch}  {problem.dtype.name} on {explanation.arch}"
    parts: list[RenderableType] = [Text(title, "bold")]
    for side in explanation.sides:
        parts += [Text(), *_side(side, explanation.peak_mhz, top)]
    if len(explanation.sides) == 2:
        dense, sparse = (side.result for side in explanation.sides)
        likely = f" ({interval_text(explanation.speedup)} in 8 of 10 such cases)" if explanation.speedup else ""
        gain = f"{explanation.sides[1].mode} is {dense.time_us / sparse.time_us:.2f}× as fast as dense{likely}"
        parts += [Text(), Phrases("", f"{gain}: {_lost(explanation.sides)}", 0, "bold")]
        parts.append(Phrases("", _why(explanation), 0, "bold"))
    clocks = {side.mode: (side.result.clock_mhz, side.burst_clock_mhz) for side in explanation.sides}
    duration = explanation.inputs["duration"]
    if state := clock_text(duration, explanation.board_limit_w, explanation.highest_mhz, clocks):
        parts += [Text(), Phrases("clock: ", state, 2)]
    limits = explanation.board_limit_w, explanation.burst_ratio
    hottest = max((side.result for side in explanation.sides), key=lambda result: result.watts)
    if over := over_limit_text(hottest.watts, hottest.clock_mhz, allowed_w(duration, *limits)):
        parts += [Text(), Phrases("", over, 0, "yellow")]
    if explanation.note:
        parts += [Text(), Phrases("", explanation.note, 0)]
    parts += [Text(), *evidence_lines({explanation.arch: explanation.trust})]
    return Group(*parts)


def _side(side: Side, peak_mhz: float, top: int) -> list[RenderableType]:
    result = side.result
    likely = f"{likely_time_text(result.time_us_interval, result.time_us)} in 8 of 10 cases, " if result.time_us_interval else ""
    where = f" (which is at {peak_mhz:,.0f} MHz)" if result.share_of_peak > 1 else ""
    rate = f"{three_digits(result.tops)} TOPS, {percent(result.share_of_peak)} of the vendor's peak{where}"
    board = f"{result.clock_mhz:.0f} MHz, {result.watts:.0f} W"
    whose = f" of {result.library}" if result.library else ""
    moved = ", ".join(f"{name.replace('_', ' ')} {bytes_text(count)}" for name, count in result.bytes.items())
    rows = [*side.plan, ("bytes", moved)]
    indent = 2 + max(len(name) for name, _ in rows) + 2
    roofline = f"{time_text(result.roofline_us, result.time_us)}, {percent(result.roofline_us / result.time_us)}"
    return [
        Phrases(f"{side.mode}: {time_text(result.time_us)}  ", f"{likely}{rate}, {board}, {result.kernel}{whose}", 16, "bold"),
        *(Phrases(f"  {name}", value, indent) for name, value in rows),
        Text("\nwhere the time goes (waits count for what is waited for)", "dim"),
        _Bars(result.breakdown, result.time_us, MEANING, "cyan", side.busy),
        Text(),
        Phrases("", "what would help: time saved by more of one resource, kernel chosen again", 0, "dim"),
        _Helps(result.gains, result.gains.half_more),
        Text("\nno schedule of this kernel can be faster than", "dim"),
        _Bars({name: time for name, time in result.bounds_us.items() if name in MEANING}, result.time_us, MEANING, "green"),
        Phrases("  ", f"the plain roofline, at the data sheet's {peak_mhz:,.0f} MHz, says {roofline}", 2, "dim"),
        Text("\nkernels considered", "dim"),
        _contenders(side, top),
    ]


@dataclass(frozen=True, slots=True)
class _Bars:
    """Times by what they are of, the longest first; bars and meanings give way where the terminal is narrow.

    Attributes:
        times_us: the times.
        total_us: what they are shares of.
        meaning: of each, in words.
        style: of the bars.
        busy: share of the time that what is waited for is busy, where it can be, in a column of its own.
    """

    times_us: Mapping[str, float]
    total_us: float
    meaning: Mapping[str, str]
    style: str
    busy: Mapping[str, float] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        times = ((name, time) for name, time in self.times_us.items() if time > 0 or self.busy.get(name, 0) > 0)
        shown = sorted(times, key=lambda item: -item[1])
        figures = 2 + 9 + 1 + 11 + 1 + 5 + (6 if self.busy else 0) + 2
        if self.busy:
            yield Text(f"  {'':<9} {'time':>11} {'share':>5} {'busy':>5}", "dim")
        longest = max((len(self.meaning[name]) for name, _ in shown), default=0)
        columns = max(0, min(_MOST_BAR, options.max_width - figures - 1 - longest))
        for name, time_us in shown:
            line = Text(f"  {name:<9} {time_text(time_us, self.total_us):>11} {percent(time_us / self.total_us):>5}")
            if self.busy:
                line += Text(f" {percent(self.busy[name]) if name in self.busy else '':>5}", "dim")
            line += Text("  ")
            if columns >= 4:
                line += Text(bar(min(time_us / self.total_us, 1), columns), self.style) + Text(" ")
            meaning = self.meaning[name]
            if len(line.plain) + len(meaning) <= options.max_width:
                yield line + Text(meaning, "dim")
            else:
                yield from (line, Text(f"    {meaning}", "dim"))


@dataclass(frozen=True, slots=True)
class _Helps:
    """Share of the time saved by 10 % and by 50 % more of each resource, the most helpful first."""

    tenth: Mapping[str, float]
    half: Mapping[str, float]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = max(0, min(_MOST_BAR, options.max_width - 2 - 14 - 2 * 9 - 1 - 2))
        yield Text(f"  {'':<14}{'10 % more':>9} {'50 % more':>9}", "dim")
        most = max(self.half.values(), default=0.0) or 1.0
        for name in sorted(self.half, key=lambda name: (-self.half[name], -self.tenth[name])):
            tenth, half = percent_text(self.tenth[name]), percent_text(self.half[name])
            line = Text(f"  {RESOURCES[name]:<14}{tenth:>9} {half:>9}  ")
            yield line + Text(bar(self.half[name] / most if most > 0 else 0.0, columns).rstrip(), "magenta")


def _contenders(side: Side, top: int) -> FittedTable:
    rows = side.contenders[:top]
    times = [Text(time_text(row.time_us) if row.time_us is not None else NOTHING) for row in rows]
    few = f"; the library is known to have {side.offered} kernels for this" if side.offered <= _FEW_CHOICES else ""
    tile = f", the smallest tile {side.smallest_tile[0]} × {side.smallest_tile[1]}" if few else ""
    more = f"  and {len(side.contenders) - top} slower ones" if len(side.contenders) > top else "  no others"
    return FittedTable(
        (
            Column("  kernel", tuple(Text(f"  {row.kernel}") for row in rows)),
            Column("estimate", tuple(Text(time_text(row.estimate_us)) for row in rows), 1, justify="right"),
            Column("simulated", tuple(times), justify="right"),
            Column("verdict", tuple(Text(row.verdict) for row in rows), rank=2),
        ),
        foot=f"{more}{few}{tile}",
    )


def _lost(sides: Sequence[Side]) -> str:
    """Return which parts 2:4 does not halve; another pattern may leave less than half."""
    dense, sparse = (side.result.breakdown for side in sides)
    ratio = skipped_ratio(sides[1].mode)
    less = "halved" if ratio == 2 else f"divided by {ratio:g}"
    excess = {name: sparse[name] - dense[name] / ratio for name in sparse}
    worst = sorted((name for name in excess if excess[name] > 0), key=lambda name: -excess[name])[:3]
    if not worst:
        return f"every part was {less}"
    words = ", ".join(f"{name} {time_text(dense[name])} → {time_text(sparse[name])}" for name in worst)
    return f"not {less} are {words}"


def _why(explanation: Explanation) -> str:
    """Return what binds each side, by what would help it most."""
    words = []
    for side in explanation.sides:
        bound = side.result.bound
        saved = f" (half as much again saves {percent_text(side.result.gains.half_more[bound])})" if bound else ""
        words.append(f"{side.mode} is bound by {RESOURCES[bound] if bound else 'no single resource'}{saved}")
    return ", ".join(words)
