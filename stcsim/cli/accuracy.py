"""``stcsim accuracy``: the error model behind the intervals, built from measured tables and checked on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import check_outputs, measured_tables, prepare
from stcsim.errors import StcsimError
from stcsim.words import Format

if TYPE_CHECKING:
    from stcsim.study.validate import Predicted

app = typer.Typer(no_args_is_help=True, help="Build the model of the model's own errors, or check it.")

GradeOption = Annotated[str, typer.Option("--grade", metavar="A|B|AB…", help="Use rows of these grades.")]


@app.command()
def build(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the error model goes.")],
    paths: opt.MeasuredArgument = None,
    fitted: Annotated[
        str, typer.Option("--fitted", metavar="NAME,…", help="GPUs with parameters fitted to half of such rows.")
    ] = "",
    blind: Annotated[
        Path | None,
        typer.Option(
            "--blind", metavar="CSV", help="Rows with predicted_us of other boards' parameters (`evidence leave-one-out`)."
        ),
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Where the rows come from.")] = "",
    grade: GradeOption = "A",
) -> None:
    """Predict measured rows, and write the intervals in which measurements lie around predictions.

    For example: stcsim accuracy build measured/ --fitted a100,h100 -o accuracy.json
    """
    check_outputs(output=output)
    from stcsim.arch import arch_names
    from stcsim.report.terminal.console import say
    from stcsim.study.error_model.build import build as learn
    from stcsim.study.error_model.build import evidence_of
    from stcsim.study.error_model.file import read_predicted, write_error_model

    names = [name.strip().lower() for name in fitted.split(",") if name.strip()]
    if unknown := next((name for name in names if name not in arch_names()), None):
        raise StcsimError("fitted", f"names of GPUs with commas between ({', '.join(arch_names())})", f"'{unknown}'")
    unseen = read_predicted(blind) if blind else []
    for row in unseen:
        evidence_of(row)  # a word that it does not know is refused before minutes of work
    document = learn(_predicted(measured_tables(paths), grade), names, unseen, source)
    write_error_model(document, output)
    say(f"{output} written: {document['made']}")


@app.command()
def check(
    paths: opt.MeasuredArgument = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FILE", help="An error model.", show_default="the one that ships")
    ] = None,
    grade: GradeOption = "A",
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Print which share of measurements lies in its interval, on rows that neither a fit nor the intervals were made from."""
    out = output(format, json, csv)
    from stcsim.report.terminal.coverage import coverage_table, document, row_lines
    from stcsim.study.error_model.coverage import cover
    from stcsim.trust.accuracy import error_model, read_error_model

    held = read_error_model(model) if model else error_model()
    tables = measured_tables(paths)
    report = cover(_predicted(tables, grade), held)
    inputs = {"paths": list(map(str, tables)), "model": str(model) if model else None, "grade": grade}
    deliver(out, report, coverage_table, lambda found: document(found, inputs), row_lines)


def _predicted(tables: list[Path], grade: str) -> list[Predicted]:
    """Return the rows of ``tables`` that have one of the grades, predicted."""
    from stcsim.report.terminal.console import progress
    from stcsim.study.validate import validate

    prepare()
    with progress("predicting") as advance:
        return list(validate(tables, progress=advance, grades=grade).rows)
