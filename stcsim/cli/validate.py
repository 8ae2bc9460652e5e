"""The command ``stcsim validate``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpu, measured_tables, prepare
from stcsim.errors import StcsimError
from stcsim.words import Format

ArchOfRowsOption = Annotated[
    str | None,
    typer.Option("--arch", "-a", metavar="NAME|FILE", help="Only the rows of this GPU.", autocompletion=completion.archs),
]


def validate(
    paths: opt.MeasuredArgument = None,
    arch: ArchOfRowsOption = None,
    overrides: opt.SetOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Predict measured GEMMs and print how far off the predictions are, with a plain roofline beside them.

    For example: stcsim validate measured.csv --arch a100 --csv predicted.csv --figure errors.pdf
    """
    out = output(format, json, csv, figure=figure)
    if overrides and arch is None:
        raise StcsimError("overrides", "a GPU to change, named with --arch", "none")
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.validation import document, row_lines, validation_table
    from stcsim.study.validate import validate as compare

    gpu, tables = load_gpu(arch, overrides) if arch else None, measured_tables(paths)
    prepare()
    with progress("predicting") as advance:
        found = compare(tables, gpu, advance)
    if figure:
        from stcsim.report.figures.validation import write_validation_figure  # waits for matplotlib

        write_validation_figure(found, figure)
    deliver(out, found, validation_table, document, row_lines)
