"""An inspected checkpoint for a terminal: weights, what is none, what 2:4 brings, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.inspection import WeightLine, reasons, verdict_text, weight_lines
from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING, bytes_text, interval_text, percent_text, time_text

if TYPE_CHECKING:
    from stcsim.inspection import Gain, Inspection, Weight

_STYLES = {"2:4": "green", "nearly": "yellow", "other way": "yellow"}
_NAMES_SHOWN = 3


def inspection_table(found: Inspection, gains: Sequence[Gain] = (), grouped: bool = True) -> RenderableType:
    """Return what is in a checkpoint, what 2:4 brings, and the verdict."""
    count = len(found.weights) + len(found.others)
    title = (
        f"{found.path} · {found.format} · {bytes_text(found.nbytes)} · {count:,} tensors, {len(found.weights):,} weights of GEMMs"
    )
    blocks: list[RenderableType] = [Text(title, "bold")]
    if found.weights:
        lines = weight_lines(found.weights, grouped)
        blocks += [FittedTable(tuple(_columns(lines)), foot=_foot(found, lines)), Text()]
    blocks += [Phrases("", text, 0, style="dim") for text in _others(found)]
    if gains:
        blocks += [Text(), FittedTable(tuple(_gain_columns(gains)), foot=_gain_foot(found))]
    return Group(*blocks, Text(), Phrases("", verdict_text(found, gains), 0, style="bold"))


def _columns(lines: Sequence[WeightLine]) -> list[Column]:
    """Return every column that has something to show."""
    first = [line.first for line in lines]
    columns = [
        Column("weight", tuple(map(_name, lines)), elastic="start"),
        Column("m×k", tuple(Text(_sizes(weight)) for weight in first)),
        Column("stored", tuple(Text(_stored(weight)) for weight in first), rank=2),
        Column("runs in", tuple(Text(weight.element) for weight in first), rank=3),
        Column("2:4?", tuple(_state(weight) for weight in first)),
        Column("along", tuple(Text(weight.along) for weight in first), rank=1),
        Column("groups\noff", tuple(map(_off, lines)), rank=1, justify="right"),
        _shares("zeros", 2, lines, lambda weight: weight.zeros_share),
        _shares("pruned now\nkeeps", 1, lines, lambda weight: weight.kept),
        _shares("of\nsquares", 3, lines, lambda weight: weight.kept_squares),
    ]
    if any(weight.kept_permuted is not None for weight in first):
        columns.append(_shares("permuted\nkeeps", 1, lines, lambda weight: weight.kept_permuted))
    columns.append(Column("bytes\ndense → 2:4", tuple(map(_bytes, lines)), rank=2, justify="right"))
    if any(weight.patterns for weight in first):
        columns.append(Column("also", tuple(Text(", ".join(weight.patterns)) for weight in first), rank=4))
    if any(weight.not_eligible_because for weight in first):
        columns.append(Column("no 2:4 kernel", tuple(Text(weight.not_eligible_because or "") for weight in first), 1, "end"))
    return columns


def _name(line: WeightLine) -> Text:
    return Text(line.name.removesuffix(".weight")) + Text(f" ×{len(line.weights)}" if len(line.weights) > 1 else "", "dim")


def _sizes(weight: Weight) -> str:
    return f"{weight.m}×{weight.k}" + (f" (×{weight.batch})" if weight.batch > 1 else "")


def _stored(weight: Weight) -> str:
    return weight.dtype if weight.layout == "plain" else f"{weight.dtype}, {weight.layout}"


def _state(weight: Weight) -> Text:
    if weight.state is None:
        return Text(NOTHING, "dim")
    return Text(weight.state, _STYLES.get(weight.state, "") if weight.is_eligible else "dim")


def _off(line: WeightLine) -> Text:
    off, groups = (sum(getattr(weight, name) for weight in line.weights) for name in ("groups_off", "groups"))
    if not groups:
        return Text(NOTHING, "dim")
    return Text(f"{off:,}" if line.first.state == "nearly" else percent_text(off / groups))


def _shares(header: str, rank: int, lines: Sequence[WeightLine], share: Callable[[Weight], float | None]) -> Column:
    means = [line.mean(map(share, line.weights)) for line in lines]
    cells = tuple(Text(NOTHING, "dim") if mean is None else Text(percent_text(mean)) for mean in means)
    return Column(header, cells, rank, justify="right")


def _bytes(line: WeightLine) -> Text:
    dense, sparse = (sum(getattr(weight, name) for weight in line.weights) for name in ("dense_bytes", "compressed_bytes"))
    return Text(bytes_text(dense, sparse) if sparse < dense else bytes_text(dense))


def _foot(found: Inspection, lines: Sequence[WeightLine]) -> str:
    """Return what the columns mean, and where the first group is that has too many."""
    notes = []
    if len(lines) < len(found.weights):
        notes.append(f"{len(found.weights)} weights; those of one name, size and state on one line (--ungroup)")
    notes += [_first_off(weight) for weight in found.weights if weight.state == "nearly"][:_NAMES_SHOWN]
    notes += [_nan(weight) for weight in found.weights if weight.nan][:_NAMES_SHOWN]
    filters = [weight for weight in found.weights if weight.kind == "convolution" and weight.state == "other way"]
    if any(weight.along == "c,r,s" for weight in filters):
        notes.append(
            "c,r,s: 2:4 in the order of the file; a kernel adds up r,s,c, channels within each tap, so it cannot use that"
        )
    if any(weight.kept_permuted is not None for weight in found.weights):
        notes.append("permuted: an order of channels searched on some rows, without escapes; a longer search may keep more")
    return "\n".join(notes)


def _first_off(weight: Weight) -> str:
    at = ", ".join(map(str, weight.first_off))
    return f"{weight.name}: {weight.groups_off:,} of {weight.groups:,} groups off, the first at [{at}]"


def _nan(weight: Weight) -> str:
    return f"{weight.name}: {weight.nan:,} NaN, the first at [{', '.join(map(str, weight.nan_at))}]"


def _others(found: Inspection) -> list[str]:
    """Return a line for each reason why tensors are no weights."""
    texts = []
    for reason, names in reasons(found.others).items():
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
        texts.append(f"not weights of GEMMs: {len(names):,} ({reason}): {shown}")
    return texts


def _gain_columns(gains: Sequence[Gain]) -> list[Column]:
    def column(header: str, texts: Sequence[str], rank: int = 0, right: bool = True) -> Column:
        return Column(header, tuple(map(Text, texts)), rank, justify="right" if right else "left")

    return [
        column("GPU", [gain.arch for gain in gains], right=False),
        column("tokens", [f"{gain.tokens:,}" for gain in gains]),
        column("what is 2:4", [gain.what for gain in gains], right=False),
        column("2:4\nlayers", [str(gain.layers) for gain in gains], 1),
        column("dense", [time_text(gain.dense_us) for gain in gains], 1),
        column("2:4", [time_text(gain.sparse_us) for gain in gains], 1),
        column("speedup", [f"{gain.speedup:.2f}×" if gain.layers else NOTHING for gain in gains]),
        column("80 % of\ncases", [interval_text(gain.interval) if gain.interval and gain.layers else NOTHING for gain in gains]),
        column("verdict", [gain.verdict or NOTHING for gain in gains], right=False),
        column("weights", [bytes_text(gain.dense_weight_bytes, gain.sparse_weight_bytes) for gain in gains], 2),
    ]


def _gain_foot(found: Inspection) -> str:
    notes = ["all GEMMs of the file once, weights from DRAM; attention's own products and element-wise steps are not in it"]
    if any(weight.kind == "convolution" for weight in found.weights):
        notes.append(
            "convolutions as GEMMs of so many output positions: a file does not say how many there are (stcsim run does)"
        )
    return "\n".join(notes)
