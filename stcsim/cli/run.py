"""The command ``stcsim run``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.steps import Shown, check_outputs, deliver, load_gpu, load_network, prepare
from stcsim.errors import StcsimError


class Fusion(StrEnum):
    """Whether memory operations run in the kernel of the operation before them."""

    EPILOGUE = "epilogue"
    NONE = "none"


BatchOption = Annotated[int | None, typer.Option("--batch", "-b", metavar="N", help="Rescale the trace to this batch.")]
TopOption = Annotated[int | None, typer.Option("--top", metavar="N", min=1, help="Show only the N lines that take longest.")]
UngroupOption = Annotated[bool, typer.Option("--ungroup", help="One line for each layer; alike ones share a line otherwise.")]
WhyOption = Annotated[
    int, typer.Option("--why", metavar="N", min=0, help="Say what would help the N lines that take longest (some ms each).")
]
PruneListOption = Annotated[
    Path | None, typer.Option("--prune-list", metavar="FILE", help="Write the names of the layers to prune, one a line.")
]
FusionOption = Annotated[
    Fusion, typer.Option("--fusion", help="Element-wise steps run in the kernel before where they can, or each in its own.")
]
KeepDenseOption = Annotated[
    list[str] | None,
    typer.Option("--keep-dense", metavar="PATTERN", help="Never prune these layers: '*.fc*', first, last. May be repeated."),
]
DTypeOfOption = Annotated[
    list[str] | None,
    typer.Option("--dtype-of", metavar="PATTERN=TYPE", help="Another type for these, e.g. last=fp16. May be repeated."),
]


def run(
    trace: opt.TraceArgument,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = None,
    batch: BatchOption = None,
    inputs: opt.InputOption = None,
    sparsity: opt.SparsityOption = None,
    keep_dense: KeepDenseOption = None,
    dtype_of: DTypeOfOption = None,
    settings: opt.SetOption = None,
    kernel: opt.KernelOption = None,
    engine: opt.EngineOption = opt.Engine.FAST,
    launch: opt.LaunchOption = opt.LaunchMode.GRAPH,
    fusion: FusionOption = Fusion.EPILOGUE,
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
    check_outputs(json=json, csv=csv, prune_list=prune_list)
    from stcsim import replay
    from stcsim.report.terminal.console import progress

    gpu, network = load_gpu(arch, settings), load_network(trace, batch, inputs)
    gpu.require(dtype or network.dtype, sparsity in (opt.Sparsity.BOTH, opt.Sparsity.SPARSE))
    dense, types = keep_dense or [], _types_by_pattern(dtype_of or [])
    replay.LayerRules(network, dtype, dense, types)  # refuses a pattern that names nothing before anything is compiled
    prepare()
    with progress(network.name) as advance:
        result = replay.run(
            network, gpu, dtype=dtype, sparsity=sparsity, engine=engine, kernel=kernel, launch=launch, fusion=fusion,
            keep_dense=dense, dtype_of=types, progress=advance,
        )  # fmt: skip
    deliver(result, json, csv, prune_list, Shown(top, not ungroup, why))


def _types_by_pattern(settings: list[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for setting in settings:
        pattern, equals, name = setting.rpartition("=")
        if not (pattern and equals and name):
            raise StcsimError("--dtype-of", "PATTERN=TYPE, e.g. last=fp16", f"'{setting}'")
        types.pop(pattern, None)
        types[pattern] = name
    return types
