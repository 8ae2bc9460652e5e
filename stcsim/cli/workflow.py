"""The command ``stcsim workflow``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import prepare
from stcsim.words import Format

_RECIPE: Any = typer.Argument(
    metavar="RECIPE",
    help="A recipe (YAML), or the name of one that ships: digits, mnist1d, text.",
    autocompletion=completion.recipes,
)
RecipeArgument = Annotated[str, _RECIPE]
QuickOption = Annotated[bool, typer.Option("--quick", help="The small version: fewer steps and samples.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Keep what stages leave there; what is there is used again.",
        show_default="stcsim-workflow/NAME",
    ),
]  # fmt: skip
BatchOption = Annotated[int, typer.Option("--batch", "-b", metavar="N", min=1, help="Samples in the pass that is timed.")]
OrderOption = Annotated[
    str | None,
    typer.Option("--order", metavar="ORDER", help="In which fp8 kernels add, e.g. promote=4.", show_default="one chain"),
]


def workflow(
    recipe: RecipeArgument,
    arch: opt.ArchsOption = "a100,h100",
    quick: QuickOption = False,
    out: OutOption = None,
    batch: BatchOption = 64,
    order: OrderOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Train, prune and quantise a network, and see its accuracy on simulated datapaths beside its predicted times.

    For example: stcsim workflow mnist1d --arch a100,h100 --figure mnist1d.pdf
    """
    printed = output(format, json, csv, figure=figure)
    from importlib.util import find_spec

    from stcsim.errors import StcsimError

    if find_spec("torch") is None:
        raise StcsimError("stcsim workflow", "PyTorch and ModelOpt (pip install 'stcsim[workflow]')", "none")
    from stcsim.report.export.workflow import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.workflow import workflow_table
    from stcsim.workflow.run import workflow as run

    prepare()
    with progress(recipe) as advance:
        result = run(recipe, arch, quick=quick, out=out, batch=batch, order=order, progress=advance)
    if figure:
        from stcsim.report.figures.workflow import write_workflow_figure  # waits for matplotlib

        write_workflow_figure(result, figure)
    deliver(printed, result, workflow_table, document, row_lines)
