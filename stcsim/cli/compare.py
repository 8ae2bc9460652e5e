"""The command ``stcsim compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import Output, deliver, output
from stcsim.cli.steps import load_gpus, load_work, prepare
from stcsim.errors import StcsimError
from stcsim.words import Format, Library, listed

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.study.comparison.side_by_side import Comparison
    from stcsim.study.whatif.work import Work

WhatArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="TRACE|MxNxK|RESULT…", autocompletion=completion.traces,
        help="A trace, or the sizes of a GEMM; or saved results (stcsim run --json), of which two are explained.",
    ),
]  # fmt: skip
ArchsOption = Annotated[
    str | None,
    typer.Option(
        "--arch", "-a", metavar="NAME|FILE,…", help="GPUs to simulate; `stcsim arch` lists them.",
        autocompletion=completion.several_archs, show_default="those of saved results",
    ),
]  # fmt: skip
PriceOption = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="GPU=PRICE", help="For an hour of a GPU, in any currency, e.g. h100=2.9. May be repeated."),
]


def compare(
    what: WhatArgument,
    archs: ArchsOption = None,
    dtypes: opt.DTypesOption = None,
    batch: opt.BatchOption = None,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    duration: opt.DurationOption = opt.SUSTAINED,
    prices: PriceOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    csv: opt.CsvOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Hold a network side by side on several GPUs and in several types; or saved results, and say why two of them differ.

    For example: stcsim compare bert-large --arch a100,h100,l40s --price h100=2.9 --figure gpus.pdf
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.study.comparison.side_by_side import parse_prices

    priced = parse_prices(prices or [])
    if archs is None:
        _only_with_gpus(dtypes=dtypes, batch=batch, overrides=overrides, variants=variants)
        _compare_results(what, priced, out, figure)
        return
    if len(what) > 1:
        raise StcsimError("archs", "one trace or GEMM, which runs on them", " ".join(what))
    gpus, work = load_gpus(archs, overrides, variants), load_work(what[0], None, batch, strict, library, duration)
    found = _on_gpus(work, gpus, [str(name) for name in listed(dtypes, "dtypes", "names")] if dtypes else [work.dtype], priced)
    _deliver(found, out, figure)


def _on_gpus(work: Work, gpus: Sequence[Arch], dtypes: Sequence[str], prices: Mapping[str, float]) -> Comparison:
    from stcsim.report.terminal.console import progress
    from stcsim.study.comparison.side_by_side import side_by_side
    from stcsim.study.whatif.work import work_of

    works = [work_of(work.trace, dtype, library=work.library, duration=work.duration) for dtype in dtypes]
    prepare()
    with progress(work.trace.name) as advance:
        return side_by_side(works, gpus, prices, advance)


def _compare_results(files: Sequence[str], prices: Mapping[str, float], out: Output, figure: Path | None) -> None:
    """Explain two saved results, or show more of them, or any with their cost, side by side."""
    from stcsim.report.export.compare import difference_document, difference_lines
    from stcsim.report.terminal.compare import difference_table
    from stcsim.report.terminal.console import progress
    from stcsim.result import RunResult
    from stcsim.study.comparison.difference import difference_of
    from stcsim.study.comparison.side_by_side import of_results

    if len(files) < 2:
        raise StcsimError("archs", "GPUs to simulate a trace on, or several saved results to compare", "neither")
    if twice := next((file for file in files if files.count(file) > 1), None):
        raise StcsimError("command line", "each result once", f"'{twice}' twice")
    results = {file: RunResult.load(file) for file in files}
    if len(files) > 2 or prices:
        _deliver(of_results(results, prices), out, figure)
        return
    (old, first), (new, second) = results.items()
    prepare()
    with progress("what changed") as advance:
        found = difference_of(first, second, (old, new), advance)
    if figure:
        from stcsim.report.figures.compare import write_difference_figure  # waits for matplotlib

        write_difference_figure(found, figure)
    deliver(out, found, difference_table, difference_document, difference_lines)


def _deliver(found: Comparison, out: Output, figure: Path | None) -> None:
    from stcsim.report.export.compare import document, row_lines
    from stcsim.report.terminal.compare import compare_table

    if figure:
        from stcsim.report.figures.compare import write_compare_figure  # waits for matplotlib

        write_compare_figure(found, figure)
    deliver(out, found, compare_table, document, row_lines)


def _only_with_gpus(**given: object) -> None:
    """Refuse what changes a run where there is none: saved results stay as they are."""
    if unused := next((name for name, value in given.items() if value), None):
        raise StcsimError(unused, "GPUs to simulate on (--arch) beside it", "none, and saved results stay as they are")
