"""Evidence from measured GEMMs: what mechanisms are worth, and what one board says of its sibling."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import FittedTable
from stcsim.report.terminal.evidence.columns import figures, from_to, spread, texts

if TYPE_CHECKING:
    from stcsim.study.evidence.ablation import Ablation, Effect
    from stcsim.study.evidence.leave_one_out import CellErrors, FittedValue, LeftOut

SHOWN = 2
"""Cells that the table has of one mechanism: those that it moves most."""


def ablation_table(found: Ablation) -> RenderableType:
    """Return what the errors are with each mechanism and without it, in the cells that it moves most."""
    lines = list(_most_moved(found.effects))
    moved = [bool(each.moved) for each in lines]
    columns = (
        texts("mechanism", (each.mechanism for each in lines), elastic=True),
        texts("instead", (each.without for each in lines), 2),
        texts("cell", (each.cell if any_ else "none" for each, any_ in zip(lines, moved, strict=True))),
        figures("rows\nmoved", (f"{len(each.moved)} of {len(each.kept)}" for each in lines)),
        figures("mean\n|error|", (_mean(each.kept, each.off) if each.moved else "" for each in lines)),
        figures("of the\nmoved", (_mean(*_of_moved(each)) if each.moved else "" for each in lines), 1),
        figures("median", (_median(each) if each.moved else "" for each in lines), 1),
    )
    heading = (
        f"error with each mechanism → without it; up to {found.rows_per_cell} rows of grade A of a cell, seed {found.seed}, "
        "nothing fitted again"
    )
    notes = [Text(f"\nneeds --rates, since no GEMM shows it: {name}", "dim") for name in found.unseen]
    return Group(Text(heading, "bold"), FittedTable(columns, least_elastic=28), *notes)


def _most_moved(effects: Sequence[Effect]) -> Iterator[Effect]:
    for name in dict.fromkeys(each.mechanism for each in effects):
        most = sorted((each for each in effects if each.mechanism == name), key=lambda effect: -effect.shift)[:SHOWN]
        yield from [each for each in most if each.moved] or most[:1]


def _of_moved(effect: Effect) -> tuple[list[float], list[float]]:
    return [effect.kept[at] for at in effect.moved], [effect.off[at] for at in effect.moved]


def _mean(kept: Sequence[float], off: Sequence[float]) -> str:
    return from_to(statistics.fmean(map(abs, kept)), statistics.fmean(map(abs, off)))


def _median(effect: Effect) -> str:
    return from_to(statistics.median(effect.kept), statistics.median(effect.off), "+")


def leave_one_out_tables(cells: Sequence[CellErrors], found: Sequence[LeftOut], rows: int, steps: int) -> RenderableType:
    """Return errors by cell, with the parameters that ship and with those of one board, and these parameters."""
    heading = (
        f"error of the parameters that ship, and of those fitted to one board alone ({rows} rows, {steps} steps of least squares)"
    )
    parts: list[RenderableType] = [Text(heading, "bold"), _cells(cells)]
    for each in found:
        parts += [Text(f"\nparameters of {each.board}", "bold"), _parameters(each.parameters)]
    return Group(*parts)


def _cells(cells: Sequence[CellErrors]) -> FittedTable:
    shipped, alone = (
        [spread(side) for side in sides] for sides in zip(*((each.shipped, each.alone) for each in cells), strict=True)
    )
    columns = (
        texts("GPU", (each.gpu for each in cells)),
        texts("", (each.sparsity for each in cells)),
        texts("type", (each.dtype for each in cells)),
        figures("rows", (str(each.rows) for each in cells), 1),
        texts("", (each.role for each in cells)),
        texts("by", (each.by for each in cells), 2),
        figures("shipped:\nmean |error|", (each[0] for each in shipped)),
        figures("median", (each[1] for each in shipped), 1),
        figures("90th\npercentile", (each[2] for each in shipped), 2),
        figures("alone:\nmean |error|", (each[0] for each in alone)),
        figures("median", (each[1] for each in alone), 1),
        figures("90th\npercentile", (each[2] for each in alone), 2),
    )
    return FittedTable(columns)


def _parameters(values: Sequence[FittedValue]) -> FittedTable:
    columns = (
        texts("leaf", (each.path for each in values)),
        figures("neutral", (f"{each.neutral:.4g}" for each in values)),
        figures("alone", (f"{each.alone:.4g}" for each in values)),
        figures("shipped", (f"{each.shipped:.4g}" for each in values)),
        texts("", (each.note for each in values)),
    )
    return FittedTable(columns)
