"""The command ``stcsim curve``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpus, load_network, prepare
from stcsim.errors import StcsimError
from stcsim.words import Format, Library, Metric, listed

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.study.axis import Axis, GemmPattern
    from stcsim.trace import Trace

OverOption = Annotated[
    str,
    typer.Option(
        "--over",
        metavar="AXIS=VALUES",
        help="batch, resolution, seq or cached of a network; m, n or k of a GEMM; 1,8,64 or 1..64 (doubling) or 8..64:8. "
        "Or a leaf of the GPU: sm.count=80..160:8, l2.capacity_mib=x0.5,x1,x2.",
    ),
]
GemmOption = Annotated[
    str | None,
    typer.Option(
        "--gemm", metavar="MxNxK", help="GEMMs instead of a trace; a letter for what varies; M N K too.", show_default="all vary"
    ),
]
MetricOption = Annotated[str, opt.choice(Metric, "--metric", help="What the figure shows.")]


def curve(
    archs: opt.ArchsOption,
    over: OverOption,
    trace: opt.TraceOrNone = None,
    gemm: GemmOption = None,
    dtypes: opt.DTypesOption = None,
    batch: opt.BatchOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    duration: opt.DurationOption = opt.SUSTAINED,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    metric: MetricOption = Metric.SPEEDUP,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Simulate a network, or a GEMM, at every value of an axis on one or more GPUs, dense and 2:4.

    For example: stcsim curve resnet34 --arch a100,h100 --dtype int8 --over batch=1..512 --figure batch.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.export.curve import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.curve import curve_table
    from stcsim.study.axis import parse_axis
    from stcsim.study.curve import sweep
    from stcsim.timing.board.duration import parse_duration

    axis = parse_axis(over)
    parse_duration(duration)
    source = _source(trace, gemm, axis, batch, strict)
    gpus = load_gpus(archs, overrides, variants)
    types = [str(name) for name in listed(dtypes, "dtypes", "names")] if dtypes else []
    if figure:
        _check_drawable(metric, gpus, types)
    prepare()
    with progress(str(trace or gemm or "GEMMs")) as advance:
        found = sweep(source, axis, gpus, types, advance, library=library, duration=duration)
    if figure:  # first: it may turn out that there is nothing to draw
        from stcsim.report.figures.curve import write_curve_figure  # waits for matplotlib

        write_curve_figure(found, figure, metric)
    deliver(out, found, curve_table, document, row_lines)


def _source(trace: str | None, gemm: str | None, axis: Axis, batch: int | None, strict: bool) -> Trace | GemmPattern:
    """Return what is run at every value: the trace at its batch, or the GEMM; all sizes vary together where none is named."""
    from stcsim.study.axis import GEMM_AXES, GemmPattern, parse_gemm

    of_gemm = gemm is not None or trace is None and axis.names == GEMM_AXES
    if (trace is None) != of_gemm:
        raise StcsimError("command line", "either a trace or --gemm MxNxK", "both" if trace else "neither")
    if batch is not None and (of_gemm or axis.names == ("batch",)):
        raise StcsimError("batch", "a trace whose batch --over does not vary", str(batch))
    if trace is None:
        return GemmPattern() if gemm is None else parse_gemm(gemm)
    return load_network(trace, batch, strict=strict)


def _check_drawable(metric: str, gpus: Sequence[Arch], types: Sequence[str]) -> None:
    """Refuse, before any work, a figure that would be empty or crowded."""
    from stcsim.report.figures.curve import check_series

    check_series(len(gpus) * max(len(types), 1))
    if metric == Metric.SPEEDUP and not any(gpu.tensor_core.sparse_group for gpu in gpus):
        raise StcsimError(f"metric {metric}", "a GPU with Sparse Tensor Cores", ", ".join(gpu.name for gpu in gpus))
