"""``stcsim evidence``: what the model's claims rest on, gathered anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.evidence_bits import (
    JobsOption,
    JsonOption,
    QuickOption,
    accumulation,
    assumptions,
    count_option,
    deliver,
    million,
)
from stcsim.cli.steps import check_outputs, measured_tables, prepare
from stcsim.errors import StcsimError, closest

app = typer.Typer(invoke_without_command=True, help="Gather the evidence for what stcsim claims; without a name, list it.")

ABLATED = "a100,a100-pcie,a40,h100,h100-pcie,h200,l40s,rtx4090"

RatesArgument = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Tables of published microbenchmarks, or folders.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the GEMMs' sizes.")]


@app.callback()
def evidence(context: typer.Context) -> None:
    """Gather the evidence for what stcsim claims; without a name, list it."""
    if context.invoked_subcommand is None:
        from stcsim.report.terminal.console import show
        from stcsim.report.terminal.evidence.index import evidence_list
        from stcsim.study.evidence.index import EVIDENCE

        show(evidence_list(EVIDENCE))


@app.command()
def ablation(
    paths: opt.MeasuredArgument = None,
    rows: Annotated[int | None, count_option("--rows", "Rows of each GPU, sparsity and type.", "40; 2 with --quick")] = None,
    only: Annotated[str, typer.Option("--only", metavar="TEXT", help="Mechanisms whose name contains this.")] = "",
    gpus: Annotated[str, typer.Option("--gpus", metavar="NAME,…", help="Rows of these GPUs.")] = ABLATED,
    rates: Annotated[
        list[Path] | None,
        typer.Option("--rates", metavar="PATH", help="Published microbenchmarks, for mechanisms that no GEMM shows."),
    ] = None,
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
) -> None:
    """Switch every mechanism of the timing model off alone, and see how far predictions of measured GEMMs are then.

    For example: stcsim evidence ablation measured/ --only split-K
    """
    check_outputs(json=json)
    from stcsim.arch import arch_names
    from stcsim.report.export.evidence import ablation_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.measured import ablation_table
    from stcsim.study.evidence import ablation as ablating

    tables, names = measured_tables(paths), _names(gpus, "--gpus", arch_names())
    per_cell = rows or (ablating.QUICK_ROWS if quick else ablating.ROWS)
    prepare()
    with progress("predicting without each mechanism") as advance:
        found = ablating.ablation(tables, per_cell, only, names, rates or (), jobs, advance)
    deliver(ablation_document(found), ablation_table(found), json)


@app.command("leave-one-out")
def leave_one_out(
    paths: opt.MeasuredArgument = None,
    boards: Annotated[
        str | None,
        typer.Option("--gpus", metavar="NAME,…", help="Fit these boards.", show_default="seven; a100 with --quick"),
    ] = None,
    rows: Annotated[int | None, count_option("--rows", "Fit to so many rows of a board.", "100; 12 with --quick")] = None,
    steps: Annotated[int | None, count_option("--steps", "Of least squares.", "10; 2 with --quick")] = None,
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write rows predicted with others' parameters, for `accuracy build --blind`."),
    ] = None,
) -> None:
    """Fit one board of a die from neutral values on its rows alone, and predict its siblings (needs scipy).

    Without --gpus, boards are then predicted with the parameters of another die, too.

    For example: stcsim evidence leave-one-out measured/ --quick
    """
    check_outputs(json=json, csv=csv)
    from stcsim.report.export.evidence import leave_one_out_document, unseen_lines
    from stcsim.report.export.result import write_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.measured import leave_one_out_tables
    from stcsim.study.evidence import die_left_out
    from stcsim.study.evidence import leave_one_out as leaving
    from stcsim.trust.accuracy import Evidence

    tables, siblings = measured_tables(paths), leaving.SIBLINGS
    fitted = _names(boards, "--gpus", tuple(siblings)) if boards else list(leaving.QUICK_BOARDS if quick else siblings)
    size = rows or (leaving.QUICK_ROWS if quick else leaving.ROWS)
    trials = steps or (leaving.QUICK_STEPS if quick else leaving.STEPS)
    prepare()
    found = []
    for board in fitted:
        evaluations = trials * (len(leaving.neutral(board)) + 1)
        with progress(f"fitting {board}") as advance:
            notify = partial(_evaluated, advance, evaluations)
            found.append(leaving.leave_out(board, siblings[board], tables, size, trials, notify, jobs))
    strangers = []
    if not (boards or quick):
        with progress("predicting with another die's parameters") as advance:
            strangers.append(die_left_out.predict_strangers(tables, advance, jobs))
    if csv:
        blind = [(Evidence.SIBLING.value, each.unseen) for each in found]
        write_lines(unseen_lines([*blind, *((Evidence.GENERATION.value, part.alone) for part in strangers)]), csv)
    cells = [cell for each in found for cell in each.cells] + [cell for part in strangers for cell in leaving.cells_of(part)]
    deliver(leave_one_out_document(cells, found, size, trials), leave_one_out_tables(cells, found, size, trials), json)


@app.command()
def anchors(json: JsonOption = None) -> None:
    """Put published single figures of real GPUs beside predictions."""
    check_outputs(json=json)
    from stcsim.report.export.evidence import anchors_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.published import anchors_table
    from stcsim.study.evidence.anchors import compare

    prepare()
    with progress("predicting published figures") as advance:
        found = compare(notify=advance)
    deliver(anchors_document(found), anchors_table(found), json)


@app.command()
def microbench(paths: RatesArgument, json: JsonOption = None) -> None:
    """Put published rates and latencies of single instructions beside the model's.

    Tables have the columns gpu, ab_type, cd_type, shape and completion_latency_cycles; those of mma have instruction_family,
    warps_per_sm, ilp and fma_per_clk_sm beside, those of wgmma mode, operand_source, data_init and tflops_or_tops.
    """
    check_outputs(json=json)
    from stcsim.report.export.evidence import rates_document
    from stcsim.report.terminal.evidence.published import rates_table
    from stcsim.study.evidence.microbench import compare

    found = compare(paths)
    deliver(rates_document(found), rates_table(found), json)


@app.command()
def advice(
    traces: Annotated[str | None, typer.Option("--traces", metavar="NAME,…", help="Networks.", show_default="all")] = None,
    gpus: Annotated[str | None, typer.Option("--gpus", metavar="NAME,…", help="GPUs.", show_default="eight")] = None,
    types: Annotated[str | None, typer.Option("--types", metavar="TYPE,…", help="Types.", show_default="fp16,int8,fp8")] = None,
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
) -> None:
    """Hold what is said of pruning against runs of the networks in which it is done; exit code 1 where one disagrees.

    For example: stcsim evidence advice --traces resnet50 --gpus a100
    """
    check_outputs(json=json)
    from stcsim.arch import arch_names
    from stcsim.report.export.evidence import plain_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.grids import advice_text
    from stcsim.study.evidence import advice as advising
    from stcsim.trace import trace_names

    usual = advising.QUICK if quick else advising.WHOLE
    chosen = (
        _names(traces, "--traces", trace_names()) if traces else usual.traces,
        _names(gpus, "--gpus", arch_names()) if gpus else usual.gpus,
        _names(types, "--types", advising.WHOLE.dtypes) if types else usual.dtypes,
    )
    prepare()
    with progress("running networks") as advance:
        found = advising.advice(*chosen, jobs, advance)
    deliver(plain_document(found), advice_text(found, advising.CLAIM_US), json, not found.misses)


@app.command()
def monotony(
    gemms: Annotated[int | None, count_option("--gemms", "GEMMs on each GPU.", "100; 2 with --quick")] = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
) -> None:
    """Count how often more of a resource makes a GEMM or a network slower, and by how much at worst."""
    check_outputs(json=json)
    from stcsim.report.export.evidence import plain_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.grids import monotony_table
    from stcsim.study.evidence import monotony as comparing

    count = gemms or (comparing.QUICK_GEMMS if quick else comparing.GEMMS)
    prepare()
    with progress("timing on larger GPUs") as advance:
        found = comparing.monotony(count, seed, comparing.QUICK_NETWORKS if quick else comparing.NETWORKS, jobs, advance)
    deliver(plain_document(found), monotony_table(found, list(comparing.GPUS), comparing.SLOWER), json)


@app.command()
def reasons(
    gemms: Annotated[int | None, count_option("--gemms", "How many GEMMs.", "200; 30 with --quick")] = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    quick: QuickOption = False,
    json: JsonOption = None,
) -> None:
    """Hold what is said to help a GEMM most against GPUs that have half as much again of each resource."""
    check_outputs(json=json)
    from stcsim.report.export.evidence import reasons_document
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.evidence.grids import reasons_text
    from stcsim.study.evidence import reasons as reasoning
    from stcsim.study.evidence.monotony import GPUS

    count = gemms or (reasoning.QUICK_GEMMS if quick else reasoning.GEMMS)
    prepare()
    with progress("timing on larger GPUs") as advance:
        found = reasoning.examine(count, seed, jobs, advance)
    deliver(reasons_document(found), reasons_text(found, list(GPUS)), json)


def _evaluated(advance: Callable[[int, int], None], trials: int, done: int, _cost: float) -> None:
    """Count evaluations of a fit, the cost of which is not shown; it may end before all are spent."""
    advance(min(done, trials), trials)


def _names(text: str, option: str, known: Sequence[str] | Mapping[str, str]) -> list[str]:
    """Return the names in ``text``, each of which must be known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = next((name for name in names if name not in known), None if names else "")
    if unknown is not None:
        raise StcsimError(option, f"some of {', '.join(known)}, with commas between", f"'{unknown}'{closest(unknown, known)}")
    return names


for _each in (million, assumptions, accumulation):
    app.command()(_each)
