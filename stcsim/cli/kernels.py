"""The command ``stcsim kernels``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver_sheet, output
from stcsim.cli.steps import load_gpu
from stcsim.words import Format, Library

ConvOption = Annotated[bool, typer.Option("--conv", help="Those for convolutions (of 3 x 3 filters) instead of GEMMs.")]


def kernels(
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = opt.FP16,
    sparsity: opt.SparsityOption = None,
    conv: ConvOption = False,
    library: opt.LibraryOption = Library.CUSPARSELT,
    overrides: opt.SetOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """List the kernels that a library is known to have for a GPU and a type: what --kernel takes.

    For example: stcsim kernels --arch h100 --dtype fp8 --sparsity 2:4
    """
    out = output(format, json, csv)
    from stcsim.report.export.kernels import kernels_sheet
    from stcsim.study.kernels import kernels_of

    found = kernels_of(load_gpu(arch, overrides), dtype or opt.FP16, sparsity=sparsity, conv=conv, library=library)
    deliver_sheet(out, kernels_sheet(found))
