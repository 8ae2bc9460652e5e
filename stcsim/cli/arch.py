"""The command ``stcsim arch``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpu
from stcsim.errors import StcsimError
from stcsim.words import Format

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NAME|FILE]", help="Show this one, value by value.", autocompletion=completion.archs),
]


def arch(
    name: NameArgument = None,
    overrides: opt.SetOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """List the GPUs with their peak TOPS, or show every value of one with its unit and source.

    For example: stcsim arch h100 --format csv
    """
    out = output(format, json, csv)
    from stcsim.arch import arch_names, load_arch
    from stcsim.report.export import inventory as export
    from stcsim.report.terminal.inventory import arch_list_table, arch_table

    if name is not None:
        deliver(out, load_gpu(name, overrides), arch_table, export.arch_document, export.arch_lines)
        return
    if overrides:
        raise StcsimError("overrides", "a GPU to change, e.g. `stcsim arch a100`", "none")
    gpus = [load_arch(each) for each in arch_names()]
    deliver(out, gpus, arch_list_table, export.archs_document, export.archs_lines)
