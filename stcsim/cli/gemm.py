"""The command ``stcsim gemm``."""

from __future__ import annotations

from stcsim.cli import options as opt
from stcsim.cli.output import output
from stcsim.cli.run import deliver_run
from stcsim.cli.steps import load_variant, prepare, whole
from stcsim.words import Data, Engine, Format, Launch, Library, size


def gemm(
    m: opt.MSize,
    n: opt.NSize,
    k: opt.KSize,
    arch: opt.ArchOption,
    dtype: opt.DTypeOption = opt.FP16,
    batch: opt.GemmBatchOption = 1,
    out_dtype: opt.OutDTypeOption = None,
    sparsity: opt.SparsityOption = None,
    overrides: opt.SetOption = None,
    variants: opt.VariantOption = None,
    kernel: opt.KernelOption = None,
    library: opt.LibraryOption = Library.CUSPARSELT,
    engine: opt.EngineOption = Engine.FAST,
    launch: opt.LaunchOption = Launch.GRAPH,
    duration: opt.DurationOption = opt.SUSTAINED,
    weights_in_l2: opt.WeightsInL2Option = False,
    weight_copies: opt.WeightCopiesOption = None,
    data: opt.DataOption = Data.RANDN,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Simulate one GEMM, D (M x N) = A (M x K) times B (K x N), dense and 2:4; sizes are also understood as MxNxK.

    For example: stcsim gemm 4096 4096 4096 --arch h100 --dtype fp8
    """
    out = output(format, json, csv)
    sizes = [size(whole(text, name), name) for name, text in (("m", m), ("n", n), ("k", k))]
    size(batch, "batch")
    from stcsim import replay
    from stcsim.replay.door import element_of, kernel_of, library_for, warmth_of
    from stcsim.timing.board.duration import parse_duration

    gpu, element = load_variant(arch, overrides, variants), dtype or opt.FP16
    library_for(gpu, element_of(element), replay.modes_of(gpu, element_of(element), sparsity), library)
    kernel_of(gpu, kernel)
    parse_duration(duration)
    warmth_of(weights_in_l2, weight_copies)
    prepare()
    rows, columns, reduction = sizes
    result = replay.gemm(
        rows, columns, reduction, gpu, dtype=element, batch=batch, out_dtype=out_dtype, sparsity=sparsity,
        engine=engine, kernel=kernel, launch=launch, duration=duration, weights_in_l2=weights_in_l2,
        weight_copies=weight_copies, data=data, library=library,
    )  # fmt: skip
    deliver_run(result, out)
