"""Evidence about bits: two engines held against each other, and what depends on assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import FittedTable
from stcsim.report.terminal.evidence.columns import figures, texts

if TYPE_CHECKING:
    from stcsim.numerics.evidence.accumulation import Accumulation
    from stcsim.numerics.evidence.assumptions import Assumptions, Difference, Infinity
    from stcsim.numerics.evidence.million import Million


def million_table(found: Million) -> RenderableType:
    """Return how many dot products of each row of the rule table were computed, and how many differ."""
    columns = (
        texts("row of the rule table", (row.label for row in found.rows)),
        figures("dot products", (f"{row.dot_products:,}" for row in found.rows)),
        figures("differ", (f"{row.differing:,}" for row in found.rows)),
    )
    total = f"{found.dot_products:,} dot products, fast against reference: {found.differing:,} differ"
    return Group(FittedTable(columns), Text(total, "bold red" if found.differing else "bold"))


def assumptions_tables(found: Assumptions) -> RenderableType:
    """Return how many results depend on each assumption about sparse instructions, and by how much."""
    rows = found.blocking
    columns = (
        texts("instruction", (each.instruction for each in rows)),
        texts("", (each.arch for each in rows)),
        figures("differ", (f"{100 * each.difference.share:.1f} %" for each in rows)),
        figures("by (median)", (f"{each.difference.median_ulp:.0f} ulp" for each in rows)),
        figures("95 %", (f"{each.difference.p95_ulp:.0f} ulp" for each in rows)),
        figures("median error\nkept", (f"{each.kept_ulp:.3g} ulp" for each in rows)),
        figures("expanded", (f"{each.expanded_ulp:.3g} ulp" for each in rows)),
    )
    return Group(
        Text("blocks filled by kept products (assumed), against blocks that hold the zeros between them (expanded)", "bold"),
        FittedTable(columns),
        Text("\nfp8 mma.sp of Hopper as emulated (assumed), against the same products as wgmma.sp", "bold"),
        Text(_said(found.emulated)),
        Text("\nan infinity in a row of B that is not selected", "bold"),
        *map(Text, (_infinity(each) for each in found.infinity)),
    )


def accumulation_table(found: Accumulation) -> RenderableType:
    """Return the error of each way to add, over the length of the sum, and how many results promotion changes."""
    columns = (
        figures("k", (f"{k:,}" for k in found.lengths)),
        *(
            figures("\n".join([*line.what.split(", "), line.arch]), (f"{each:.2e}" for each in line.errors))
            for line in found.lines
        ),
        figures("promotion\nchanges", (f"{each:,}" for each in found.differing)),
    )
    words = f"mean error over mean magnitude of {found.outputs:,} results of each length; factors from N(0, 1)"
    return Group(Text(words, "bold"), FittedTable(columns))


def _infinity(found: Infinity) -> str:
    return f"{found.blocking}: NaN in {100 * found.nan:.1f} % of D, infinite {100 * found.infinite:.1f} %"


def _said(found: Difference) -> str:
    words = f"{found.differing:,} of {found.results:,} differ ({100 * found.share:.1f} %)"
    return words + (f", by {found.median_ulp:.0f} ulp (median), {found.p95_ulp:.0f} (95 %)" if found.differing else "")
