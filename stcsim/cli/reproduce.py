"""The command ``stcsim reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli.steps import check_outputs, prepare
from stcsim.errors import StcsimError

StudyArgument = Annotated[str | None, typer.Argument(metavar="[STUDY]", help="One of those listed without it.")]
AllOption = Annotated[bool, typer.Option("--all", help="Run every study (about 40 s).")]
DrawOption = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, or with --all what all say, as .png, .svg or .pdf.")
]
PointsOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line for each point as CSV.")]
WholeOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write points, sources, assumptions and inputs as JSON.")
]


def reproduce(
    study: StudyArgument = None,
    every: AllOption = False,
    figure: DrawOption = None,
    csv: PointsOption = None,
    json: WholeOption = None,
) -> None:
    """Simulate published case studies and print predictions beside publications; without a name, list them.

    For example: stcsim reproduce resnet34-batch --figure resnet34.pdf
    """
    check_outputs(figure=figure, csv=csv, json=json)
    from stcsim.report.terminal.console import progress, show
    from stcsim.report.terminal.reproduce import reproduction_view, reproductions_view, studies_table
    from stcsim.study.reproduce.run import find_study
    from stcsim.study.reproduce.run import reproduce as run
    from stcsim.study.reproduce.studies import STUDIES

    if study is not None and every:
        raise StcsimError("command line", "either a study or --all", "both")
    if study is None and not every:
        if figure or csv or json:
            raise StcsimError("command line", "a study, or --all, to write to a file", "neither")
        show(studies_table(STUDIES))
        return
    chosen = STUDIES if study is None else [find_study(study, STUDIES)]
    prepare()
    with progress(study or "all studies") as advance:
        found = run(chosen, advance)
    from stcsim.report.export.reproduce import write_reproductions

    write_reproductions(found, json, csv, figure)
    show(reproduction_view(found[0]) if study else reproductions_view(found))
