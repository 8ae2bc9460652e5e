"""The command ``stcsim whatif``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_variant, load_work, prepare
from stcsim.words import Format, Library

TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="'FIGURE >= X'",
        help="What is to be reached: speedup (best of both), sparse_speedup, best_us, … with >= or <= and a number.",
    ),
]
VaryOption = Annotated[
    str,
    typer.Option(
        "--vary", metavar="NAME|PATH,…", autocompletion=completion.knobs,
        help="What may be changed: tensor, smem, l2, l2-size, dram, sm, clock, power, launch, or paths of numbers.",
    ),
]  # fmt: skip
WithinOption = Annotated[float, typer.Option("--within", metavar="FACTOR", help="Change no number by more than this factor.")]
AloneOption = Annotated[bool, typer.Option("--alone", help="Vary each number alone only: all together take most of the runs.")]


def whatif(
    work: opt.WorkArgument,
    arch: opt.ArchOption,
    target: TargetOption,
    vary: VaryOption,
    within: WithinOption = 4.0,
    alone: AloneOption = False,
    dtype: opt.DTypeOption = None,
    batch: opt.BatchOption = None,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    duration: opt.DurationOption = opt.SUSTAINED,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Find the smallest change of a GPU with which a network, or a GEMM, reaches a target; or say what is in the way.

    For example: stcsim whatif bert-large --arch a100 --target 'sparse_speedup >= 1.2' --vary smem,l2,dram
    """
    out = output(format, json, csv)
    from stcsim.report.export.whatif import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.whatif import whatif_table
    from stcsim.study.whatif.knobs import knobs_of
    from stcsim.study.whatif.search import most_runs, what_if
    from stcsim.study.whatif.target import parse_target

    wanted = parse_target(target)
    gpu, run = load_variant(arch, overrides, variants), load_work(work, dtype, batch, strict, library, duration)
    most = most_runs(len(knobs_of(vary, gpu, run.dtype)), not alone)
    prepare()
    with progress(run.trace.name) as advance:
        found = what_if(run, gpu, wanted, vary, within, lambda runs: advance(runs, max(runs, most)), together=not alone)
    deliver(out, found, whatif_table, document, row_lines)
