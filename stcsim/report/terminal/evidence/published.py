"""Evidence from publications: single figures of GEMMs, and rates and latencies of single instructions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import FittedTable
from stcsim.report.terminal.evidence.columns import figures, signed, texts

if TYPE_CHECKING:
    from stcsim.study.evidence.anchors import Anchor, Compared
    from stcsim.study.evidence.microbench import PublishedRate, PublishedRates

_WORST = 12


def anchors_table(rows: Sequence[Compared]) -> RenderableType:
    """Return published figures beside predictions."""
    columns = (
        texts("GPU", (row.anchor.gpu for row in rows)),
        texts("GEMM (M x N x K)", (_shape(row.anchor) for row in rows)),
        texts("type", (row.anchor.dtype for row in rows)),
        texts("what", (_what(row.anchor) for row in rows)),
        figures("published", (_published(row.anchor) for row in rows)),
        figures("predicted", (_figure(row.anchor, row.predicted) for row in rows)),
        figures("difference", ("" if row.difference is None else signed(row.difference) for row in rows)),
        texts("source", (row.anchor.source for row in rows), 1, elastic=True),
    )
    heading = "TFLOPS (TOPS for int8), or 2:4 speedup; zeros and small integers are taken as data that switches little"
    return Group(Text(heading, "bold"), FittedTable(columns))


def _shape(anchor: Anchor) -> str:
    return "x".join(map(str, anchor.shapes[0])) if len(anchor.shapes) == 1 else "linears 768, 3072"


def _what(anchor: Anchor) -> str:
    return f"{anchor.what}, {anchor.note}" if anchor.note else anchor.what


def _published(anchor: Anchor) -> str:
    ends = [_figure(anchor, end) for end in dict.fromkeys((anchor.low, anchor.high))]
    return "-".join(ends) if anchor.high else "rises"


def _figure(anchor: Anchor, figure: float) -> str:
    return f"{figure:.2f}×" if anchor.what == "speedup" else f"{figure:.0f}"


def rates_table(found: PublishedRates) -> RenderableType:
    """Return errors by table, the worst figures, what is known of them, and what was left out."""
    tables = list(dict.fromkeys(each.table for each in found.compared))
    errors = [[abs(each.error) for each in found.compared if each.table == table] for table in tables]
    columns = (
        texts("table", tables),
        figures("figures", (str(len(each)) for each in errors)),
        figures("mean |error|", (f"{100 * sum(each) / len(each):.1f} %" for each in errors)),
        figures("worst", (f"{100 * max(each):.1f} %" for each in errors)),
    )
    worst = sorted(found.compared, key=lambda each: -abs(each.error))[:_WORST]
    heading = f"{len(found.compared)} published figures of single instructions, mean error {100 * found.mean_abs:.1f} %"
    parts: list[RenderableType] = [Text(heading, "bold"), FittedTable(columns), Text("\nfurthest off", "bold"), _rates(worst)]
    parts += [Text(f"{each.label}: {each.reason}", "dim") for each in worst if each.reason]
    return Group(*parts, *_left_out(found.left_out))


def _rates(rates: Sequence[PublishedRate]) -> FittedTable:
    columns = (
        texts("GPU", (each.gpu for each in rates)),
        texts("instruction", (each.instruction for each in rates)),
        texts("", (each.loop for each in rates)),
        texts("figure", (each.figure for each in rates)),
        figures("predicted", (f"{each.predicted:,.1f}" for each in rates)),
        figures("published", (f"{each.measured:,.1f}" for each in rates)),
        figures("error", (signed(each.error) for each in rates)),
    )
    return FittedTable(columns)


def _left_out(reasons: Iterable[tuple[str, int]]) -> list[Text]:
    return [Text(f"{count} rows not compared, {reason}", "dim") for reason, count in reasons]
