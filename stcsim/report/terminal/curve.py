"""A curve as a table, and the words that its table and its figure share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.arch.overrides import Change
from stcsim.report.clock import state_text
from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.terminal.summary import speedup_style
from stcsim.report.trust import evidence_lines
from stcsim.report.units import NOTHING, bytes_text, interval_text, three_digits, time_decimals

if TYPE_CHECKING:
    from stcsim.study.axis import Axis, Value
    from stcsim.study.curve import Curve, CurvePoint, Side


def side_name(points: Sequence[CurvePoint], side: Side) -> str:
    """Return what a side is called: ``"2:4"``, or the patterns of the GPUs."""
    return "/".join(dict.fromkeys(point.pattern for point in points)) if side == "2:4" else side


def _word(points: Sequence[CurvePoint], side: Side) -> str:
    return {"dense": "dense", "2:4": f"all {side_name(points, side)}", "best": "best of both"}[side]


def curve_title(curve: Curve) -> str:
    """Return what was run, with what all series share: ``resnet34 · batch 8 · a40 · int8``."""
    shared = [names[0] for names in (list(dict.fromkeys(each)) for each in zip(*curve.series, strict=True)) if len(names) == 1]
    batch = [f"batch {curve.batch}"] if curve.batch else []
    return " · ".join([curve.name if curve.is_network else f"GEMM {curve.name}", *batch, *shared])


def series_label(curve: Curve, arch: str, dtype: str) -> str:
    """Return what tells one series from the others: its GPU, its type, or both."""
    archs, dtypes = (len(set(names)) > 1 for names in zip(*curve.series, strict=True))
    return " ".join([*([arch] if archs or not dtypes else []), *([dtype] if dtypes else [])])


def curve_table(curve: Curve) -> RenderableType:
    """Return one row for each point: times, speedups, TOPS, TOPS/W, weights, and all the memory that is needed."""
    points = curve.points
    several = {name: len({getattr(point, name) for point in points}) > 1 for name in ("arch", "dtype")}
    columns = [
        Column(word, tuple(Text(getattr(point, name)) for point in points))
        for name, word in (("arch", "GPU"), ("dtype", "type"))
        if several[name]
    ]
    axis = tuple(Text(_place_text(point)) for point in points)
    columns.append(Column(_axis_word(curve.axis), axis, justify="right"))
    columns += _figures(points, curve.is_network)
    lacks = dict.fromkeys(point.partial.sentence for point in points if point.partial)
    head = [Text(curve_title(curve), "bold"), *(Text(sentence, "bold yellow") for sentence in lacks)]
    return Group(*head, FittedTable(tuple(columns)), *_clock_lines(curve), *evidence_lines(curve.trust))


def _clock_lines(curve: Curve) -> list[RenderableType]:
    """Return for which state of the boards the points are whose clock a power limit holds down, if there are any."""
    held = sum(point.totals.clock_is_limited for point in curve.points)
    if not held:
        return []
    state = state_text(curve.inputs.get("duration", "sustained"))
    return [Phrases("clock: ", f"{state}; a power limit holds it down at {held} of {len(curve.points)} points", 2, "dim")]


def _figures(points: Sequence[CurvePoint], is_network: bool) -> list[Column]:
    """Return the columns of figures; best of both only where layers may differ in what is best."""
    sparse = any(point.totals.sparse_us is not None for point in points)
    gains: tuple[Side, ...] = (("2:4", "best") if is_network else ("2:4",)) if sparse else ()
    sides: tuple[Side, ...] = ("dense", *gains)
    decimals = time_decimals(max(point.time_us(side) or 0.0 for point in points for side in sides))
    weights: tuple[Side, ...] = ("dense", "2:4") if sparse else ("dense",)
    return [
        *(_column(points, side, "µs", 0, lambda p, s: p.time_us(s), lambda us: f"{us:,.{decimals}f}") for side in sides),
        *(column for side in gains for column in (_speedups(points, side), _likely(points, side))),
        *(_column(points, side, "TOPS", 2, lambda p, s: p.tops(s), three_digits) for side in sides),
        *(_column(points, side, "TOPS/W", 3, lambda p, s: p.tops_per_watt(s), three_digits) for side in sides),
        _bytes(points, weights, "weights", 4, lambda p, s: p.weight_bytes(s)),
        _bytes(points, weights, "memory", 4, lambda p, s: p.memory_bytes(s)),
    ]


def _column(
    points: Sequence[CurvePoint],
    side: Side,
    unit: str,
    rank: int,
    figure: Callable[[CurvePoint, Side], float | None],
    text: Callable[[float], str],
) -> Column:
    figures = (figure(point, side) for point in points)
    cells = tuple(Text(NOTHING, "dim") if each is None else Text(text(each)) for each in figures)
    return Column(f"{_word(points, side)}\n{unit}", cells, rank, justify="right")


def _speedups(points: Sequence[CurvePoint], side: Side) -> Column:
    cells = []
    for point in points:
        speedup = point.speedup(side)
        cells.append(Text(NOTHING, "dim") if speedup is None else Text(f"{speedup:.2f}×", speedup_style(speedup)))
    return Column(f"{_word(points, side)}\nspeedup", tuple(cells), 1, justify="right")


def _likely(points: Sequence[CurvePoint], side: Side) -> Column:
    likely = (point.speedup_interval(side) for point in points)
    return Column("80 % of\ncases", tuple(Text(interval_text(each) if each else "") for each in likely), 2, justify="right")


def _bytes(
    points: Sequence[CurvePoint], sides: Sequence[Side], what: str, rank: int, size: Callable[[CurvePoint, Side], int | None]
) -> Column:
    cells = tuple(Text(bytes_text(*(size(point, side) or 0 for side in sides))) for point in points)
    return Column(" → ".join(side_name(points, side) for side in sides) + f"\n{what}", cells, rank, justify="right")


def _axis_word(axis: Axis) -> str:
    return "image" if axis.names == ("resolution",) else "=".join(axis.names)


def axis_value_text(value: Value) -> str:
    """Return a value of an axis: ``"64"``, ``"224"`` for a square image, ``"800×1280"``, ``"×1.5"``."""
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}×{value[1]}"
    if isinstance(value, Change):
        return str(value).replace("x", "×")
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _place_text(point: CurvePoint) -> str:
    """Return where a point stands; what a leaf became where it was asked for in relation to the file: ``"×1.5 (60)"``."""
    became = f" ({point.leaf_value:,.12g})" if isinstance(point.value, Change) and point.leaf_value is not None else ""
    return axis_value_text(point.value) + became
