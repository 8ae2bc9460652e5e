"""The command ``stcsim prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.run import UngroupOption
from stcsim.errors import StcsimError
from stcsim.words import ConvOrder, Format, Method, WeightLayout

CheckpointArgument = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT", help="A .safetensors file, a Hugging Face folder, or an .npz archive.")
]
OutOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="What to write, of the same kind; a folder must be new or empty.")
]
MethodOption = Annotated[str, opt.choice(Method, "--method", help="The largest of each group; 2d: of 4x4 tiles, 2:4 both ways.")]
PatternOption = Annotated[
    str, typer.Option("--pattern", metavar="N:M", help="Weights that stay of each M along the reduction; 4:8-pairs too.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="WHICH", help="Prune these layers alone: '*.mlp.*', 1-3, first, last. May be repeated."),
]
PruneListOption = Annotated[
    Path | None,
    typer.Option("--prune-list", metavar="FILE", help="Prune the layers named in it, one a line, as `stcsim run` writes them."),
]
KeepDenseOption = Annotated[
    list[str] | None,
    typer.Option("--keep-dense", metavar="WHICH", help="Never prune these layers: '*.fc*', 1-3, first, last. May be repeated."),
]
ConvOrderOption = Annotated[
    str,
    opt.choice(ConvOrder, "--conv-order", help="Groups along channels (rsc: kernels, ASP, ModelOpt), or as filters are stored."),
]
PermuteOption = Annotated[
    bool, typer.Option("--permute", help="Permute input channels first, and the layers that make them alike.")
]
PermuteOnlyOption = Annotated[
    bool, typer.Option("--permute-only", help="Permute and prune nothing, for another program to prune.")
]
FoldOption = Annotated[
    Path | None, typer.Option("--fold", metavar="FILE", help="YAML of layers whose channels may be permuted; see the documents.")
]
ScoresOption = Annotated[
    Path | None, typer.Option("--scores", metavar="FILE", help="The largest of these stay, by name of weight: Wanda, SparseGPT.")
]
MaskOption = Annotated[
    Path | None, typer.Option("--mask", metavar="FILE", help="Masks made elsewhere, by name of weight; applied as they are.")
]
LayoutOption = Annotated[str, opt.choice(WeightLayout, "--layout", help="Zeros in place, or values and bitmasks.")]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", metavar="FILE", help="Write what stayed, a bool for each weight: .safetensors or .npz.")
]
PackMasksOption = Annotated[bool, typer.Option("--pack-masks", help="Write masks in bits, the first of a row lowest.")]


def prune(
    checkpoint: CheckpointArgument,
    out: OutOption,
    method: MethodOption = Method.MAGNITUDE,
    pattern: PatternOption = "2:4",
    only: OnlyOption = None,
    prune_list: PruneListOption = None,
    keep_dense: KeepDenseOption = None,
    conv_order: ConvOrderOption = ConvOrder.RSC,
    permute: PermuteOption = False,
    permute_only: PermuteOnlyOption = False,
    fold: FoldOption = None,
    scores: ScoresOption = None,
    mask: MaskOption = None,
    layout: LayoutOption = WeightLayout.ZEROS,
    masks: MasksOption = None,
    pack_masks: PackMasksOption = False,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
    ungroup: UngroupOption = False,
) -> None:
    """Prune a checkpoint to 2:4 and write it again: by magnitude, scores or masks, channels permuted first if asked.

    For example: stcsim prune model.safetensors -o pruned.safetensors --permute
    """
    to = output(format, json, csv, masks=masks, **({} if checkpoint.is_dir() else {"output": out}))
    from stcsim.pruning import prune_checkpoint
    from stcsim.report.export.prune import prune_document, prune_lines, prune_table
    from stcsim.report.terminal.console import progress

    names = [*(only or []), *(_listed(prune_list) if prune_list else [])]
    with progress(checkpoint.name) as advance:
        report = prune_checkpoint(
            checkpoint, out, method=method, pattern=pattern, only=names, keep_dense=keep_dense or [], conv_order=conv_order,
            permute="only" if permute_only else permute, fold=fold, scores=scores, mask=mask, layout=layout, masks=masks,
            pack_masks=pack_masks, progress=advance,
        )  # fmt: skip
    deliver(to, report, lambda found: prune_table(found, not ungroup), prune_document, prune_lines)


def _listed(path: Path) -> list[str]:
    """Return the names in a file, one a line."""
    try:
        names = [line.strip().partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise StcsimError(f"--prune-list {path}", "a text file that can be read", "none") from None
    if not names:
        raise StcsimError(f"--prune-list {path}", "names of layers, one a line", "an empty file")
    return names
