"""The command ``stcsim inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.run import UngroupOption
from stcsim.cli.steps import load_gpu, prepare, whole
from stcsim.words import Format, listed, size

if TYPE_CHECKING:
    from stcsim.inspection import Gain

CheckpointArgument = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A .safetensors, .onnx or .npz file, or a Hugging Face folder.")
]
ArchsOrNone = Annotated[
    str | None,
    typer.Option(
        "--arch",
        "-a",
        metavar="NAME|FILE,…",
        help="Predict what 2:4 brings on these GPUs.",
        autocompletion=completion.several_archs,
    ),
]
TokensOption = Annotated[str, typer.Option("--tokens", metavar="N,…", help="Columns of every GEMM, for --arch.")]
WeightsOption = Annotated[
    list[str] | None, typer.Option("--weights", metavar="NAME", help="Look at these only, e.g. '*.mlp.*'. May be repeated.")
]
PermuteOption = Annotated[
    bool, typer.Option("--permute", help="Search an order of channels under which pruning keeps more (slow).")
]


def inspect(
    checkpoint: CheckpointArgument,
    archs: ArchsOrNone = None,
    tokens: TokensOption = "1,512,8192",
    dtype: opt.DTypeOption = None,
    weights: WeightsOption = None,
    permute: PermuteOption = False,
    overrides: opt.SetOption = None,
    ungroup: UngroupOption = False,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Say which weights of a checkpoint are 2:4, which could be, what pruning would keep, and what it brings.

    For example: stcsim inspect model.safetensors --arch a100,h100 --tokens 1,512,8192
    """
    out = output(format, json, csv)
    numbers = [size(whole(str(each), "tokens"), "tokens") for each in listed(tokens, "tokens", "whole numbers")]
    gpus = [load_gpu(str(name), overrides) for name in listed(archs, "archs", "names")] if archs else []
    from stcsim.inspection import gains_of, inspect_checkpoint
    from stcsim.report.export.inspection import document, row_lines
    from stcsim.report.terminal.console import progress
    from stcsim.report.terminal.inspection import inspection_table

    with progress(checkpoint) as advance:
        found = inspect_checkpoint(checkpoint, dtype=dtype, weights=weights or (), permute=permute, progress=advance)
    gains: tuple[Gain, ...] = ()
    if gpus and found.eligible:
        prepare()
        with progress("what 2:4 brings") as advance:
            gains = gains_of(found, gpus, numbers, advance)
    inputs = {"checkpoint": checkpoint, "arch": [gpu.name for gpu in gpus], "tokens": numbers, "dtype": dtype, "permute": permute}
    deliver(
        out,
        found,
        lambda each: inspection_table(each, gains, not ungroup),
        lambda each: document(each, gains, {**inputs, "weights": list(weights or ())}),
        row_lines,
    )
