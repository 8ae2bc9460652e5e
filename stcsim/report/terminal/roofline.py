"""A roofline as a table, and the words that its table and its figure share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.trust import evidence_lines
from stcsim.report.units import NOTHING, percent, three_digits

if TYPE_CHECKING:
    from stcsim.study.roofline import Roofline, RooflineLayer, Roofs, Spot

_ROOF_NAMES = {"compute": "compute", "dram": "DRAM", "l2": "L2"}


def roofline_title(roofline: Roofline) -> str:
    """Return what was run: ``resnet34 · batch 32 · a100 · int8``."""
    return f"{roofline.name} · batch {roofline.batch} · {roofline.arch} · {roofline.dtype}"


def layer_shape(layer: RooflineLayer) -> str:
    """Return the sizes of a layer: ``256×6272×2304``, with ``(×12)`` for so many at once."""
    return f"{layer.m}×{layer.n}×{layer.k}" + (f" (×{layer.batch})" if layer.batch > 1 else "")


def roofline_table(roofline: Roofline) -> RenderableType:
    """Return the roofs, and one row for all layers of the same sizes, slowest first, numbered as in the figure."""
    layers = roofline.alike()
    columns = [
        Column("", tuple(Text(f"{at}") for at in range(1, len(layers) + 1)), justify="right"),
        Column("layer", tuple(_name(layer) for layer in layers), elastic="start"),
        Column("m×n×k", tuple(Text(layer_shape(layer)) for layer in layers), rank=5),
        *_side_columns("dense", [layer.dense for layer in layers]),
    ]
    if any(layer.sparse for layer in layers):
        columns += _side_columns(roofline.pattern, [layer.sparse for layer in layers])
    head = Text("\n".join(_head(roofline.roofs)), "dim")
    evidence = evidence_lines({roofline.arch: roofline.trust}) if roofline.trust else []
    lacks = [Text(roofline.partial.sentence, "bold yellow")] if roofline.partial else []
    return Group(Text(roofline_title(roofline), "bold"), *lacks, head, FittedTable(tuple(columns)), *evidence)


def _head(roofs: Roofs) -> list[str]:
    """Return the roofs, and what the columns mean."""
    compute = ", ".join(
        f"{side} {tops:,.0f} TOPS" for side, tops in (("dense", roofs.dense_tops), (roofs.pattern, roofs.sparse_tops)) if tops
    )
    if roofs.clock_mhz > roofs.data_sheet_mhz:
        compute += f" (at {roofs.clock_mhz:,.0f} MHz, above the {roofs.data_sheet_mhz:,.0f} of the data sheet)"
    return [
        f"roofs: {compute}, DRAM {roofs.dram_gb_per_s:,.0f} GB/s, L2 {roofs.l2_gb_per_s:,.0f} GB/s (fitted)",
        "op/B: operations for each byte that the kernel moved from and to DRAM or L2; roof: the lowest of all there",
    ]


def _name(layer: RooflineLayer) -> Text:
    return Text(layer.name) + Text(f" ×{layer.count}" if layer.count > 1 else "", "dim")


def _side_columns(side: str, spots: Sequence[Spot | None]) -> list[Column]:
    def column(word: str, rank: int, text: Callable[[Spot], str]) -> Column:
        cells = tuple(Text(text(spot)) if spot else Text(NOTHING, "dim") for spot in spots)
        return Column(f"{side}\n{word}", cells, rank, justify="right")

    return [
        column("op/B DRAM", 3, lambda spot: three_digits(spot.dram_intensity) if spot.dram_intensity else NOTHING),
        column("op/B L2", 3, lambda spot: three_digits(spot.l2_intensity)),
        column("TOPS", 0, lambda spot: three_digits(spot.tops)),
        column("roof", 4, lambda spot: three_digits(spot.roof_tops)),
        column("roof is", 1, lambda spot: _ROOF_NAMES[spot.bound]),
        column("% roof", 0, lambda spot: percent(spot.share_of_roof)),
        column("% time", 2, lambda spot: percent(spot.share_of_time)),
    ]
