"""``stcsim study``: grids of GPUs, networks and options, run once a cell, kept, exported and drawn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import STDOUT, check_outputs, deliver_sheet, output
from stcsim.cli.steps import prepare
from stcsim.files import is_stdout, write_whole
from stcsim.words import Format, listed

if TYPE_CHECKING:
    from stcsim.study.sweeps.grid import Grid
    from stcsim.study.sweeps.rows import Row

app = typer.Typer(no_args_is_help=True, help="Run what-ifs by the thousand: grids of GPUs, networks and options, resumable.")

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="A study (YAML).")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="Where answers are kept (SQLite).", show_default="the study's name, .sqlite"),
]
WorkersOption = Annotated[int, typer.Option("--workers", "-j", metavar="N", min=1, help="Processes that work; 1 is this one.")]
DaskOption = Annotated[
    str | None,
    typer.Option("--dask", metavar="local|ADDRESS", help="A Dask cluster of N workers here, or the scheduler of one."),
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Run the cells that ended with an error again.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Take these cells alone, e.g. trace=bert-large. May be repeated."),
]
ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option("--objective", metavar="min|max NAME", help="What is better. May be repeated.", show_default="the study's"),
]
ColumnsOption = Annotated[
    str, typer.Option("--columns", metavar="NAME,…", help="Figures, or any column of an export, e.g. best_us,best_uj.")
]
ParquetOption = Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="Write one row for each cell as Parquet.")]
TrialsOption = Annotated[int, typer.Option("--trials", metavar="N", min=1, help="How many points are tried.")]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of the search: the same seed tries the same points.")
]
XOption = Annotated[str, typer.Option("--x", metavar="COLUMN", help="What varies to the right.")]
YOption = Annotated[str, typer.Option("--y", metavar="COLUMN", help="What varies upward.")]
ValueOption = Annotated[str, typer.Option("--value", metavar="FIGURE", help="What is shown, e.g. best_us.")]
FigureOption = Annotated[Path, typer.Option("--figure", metavar="FILE", help="Draw it, as .png, .svg or .pdf.")]


@app.command()
def run(
    study: StudyArgument,
    store: StoreOption = None,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    retry: RetryOption = False,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Run every cell of which nothing is known yet, and keep each answer; what ends this early loses a second of work.

    For example: stcsim study run sms.yaml --workers 2
    """
    out = output(format, json, csv)
    grid = _grid(study)
    from stcsim.report.study import outcome_text, status_sheet
    from stcsim.report.terminal.console import progress, say
    from stcsim.study.sweeps.crews import crew_of
    from stcsim.study.sweeps.run import run_study, state_of
    from stcsim.study.sweeps.store import WritableStore

    crew = crew_of(workers, dask)
    with WritableStore(_store_of(study, store)) as kept:
        prepare()
        with crew, progress(study.name, "cells") as advance:
            outcome = run_study(grid, kept, crew, retry, advance)
        say(outcome_text(outcome))
        deliver_sheet(out, status_sheet(state_of(grid, kept), grid.study.title, _inputs(study, store)))


@app.command()
def status(
    study: StudyArgument,
    store: StoreOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Say how many cells are done, how many wait, and which sentences others ended with; also while the study runs.

    For example: stcsim study status sms.yaml
    """
    out = output(format, json, csv)
    grid = _grid(study)
    from stcsim.report.study import status_sheet
    from stcsim.study.sweeps.run import state_of
    from stcsim.study.sweeps.store import Store

    path = _store_of(study, store)
    if not path.exists() and store is None:  # nothing was run yet
        state = state_of(grid, None)
    else:
        with Store(path) as kept:
            state = state_of(grid, kept)
    deliver_sheet(out, status_sheet(state, grid.study.title, _inputs(study, store)))


@app.command()
def export(
    study: StudyArgument,
    store: StoreOption = None,
    where: WhereOption = None,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
    parquet: ParquetOption = None,
) -> None:
    """Write one row for each cell, in the order of the study: what it is, whether it meets the constraints, its figures.

    For example: stcsim study export sms.yaml --csv sms.csv
    """
    from stcsim.result.document import csv_text, document, json_text
    from stcsim.study.sweeps.parquet import check_parquet, parquet_bytes

    out = output(Format.TABLE, json, csv, parquet=parquet)
    if parquet:
        check_parquet()
    rows, grid = _rows(study, store, where)
    if out.csv or not (out.json or parquet):
        _put(out.csv or STDOUT, csv_text(rows))
    if out.json:
        _put(out.json, json_text(document("study-1", {"rows": rows, "inputs": _inputs(study, store)})))
    if parquet:
        from stcsim.study.sweeps.rows import columns_of

        write_whole(parquet, parquet_bytes(rows, columns_of(grid.study)))


@app.command()
def table(
    study: StudyArgument,
    store: StoreOption = None,
    columns: ColumnsOption = "dense_us,sparse_us,best_us,speedup",
    where: WhereOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Show some figures of all cells, or of some, beside what tells the cells apart.

    For example: stcsim study table sms.yaml --columns best_us,best_uj --where trace=bert-base
    """
    out = output(format, json, csv)
    from stcsim.report.study import rows_sheet
    from stcsim.study.sweeps.views import shown_columns

    rows, grid = _rows(study, store, where)
    names = [str(name) for name in listed(columns, "columns", "names")]
    shown = shown_columns(rows, grid.study, names)
    deliver_sheet(out, rows_sheet(rows, shown, grid.study.title, _inputs(study, store)))


@app.command()
def pareto(
    study: StudyArgument,
    store: StoreOption = None,
    objectives: ObjectiveOption = None,
    where: WhereOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """List the cells that no other cell beats, network by network, among those that meet the constraints.

    For example: stcsim study pareto sms.yaml --objective "max speedup" --objective "min best_uj" --figure front.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.study import pareto_sheet
    from stcsim.study.sweeps.criteria import parse_objective
    from stcsim.study.sweeps.views import fronts_of

    named = [parse_objective(each) for each in objectives or []]
    rows, grid = _rows(study, store, where)
    fronts = fronts_of(rows, grid.study, named or grid.study.objectives)
    if figure:
        from stcsim.report.figures.pareto import write_pareto_figure  # waits for matplotlib

        write_pareto_figure(fronts, grid.study.title, figure)
    deliver_sheet(out, pareto_sheet(fronts, grid.study.title, _inputs(study, store)))


@app.command()
def search(
    study: StudyArgument,
    trials: TrialsOption = 100,
    seed: SeedOption = 0,
    store: StoreOption = None,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Search a study that has too many cells for the GPUs that nothing beats, over all its networks and GEMMs together.

    For example: stcsim study search large.yaml --trials 200 --workers 2
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.study import pareto_sheet
    from stcsim.report.terminal.console import progress
    from stcsim.study.sweeps.crews import crew_of
    from stcsim.study.sweeps.grid import Space
    from stcsim.study.sweeps.reading import load_study
    from stcsim.study.sweeps.search import search as find
    from stcsim.study.sweeps.store import WritableStore

    space, crew = Space(load_study(study)), crew_of(workers, dask)
    with WritableStore(_store_of(study, store)) as kept:
        prepare()
        with crew, progress(study.name, "points") as advance:
            fronts = find(space, kept, crew, trials, seed, advance)
    if figure:
        from stcsim.report.figures.pareto import write_pareto_figure  # waits for matplotlib

        write_pareto_figure(fronts, space.study.title, figure)
    deliver_sheet(out, pareto_sheet(fronts, space.study.title, {**_inputs(study, store), "trials": trials, "seed": seed}))


@app.command()
def plot(
    study: StudyArgument,
    x: XOption,
    y: YOption,
    figure: FigureOption,
    value: ValueOption = "speedup",
    store: StoreOption = None,
    where: WhereOption = None,
) -> None:
    """Draw one figure over two columns as heat maps, one for each way in which the other columns are held.

    For example: stcsim study plot sms.yaml --x sm.count --y l2.bandwidth_bytes_per_clk --figure sms.pdf
    """
    check_outputs(figure=figure)
    from stcsim.study.sweeps.views import planes_of

    rows, grid = _rows(study, store, where)
    planes = planes_of(rows, grid.study, x, y, value)
    from stcsim.report.figures.planes import write_planes_figure  # waits for matplotlib

    write_planes_figure(planes, grid.study.title, figure)


def _grid(study: Path) -> Grid:
    from stcsim.study.sweeps.grid import Grid
    from stcsim.study.sweeps.reading import load_study

    return Grid(load_study(study))


def _store_of(study: Path, store: Path | None) -> Path:
    return store or study.with_suffix(".sqlite")


def _inputs(study: Path, store: Path | None) -> dict[str, Any]:
    return {"study": str(study), "store": str(_store_of(study, store))}


def _rows(study: Path, store: Path | None, where: list[str] | None) -> tuple[list[Row], Grid]:
    """Return the rows of the cells that are asked for; say how many of them are not done."""
    from stcsim.report.terminal.console import say
    from stcsim.study.sweeps.rows import rows_of
    from stcsim.study.sweeps.store import Store
    from stcsim.study.sweeps.views import chosen, where_of

    grid = _grid(study)
    conditions = where_of(where or [], grid.study)
    with Store(_store_of(study, store)) as kept:
        rows = chosen(rows_of(grid, kept), conditions)
    for state, what in (("waiting", "still to be run"), ("error", "without figures, each with its sentence")):
        if cells := sum(row["state"] == state for row in rows):
            say(f"{cells:,} of {len(rows):,} cells are {what}")
    return rows, grid


def _put(path: Path, text: str) -> None:
    if is_stdout(path) or path == STDOUT:
        sys.stdout.write(text)
    else:
        write_whole(path, text)
