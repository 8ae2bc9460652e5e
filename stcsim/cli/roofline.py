"""The command ``stcsim roofline``."""

from __future__ import annotations

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpu, load_network, prepare
from stcsim.words import Format


def roofline(
    trace: opt.TraceArgument,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = None,
    batch: opt.BatchOption = None,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Place every layer under the roofs of compute, L2 and DRAM, by its arithmetic intensity and the TOPS it achieves.

    For example: stcsim roofline resnet34 --arch a100 --dtype int8 --batch 32 --figure roofline.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.export.roofline import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.roofline import roofline_table
    from stcsim.study.roofline import roofline_of

    gpu, network = load_gpu(arch, overrides), load_network(trace, batch, strict=strict)
    prepare()
    with progress(network.name) as advance:
        found = roofline_of(network, gpu, dtype, advance)
    if figure:
        from stcsim.report.figures.roofline import write_roofline_figure  # waits for matplotlib

        write_roofline_figure(found, figure)
    deliver(out, found, roofline_table, document, row_lines)
