"""The command ``stcsim check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_described, load_network
from stcsim.errors import StcsimError
from stcsim.words import Format

if TYPE_CHECKING:
    from stcsim.trace import Trace

GemmOption = Annotated[
    str | None, typer.Option("--gemm", metavar="MxNxK", help="One GEMM instead of a trace; the weight is M x K; M N K too.")
]
LayersOption = Annotated[
    str | None,
    typer.Option("--layers", metavar="WHICH", help="Numbers, ranges and patterns of names, e.g. '1,4-6,*.fc*'; first, last."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Your weights by layer name, .safetensors or .npz; others are seeded."),
]
ColumnsOption = Annotated[int, typer.Option("--max-columns", metavar="N", min=1, help="Compute so many of a layer's n.")]
MacsOption = Annotated[
    int, typer.Option("--max-macs", metavar="N", min=1, help="Compute fewer columns where these MACs would be passed.")
]


def check(
    trace: opt.TraceOrNone = None,
    gemm: GemmOption = None,
    inputs: opt.InputOption = None,
    values: opt.ValueOption = None,
    dtype: opt.DTypeOption = None,
    arch: opt.CapabilityOption = None,
    layers: LayersOption = None,
    weights: WeightsOption = None,
    seed: opt.SeedOption = 0,
    max_columns: ColumnsOption = 4096,
    max_macs: MacsOption = 10**9,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Hold the bit-accurate datapath, dense and 2:4, against PyTorch; exit code 1 when what must be equal is not.

    For example: stcsim check resnet34 --dtype int8
    """
    out = output(format, json, csv)
    network = _network(trace, gemm, inputs, values)
    from stcsim.check import check as compare
    from stcsim.report.terminal.check import check_table, document, row_lines
    from stcsim.report.terminal.console import progress

    with progress(network.name) as advance:
        report = compare(
            network, load_described(arch), dtype, layers=layers, weights=weights, seed=seed, max_columns=max_columns,
            max_macs=max_macs, progress=advance,
        )  # fmt: skip
    deliver(out, report, check_table, document, row_lines)
    if not report.passed:
        raise typer.Exit(1)


def _network(trace: str | None, gemm: str | None, inputs: list[str] | None, values: list[str] | None) -> Trace:
    """Return the trace asked for, or one of a single GEMM."""
    from stcsim.study.axis import parse_gemm
    from stcsim.trace.single import gemm_trace

    if (trace is None) == (gemm is None):
        raise StcsimError("command line", "either a trace or --gemm MxNxK", "neither" if trace is None else "both")
    if trace is not None:
        return load_network(trace, inputs=inputs, values=values)
    assert gemm is not None
    pattern = parse_gemm(gemm)
    if pattern.m is None or pattern.n is None or pattern.k is None:
        raise StcsimError("gemm", "three sizes with an x between, e.g. 256x256x256", f"'{gemm}'")
    return gemm_trace(pattern.m, pattern.n, pattern.k)
