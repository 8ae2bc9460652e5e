"""The command ``stcsim traces``."""

from __future__ import annotations

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.words import Format


def traces(format: opt.FormatOption = Format.TABLE, json: opt.JsonOption = None, csv: opt.CsvOption = None) -> None:
    """List the networks that ship as traces."""
    out = output(format, json, csv)
    from stcsim.report.export.inventory import traces_document, traces_lines
    from stcsim.report.terminal.inventory import traces_table
    from stcsim.trace import load_trace, trace_names

    deliver(out, [load_trace(name) for name in trace_names()], traces_table, traces_document, traces_lines)
