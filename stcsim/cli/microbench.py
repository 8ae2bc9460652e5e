"""The command ``stcsim microbench``: one tensor-core instruction as a microbenchmark would measure it."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_gpu
from stcsim.words import Format

_Warps = Annotated[int | None, typer.Option("--warps", metavar="N", help="Of one SM.", show_default="several")]
_Ilp = Annotated[
    int | None, typer.Option("--ilp", metavar="N", help="Independent instructions of each warp.", show_default="1 to 4")
]
_Operands = Annotated[
    str | None,
    typer.Option("--operands", metavar="ss|rs", help="Of wgmma: A in shared memory or registers.", show_default="both"),
]


def microbench(
    instruction: opt.InstructionName,
    arch: opt.ArchOption,
    warps: _Warps = None,
    ilp: _Ilp = None,
    operands: _Operands = None,
    overrides: opt.SetOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Predict latency and FMA/clk/SM of one tensor-core instruction, as a microbenchmark would measure them.

    For example: stcsim microbench mma.sp.m16n8k32.f32.f16.f16.f32 --arch a100 --warps 8 --ilp 2
    """
    out = output(format, json, csv)
    from stcsim.isa import instructions
    from stcsim.report.terminal.microbench import document, microbench_text, row_lines
    from stcsim.timing.microbenchmark import microbench as measure

    known, gpu = instructions.parse(instruction), load_gpu(arch, overrides)
    benches = measure(known, gpu, warps, ilp, operands)
    inputs = {"instruction": known.name, "arch": gpu.to_dict(), "warps": warps, "ilp": ilp, "operands": operands}
    deliver(out, benches, microbench_text, lambda found: document(found, inputs), row_lines)
