"""The commands ``stcsim curve`` and ``stcsim roofline``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.steps import check_outputs, load_gpu, load_network, prepare
from stcsim.errors import StcsimError

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.study.axis import Axis, GemmPattern
    from stcsim.trace import Trace


class MetricName(StrEnum):
    """What the figure of a curve shows."""

    SPEEDUP = "speedup"
    TOPS = "tops"
    TIME = "time"
    MEMORY = "memory"
    TOPS_PER_WATT = "tops-per-watt"


TraceArgument = Annotated[str, typer.Argument(metavar="TRACE", help="A trace file, or the name of one that ships.")]
TraceOrNone = Annotated[str | None, typer.Argument(metavar="TRACE", help="A trace file, or the name of one that ships.")]
OverOption = Annotated[
    str,
    typer.Option(
        "--over",
        metavar="AXIS=VALUES",
        help="batch, resolution, seq or cached of a network; m, n or k of a GEMM; 1,8,64 or 1..64 (doubling) or 8..64:8.",
    ),
]
GemmOption = Annotated[
    str | None,
    typer.Option("--gemm", metavar="MxNxK", help="GEMMs instead of a trace; a letter for what varies.", show_default="all vary"),
]
ArchsOption = Annotated[
    str, typer.Option("--arch", "-a", metavar="NAME|FILE,…", help="GPUs to simulate; `stcsim arch` lists them.")
]
DTypesOption = Annotated[
    str | None, typer.Option("--dtype", "-d", metavar="TYPE,…", help="Element types.", show_default="the trace's, or fp16")
]
BatchOption = Annotated[int | None, typer.Option("--batch", "-b", metavar="N", help="Rescale the trace to this batch.")]
MetricOption = Annotated[MetricName, typer.Option("--metric", help="What the figure shows.")]
DrawOption = Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, as .png, .svg or .pdf.")]
PointsOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line for each point as CSV.")]
LayersJsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every layer as JSON.")]
PointsJsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every point as JSON.")]


def curve(
    arch: ArchsOption,
    over: OverOption,
    trace: TraceOrNone = None,
    gemm: GemmOption = None,
    dtype: DTypesOption = None,
    batch: BatchOption = None,
    settings: opt.SetOption = None,
    metric: MetricOption = MetricName.SPEEDUP,
    figure: DrawOption = None,
    csv: PointsOption = None,
    json: PointsJsonOption = None,
) -> None:
    """Simulate a network, or a GEMM, at every value of an axis on one or more GPUs, dense and 2:4.

    For example: stcsim curve resnet34 --arch a100,h100 --dtype int8 --over batch=1..512 --figure batch.pdf
    """
    check_outputs(figure=figure, csv=csv, json=json)
    from stcsim.report.export.curve import write_curve
    from stcsim.report.terminal.console import progress, show
    from stcsim.report.terminal.curve import curve_table
    from stcsim.study.axis import parse_axis
    from stcsim.study.curve import sweep

    axis = parse_axis(over)
    source = _source(trace, gemm, axis, batch)
    gpus = [load_gpu(name, settings) for name in _listed("--arch", arch)]
    types = _listed("--dtype", dtype) if dtype else []
    if figure:
        _check_drawable(metric, gpus, types)
    prepare()
    with progress(str(trace or gemm or "GEMMs")) as advance:
        found = sweep(source, axis, gpus, types, advance)
    write_curve(found, metric, json, csv, figure)
    show(curve_table(found))


def _source(trace: str | None, gemm: str | None, axis: Axis, batch: int | None) -> Trace | GemmPattern:
    """Return what is run at every value: the trace at its batch, or the GEMM; all sizes vary together where none is named."""
    from stcsim.study.axis import GEMM_AXES, GemmPattern, parse_gemm

    of_gemm = gemm is not None or trace is None and axis.names == GEMM_AXES
    if (trace is None) != of_gemm:
        raise StcsimError("command line", "either a trace or --gemm MxNxK", "both" if trace else "neither")
    if batch is not None and (of_gemm or axis.names == ("batch",)):
        raise StcsimError("--batch", "a trace whose batch --over does not vary", str(batch))
    if trace is None:
        return GemmPattern() if gemm is None else parse_gemm(gemm)
    return load_network(trace, batch)


def _check_drawable(metric: MetricName, gpus: Sequence[Arch], types: Sequence[str]) -> None:
    """Refuse, before any work, a figure that would be empty or crowded."""
    from stcsim.report.figures.curve import check_series

    check_series(len(gpus) * max(len(types), 1))
    if metric is MetricName.SPEEDUP and not any(gpu.tensor_core.sparse_group for gpu in gpus):
        raise StcsimError("--metric speedup", "a GPU with Sparse Tensor Cores", ", ".join(gpu.name for gpu in gpus))


def roofline(
    trace: TraceArgument,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = None,
    batch: BatchOption = None,
    settings: opt.SetOption = None,
    figure: DrawOption = None,
    csv: opt.CsvOption = None,
    json: LayersJsonOption = None,
) -> None:
    """Place every layer under the roofs of compute, L2 and DRAM, by its arithmetic intensity and the TOPS it achieves.

    For example: stcsim roofline resnet34 --arch a100 --dtype int8 --batch 32 --figure roofline.pdf
    """
    check_outputs(figure=figure, csv=csv, json=json)
    from stcsim.report.export.roofline import write_roofline
    from stcsim.report.terminal.console import progress, show
    from stcsim.report.terminal.roofline import roofline_table
    from stcsim.study.roofline import roofline_of

    gpu, network = load_gpu(arch, settings), load_network(trace, batch)
    prepare()
    with progress(network.name) as advance:
        found = roofline_of(network, gpu, dtype, advance)
    write_roofline(found, json, csv, figure)
    show(roofline_table(found))


def _listed(option: str, text: str) -> list[str]:
    """Return words with commas between."""
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise StcsimError(option, "names with commas between", f"'{text}'")
    return words
