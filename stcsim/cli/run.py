"""The command ``stcsim run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import Output, deliver, output
from stcsim.cli.steps import load_network, load_variant, prepare
from stcsim.errors import StcsimError
from stcsim.words import Engine, Format, Fusion, Launch, Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stcsim.result import RunResult
    from stcsim.trace import Trace

TopOption = Annotated[int | None, typer.Option("--top", metavar="N", min=1, help="Show only the N lines that take longest.")]
UngroupOption = Annotated[bool, typer.Option("--ungroup", help="One line for each layer; alike ones share a line otherwise.")]
WhyOption = Annotated[
    int, typer.Option("--why", metavar="N", min=0, help="Say what would help the N lines that take longest (some ms each).")
]
PruneListOption = Annotated[
    Path | None, typer.Option("--prune-list", metavar="FILE", help="Write the names of the layers to prune, one a line.")
]
KeepDenseOption = Annotated[
    list[str] | None,
    typer.Option("--keep-dense", metavar="WHICH", help="Never prune these layers: '*.fc*', 1-3, first, last. May be repeated."),
]
DTypeOfOption = Annotated[
    list[str] | None,
    typer.Option("--dtype-of", metavar="WHICH=TYPE", help="Another type for these, e.g. last=fp16. May be repeated."),
]

PrunedAsOption = Annotated[
    str | None,
    typer.Option(
        "--pruned-as", metavar="CHECKPOINT|LIST", help="Time just these layers 2:4: those that are in a checkpoint, or in a list."
    ),
]
_NAMES_SHOWN = 3


def run(
    trace: opt.TraceArgument,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = None,
    batch: opt.BatchOption = None,
    inputs: opt.InputOption = None,
    values: opt.ValueOption = None,
    sparsity: opt.SparsityOption = None,
    keep_dense: KeepDenseOption = None,
    dtype_of: DTypeOfOption = None,
    pruned_as: PrunedAsOption = None,
    strict: opt.StrictOption = False,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    kernel: opt.KernelOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    engine: opt.EngineOption = Engine.FAST,
    launch: opt.LaunchOption = Launch.GRAPH,
    duration: opt.DurationOption = opt.SUSTAINED,
    fusion: opt.FusionOption = Fusion.EPILOGUE,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
    prune_list: PruneListOption = None,
    top: TopOption = None,
    ungroup: UngroupOption = False,
    why: WhyOption = 3,
) -> None:
    """Simulate a network: every layer dense and 2:4, the steps between, and what that means for the whole.

    For example: stcsim run resnet34 --arch a100 --dtype int8 --batch 32 --top 10
    """
    out = output(format, json, csv, prune_list=prune_list)
    from stcsim import replay
    from stcsim.replay.door import element_of, kernel_of
    from stcsim.report.terminal.console import progress
    from stcsim.timing.board.duration import parse_duration

    gpu, network = load_variant(arch, overrides, variants), load_network(trace, batch, inputs, values, strict)
    replay.modes_of(gpu, element_of(dtype or network.dtype), sparsity)
    kernel_of(gpu, kernel)
    parse_duration(duration)
    dense, types = keep_dense or [], _types_by_pattern(dtype_of or [])
    replay.LayerRules(network, dtype, dense, types)  # refuses a pattern that names nothing before anything is compiled
    pruned = _pruned(pruned_as, network, dtype) if pruned_as else None
    prepare()
    with progress(network.name) as advance:
        result = replay.run(
            network, gpu, dtype=dtype, sparsity=sparsity, engine=engine, kernel=kernel, launch=launch, duration=duration,
            fusion=fusion, library=library, keep_dense=dense, dtype_of=types, pruned_as=pruned, progress=advance,
        )  # fmt: skip
    if prune_list:
        _write_prune_list(result, prune_list)
    deliver_run(result, out, top, not ungroup, why)


def deliver_run(result: RunResult, out: Output, top: int | None = None, grouped: bool = True, why: int = 1) -> None:
    """Find out what would help the ``why`` lines that take longest, then write and print."""
    from stcsim.report.terminal.lines import lines_of
    from stcsim.report.terminal.tables import run_table
    from stcsim.result import RunResult

    for line in lines_of(result.rows, grouped)[:why]:
        for row in line.rows[:1]:
            for kernel in (row.chosen,) if len(result.rows) > 1 else (row.dense, row.sparse):
                if kernel is not None:
                    kernel.gains.look()
    deliver(out, result, lambda found: run_table(found, top, grouped), RunResult.to_dict, RunResult.lines)


def _pruned(pruned_as: str, network: Trace, dtype: str | None) -> tuple[str, ...]:
    """Return the layers that are pruned, and say what found no partner."""
    from stcsim.inspection import match_pruned
    from stcsim.report.terminal.console import say

    match = match_pruned(network, pruned_as, dtype=dtype)
    if match.unmatched_layers:
        say(f"{_some(match.unmatched_layers, 'layer')} without a weight in {pruned_as}, dense")
    if match.unmatched_weights:
        say(f"{_some(match.unmatched_weights, 'name')} of {pruned_as} without a layer in {network.name}")
    if not match.pruned:
        say(f"no layer of {network.name} is 2:4 in {pruned_as}")
    return match.pruned


def _some(names: Sequence[str], what: str) -> str:
    """Return how many names there are, and the first of them: ``2 layers (a, b)``."""
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({shown})"


def _write_prune_list(result: RunResult, path: Path) -> None:
    from stcsim.files import write_whole
    from stcsim.report.terminal.console import say
    from stcsim.report.terminal.pruning import prune_names

    names = prune_names(result)
    write_whole(path, "".join(f"{name}\n" for name in names))
    if not names:
        say(f"{path} is empty: no layer is faster in {result.pattern}, or none was to be pruned")


def _types_by_pattern(settings: list[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for setting in settings:
        pattern, equals, name = setting.rpartition("=")
        if not (pattern and equals and name):
            raise StcsimError("dtype_of", "PATTERN=TYPE, e.g. last=fp16", f"'{setting}'")
        types.pop(pattern, None)
        types[pattern] = name
    return types
