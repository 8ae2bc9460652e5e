"""The command ``stcsim reproduce``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import prepare
from stcsim.errors import StcsimError
from stcsim.words import Format

StudyArgument = Annotated[
    str | None, typer.Argument(metavar="[STUDY]", help="One of those listed without it.", autocompletion=completion.studies)
]
AllOption = Annotated[bool, typer.Option("--all", help="Run every study (about 40 s).")]


def reproduce(
    study: StudyArgument = None,
    every: AllOption = False,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Simulate published case studies and print predictions beside publications; without a name, list them.

    For example: stcsim reproduce resnet34-batch --figure resnet34.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.report.export.reproduce import document, row_lines, studies_sheet
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.reproduce import reproduction_view, reproductions_view, studies_table
    from stcsim.study.reproduce.run import find_study
    from stcsim.study.reproduce.run import reproduce as run
    from stcsim.study.reproduce.studies import STUDIES

    if study is not None and every:
        raise StcsimError("command line", "either a study or --all", "both")
    if study is None and not every:
        if figure:
            raise StcsimError("figure", "a study, or --all, to draw", "neither")
        sheet = studies_sheet(STUDIES)
        deliver(out, STUDIES, studies_table, lambda _: sheet.document(), lambda _: sheet.row_lines())
        return
    chosen = STUDIES if study is None else [find_study(study, STUDIES)]
    prepare()
    with progress(study or "all studies") as advance:
        found = run(chosen, advance)
    if figure:
        from stcsim.report.figures.reproduce import write_overview_figure, write_study_figure  # waits for matplotlib

        write_study_figure(found[0], figure) if study else write_overview_figure(found, figure)
    deliver(out, found, lambda all_: reproduction_view(all_[0]) if study else reproductions_view(all_), document, row_lines)
