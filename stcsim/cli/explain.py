"""The command ``stcsim explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpu, prepare, whole
from stcsim.words import Format, Launch, Library, size

TopOption = Annotated[int, typer.Option("--top", metavar="N", min=1, help="Show N kernels of each sparsity.")]


def explain(
    m: opt.MSize,
    n: opt.NSize,
    k: opt.KSize,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = opt.FP16,
    batch: opt.GemmBatchOption = 1,
    out_dtype: opt.OutDTypeOption = None,
    sparsity: opt.SparsityOption = None,
    overrides: opt.SetOption = None,
    kernel: opt.KernelOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    launch: opt.LaunchOption = Launch.GRAPH,
    duration: opt.DurationOption = opt.SUSTAINED,
    weights_in_l2: opt.WeightsInL2Option = False,
    weight_copies: opt.WeightCopiesOption = None,
    top: TopOption = 8,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Say why one GEMM takes as long as it does: plan, bounds, where the time goes, and the kernels that lost.

    For example: stcsim explain 4096 4096 4096 --arch a100
    """
    out = output(format, json, csv)
    rows, columns, reduction = (size(whole(text, name), name) for name, text in (("m", m), ("n", n), ("k", k)))
    size(batch, "batch")
    from stcsim.replay.door import warmth_of
    from stcsim.report.export.explanation import document, row_lines
    from stcsim.report.terminal.explanation import explanation_text
    from stcsim.study import explain as explaining
    from stcsim.timing.board.duration import parse_duration

    gpu = load_gpu(arch, overrides)
    parse_duration(duration)
    warmth_of(weights_in_l2, weight_copies)
    prepare()
    found = explaining.explain(
        rows, columns, reduction, gpu, dtype=dtype or opt.FP16, batch=batch, out_dtype=out_dtype, sparsity=sparsity,
        kernel=kernel, launch=launch, duration=duration, weights_in_l2=weights_in_l2,
        weight_copies=weight_copies, library=library,
    )  # fmt: skip
    deliver(out, found, lambda explanation: explanation_text(explanation, top), document, row_lines)
