"""The command ``stcsim calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import measured_tables, prepare
from stcsim.words import Format

DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="CSV…",
        help="Measured tables, or folders of them. May be repeated.",
        show_default="those of `stcsim data pull`",
    ),
]
ParamsOption = Annotated[
    str | None,
    typer.Option("--params", metavar="PATH,PATH…", help="Fit only these.", show_default="all that rows can show"),
]
BoundsOption = Annotated[
    list[str] | None,
    typer.Option("--bounds", metavar="PATH=LOW:HIGH", help="Other bounds, or one more leaf to fit. May be repeated."),
]


def calibrate(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="A GPU by name, or its arch file; its own rows are used.")],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the new arch file goes.")],
    data: DataOption = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    params: ParamsOption = None,
    bounds: BoundsOption = None,
    grade: Annotated[str, typer.Option("--grade", metavar="A|B|AB…", help="Use rows of these grades.")] = "A",
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the sample.")] = 0,
    evaluations: Annotated[int, typer.Option("--evaluations", metavar="N", min=1, help="Stop after so many trials.")] = 300,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Fit to about so many rows; the rest is held out.")
    ] = 120,
    overrides: opt.SetOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Fit physical parameters of a GPU to your measurements, within bounds, and write a new arch file (needs scipy).

    For example: stcsim calibrate a100 --data mine.csv -o a100_mine.yaml
    """
    out = output(format, json, csv, output=file)
    from stcsim.files import write_whole
    from stcsim.report.terminal.calibration import calibration_table, document, fit_progress, row_lines
    from stcsim.report.terminal.console import say
    from stcsim.study.calibration import fitted_file
    from stcsim.study.calibration.calibrate import calibrate as fit
    from stcsim.study.calibration.fit import parse_bounds

    fitted_file.check_target(arch, file)
    names = None if params is None else [name.strip() for name in params.split(",") if name.strip()]
    limits = parse_bounds(bounds or [])
    tables = measured_tables([*(data or []), *(more or [])])
    prepare()
    with fit_progress(evaluations) as notify:
        result = fit(arch, tables, overrides or [], names, grade, seed, evaluations, rows, notify, bounds=limits)
    write_whole(file, fitted_file.arch_text(result, file))
    deliver(out, result, calibration_table, document, row_lines)
    say(f"{file} written; `stcsim arch {file}` shows it")
