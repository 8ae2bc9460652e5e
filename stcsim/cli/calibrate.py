"""The command ``stcsim calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.steps import check_outputs, measured_tables, prepare

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
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the new arch file goes.")],
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
    settings: opt.SetOption = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write parameters and errors as JSON.")] = None,
) -> None:
    """Fit physical parameters of a GPU to your measurements, within bounds, and write a new arch file (needs scipy).

    For example: stcsim calibrate a100 --data mine.csv -o a100_mine.yaml
    """
    from stcsim.files import write_whole
    from stcsim.report.export.result import write_json
    from stcsim.report.terminal.calibration import calibration_table, fit_progress, to_json
    from stcsim.report.terminal.console import say, show
    from stcsim.study.calibration import fitted_file
    from stcsim.study.calibration.calibrate import calibrate as fit
    from stcsim.study.calibration.fit import parse_bounds

    check_outputs(output=output, json=json)
    fitted_file.check_target(arch, output)
    names = None if params is None else [name.strip() for name in params.split(",") if name.strip()]
    limits = parse_bounds(bounds or [])
    tables = measured_tables([*(data or []), *(more or [])])
    prepare()
    with fit_progress(evaluations) as notify:
        result = fit(arch, tables, settings or [], names, grade, seed, evaluations, rows, notify, bounds=limits)
    write_whole(output, fitted_file.arch_text(result, output))
    if json:
        write_json(to_json(result), json)
    show(calibration_table(result))
    say(f"{output} written; `stcsim arch {output}` shows it")
