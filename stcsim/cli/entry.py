"""The command line: parses, calls one function, prints what ``report`` returns.

Heavy libraries are imported inside the commands, so that ``stcsim --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import accuracy, data, evidence
from stcsim.cli import options as opt
from stcsim.cli.calibrate import calibrate
from stcsim.cli.capture import capture
from stcsim.cli.curve import curve, roofline
from stcsim.cli.microbench import microbench
from stcsim.cli.reproduce import reproduce
from stcsim.cli.run import run
from stcsim.cli.steps import (
    check_outputs,
    check_sizes,
    compare,
    deliver,
    load_gpu,
    measured_tables,
    network_of,
    prepare,
    refuse_negatives,
    teach,
)
from stcsim.errors import StcsimError
from stcsim.version import __version__

if TYPE_CHECKING:
    pass


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(run)


@app.command()
def gemm(
    m: opt.MSize,
    n: opt.NSize,
    k: opt.KSize,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = "fp16",
    batch: opt.GemmBatchOption = 1,
    out_dtype: opt.OutDTypeOption = None,
    sparsity: opt.SparsityOption = None,
    settings: opt.SetOption = None,
    kernel: opt.KernelOption = None,
    engine: opt.EngineOption = opt.Engine.FAST,
    launch: opt.LaunchOption = opt.LaunchMode.GRAPH,
    weights_in_l2: opt.WeightsInL2Option = False,
    data: opt.DataOption = opt.Data.RANDN,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Simulate one GEMM, D (M x N) = A (M x K) times B (K x N), dense and 2:4.

    For example: stcsim gemm 4096 4096 4096 --arch h100 --dtype fp8
    """
    check_outputs(json=json, csv=csv)
    check_sizes(M=m, N=n, K=k, batch=batch)
    from stcsim import replay

    gpu = load_gpu(arch, settings)
    gpu.require(dtype or "fp16", sparsity in (opt.Sparsity.BOTH, opt.Sparsity.SPARSE))
    prepare()
    result = replay.gemm(
        m, n, k, gpu, dtype=dtype or "fp16", batch=batch, out_dtype=out_dtype, sparsity=sparsity,
        engine=engine, kernel=kernel, launch=launch, weights_in_l2=weights_in_l2, data=data,
    )  # fmt: skip
    deliver(result, json, csv)


@app.command()
def explain(
    m: opt.MSize,
    n: opt.NSize,
    k: opt.KSize,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = "fp16",
    batch: opt.GemmBatchOption = 1,
    out_dtype: opt.OutDTypeOption = None,
    sparsity: opt.SparsityOption = None,
    settings: opt.SetOption = None,
    kernel: opt.KernelOption = None,
    launch: opt.LaunchOption = opt.LaunchMode.GRAPH,
    weights_in_l2: opt.WeightsInL2Option = False,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Show N kernels of each sparsity.")] = 8,
) -> None:
    """Say why one GEMM takes as long as it does: plan, bounds, where the time goes, and the kernels that lost.

    For example: stcsim explain 4096 4096 4096 --arch a100
    """
    check_sizes(M=m, N=n, K=k, batch=batch)
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.explanation import explanation_text
    from stcsim.study import explain as explaining

    gpu = load_gpu(arch, settings)
    prepare()
    problem = explaining.gemm_problem(m, n, k, dtype or "fp16", batch, out_dtype, weights_in_l2)
    show(explanation_text(explaining.explain(gpu, problem, sparsity=sparsity, kernel=kernel, launch=launch), top))


@app.command()
def validate(
    paths: opt.MeasuredArgument = None,
    arch: Annotated[str | None, typer.Option("--arch", "-a", metavar="NAME|FILE", help="Only the rows of this GPU.")] = None,
    settings: opt.SetOption = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the errors as JSON.")] = None,
    rows: opt.RowsOption = None,
    report: opt.ReportOption = None,
) -> None:
    """Predict measured GEMMs and print how far off the predictions are, with a plain roofline beside them.

    For example: stcsim validate mine.csv --arch a100
    """
    check_outputs(json=json, rows=rows, report=report)
    if settings and arch is None:
        raise StcsimError("--set", "a GPU to change, named with --arch", "none")
    from stcsim.report.terminal.console import progress, show
    from stcsim.report.terminal.validation import validation_table, write_validation
    from stcsim.study.validate import validate as compare

    gpu, tables = load_gpu(arch, settings) if arch else None, measured_tables(paths)
    prepare()
    with progress("predicting") as advance:
        found = compare(tables, gpu, advance)
    write_validation(found, json, rows, report)
    show(validation_table(found))


app.command()(calibrate)
app.add_typer(accuracy.app, name="accuracy")
app.add_typer(data.app, name="data")
app.add_typer(evidence.app, name="evidence")
app.command()(curve)
app.command()(roofline)
app.command()(reproduce)


@app.command()
def check(
    trace: opt.CheckedTrace = None,
    gemm: opt.CheckedGemm = None,
    inputs: opt.InputOption = None,
    dtype: opt.DTypeOption = None,
    arch: opt.CapabilityOption = None,
    layers: opt.LayersOption = None,
    weights: opt.WeightsOption = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of weights and activations.")] = 0,
    max_columns: Annotated[int, typer.Option("--max-columns", metavar="N", min=1, help="Compute so many of a layer's n.")] = 4096,
    max_macs: Annotated[int, typer.Option("--max-macs", metavar="N", min=1, help="Or fewer, to these MACs.")] = 10**9,
    json: opt.JsonOption = None,
) -> None:
    """Hold the bit-accurate datapath, dense and 2:4, against PyTorch; exit code 1 when what must be equal is not.

    For example: stcsim check resnet34 --dtype int8
    """
    check_outputs(json=json)
    limits = {"max_columns": max_columns, "max_macs": max_macs}
    network = network_of(trace, gemm, inputs)
    if not compare(network, arch, dtype, json, layers=layers, weights=weights, seed=seed, **limits):
        raise typer.Exit(1)


@app.command()
def mma(
    instruction: opt.InstructionName,
    arch: opt.InstructionArchOption = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of A, B and C.")] = 0,
    row: Annotated[int, typer.Option("--row", metavar="R", help="Of the element of D.")] = 0,
    col: Annotated[int, typer.Option("--col", metavar="C", help="Of the element of D.")] = 0,
    blocking: opt.BlockingOption = None,
    figure: opt.FigureOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Show step by step how a tensor core computes one element of D = A times B + C, bit for bit.

    For example: stcsim mma mma.sp.m16n8k32.f32.f16.f16.f32 --arch a100 --row 3 --col 5
    """
    check_outputs(figure=figure, json=json)
    teach(instruction, arch, seed, (row, col), blocking, figure, json)


app.command()(microbench)


@app.command()
def arch(
    name: Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="Show this one, value by value.")] = None,
    settings: opt.SetOption = None,
) -> None:
    """List the GPUs with their peak TOPS, or show every value of one with its unit and source."""
    from stcsim.arch import arch_names, load_arch
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.inventory import arch_list_table, arch_table

    if name is not None:
        show(arch_table(load_arch(name, settings or [])))
    elif settings:
        raise StcsimError("--set", "a GPU to change, e.g. `stcsim arch a100`", "none")
    else:
        show(arch_list_table([load_arch(each) for each in arch_names()]))


@app.command()
def traces() -> None:
    """List the traces that ship."""
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.inventory import traces_table
    from stcsim.trace import load_trace, trace_names

    show(traces_table([load_trace(name) for name in trace_names()]))


app.command()(capture)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stcsim {__version__}")
        raise typer.Exit


@app.callback()
def _stcsim(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Simulate GEMM kernels of real networks on NVIDIA GPUs with sparse tensor cores, dense beside 2:4."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's error is one sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "µ" shows "?"
    try:
        refuse_negatives(sys.argv[1:] if arguments is None else arguments)
        app(args=arguments, prog_name="stcsim")
    except StcsimError as error:
        print(f"stcsim: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # `stcsim … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
