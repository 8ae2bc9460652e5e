"""The command ``stcsim sensitivity``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_variant, load_work, prepare
from stcsim.words import Format, Library

ByOption = Annotated[float, typer.Option("--by", metavar="PERCENT", help="By how much each number of the GPU is changed.")]


def sensitivity(
    work: opt.WorkArgument,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = None,
    batch: opt.BatchOption = None,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    duration: opt.DurationOption = opt.SUSTAINED,
    by: ByOption = 10.0,
    jobs: opt.JobsOption = 1,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Show which numbers of a GPU matter: each is made 10 % smaller and larger, and the network, or a GEMM, is run again.

    For example: stcsim sensitivity bert-large --arch a100 --figure tornado.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.export.sensitivity import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.sensitivity import sensitivity_table
    from stcsim.study.whatif.sensitivity import sensitivity_of

    gpu, run = load_variant(arch, overrides, variants), load_work(work, dtype, batch, strict, library, duration)
    prepare()
    with progress(run.trace.name) as advance:
        found = sensitivity_of(run, gpu, by / 100, jobs, advance)
    if figure:
        from stcsim.report.figures.sensitivity import write_tornado  # waits for matplotlib

        write_tornado(found, figure)
    deliver(out, found, sensitivity_table, document, row_lines)
