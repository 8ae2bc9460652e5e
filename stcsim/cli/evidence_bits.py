"""``stcsim evidence``, the part about bits, and what its commands share with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stcsim.cli import options as opt
from stcsim.cli.steps import check_outputs

JobsOption = Annotated[
    int | None, typer.Option("--jobs", metavar="N", min=1, help="Processes.", show_default="one for each core")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="A small sample, in under a minute.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every figure as JSON.")]


def count_option(option: str, what: str, default: str) -> Any:
    """Return an option that takes a count."""
    return typer.Option(option, metavar="N", min=1, help=what, show_default=default)


def million(
    count: Annotated[int | None, count_option("--count", "Dot products of each row.", "1000000; 20000 with --quick")] = None,
    rows: Annotated[str, typer.Option("--rows", metavar="TEXT", help="Only rules whose name contains this.")] = "",
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
) -> None:
    """Compute a million random dot products of every rule with both datapaths; exit code 1 where a bit differs.

    For example: stcsim evidence million --rows sm_90
    """
    check_outputs(json=json)
    from stcsim.numerics.evidence import million as counting
    from stcsim.report.export.evidence import million_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.bits import million_table

    each = count or (counting.QUICK_COUNT if quick else counting.COUNT)
    with progress("multiplying") as advance:
        found = counting.million(each, rows, jobs, advance)
    deliver(million_document(found), million_table(found), json, not found.differing)


def assumptions(json: JsonOption = None) -> None:
    """Count how many results of sparse instructions differ where an assumption is wrong, and by how much."""
    check_outputs(json=json)
    from stcsim.numerics.evidence.assumptions import assumptions as assume
    from stcsim.report.export.evidence import plain_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.bits import assumptions_tables

    with progress("multiplying") as advance:
        found = assume(notify=advance)
    deliver(plain_document(found), assumptions_tables(found), json)


def accumulation(
    figure: opt.FigureOption = None,
    json: JsonOption = None,
) -> None:
    """Draw how rounding errors grow with the length of a sum, in one chain and with promotion (CUTLASS's fp8 on Hopper).

    For example: stcsim evidence accumulation --figure accumulation.png
    """
    check_outputs(json=json, figure=figure)
    from stcsim.numerics.evidence.accumulation import accumulation as accumulate
    from stcsim.report.export.evidence import plain_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.bits import accumulation_table

    with progress("multiplying") as advance:
        found = accumulate(notify=advance)
    if figure:
        from stcsim.report.figures.accumulation import write_accumulation_figure

        write_accumulation_figure(found, figure)
    deliver(plain_document(found), accumulation_table(found), json)


def deliver(document: dict[str, Any], view: Any, json: Path | None, holds: bool = True) -> None:
    """Write the file asked for, print, and end with exit code 1 unless what was claimed holds."""
    from stcsim.report.export.result import write_json
    from stcsim.report.terminal.console import show

    if json:
        write_json(document, json)
    show(view)
    if not holds:
        raise typer.Exit(1)
