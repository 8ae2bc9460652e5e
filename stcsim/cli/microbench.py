"""``stcsim microbench``: one tensor-core instruction as a microbenchmark would measure it."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.steps import check_outputs, load_gpu

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
    settings: opt.SetOption = None,
    json: opt.JsonOption = None,
) -> None:
    """Predict latency and FMA/clk/SM of one tensor-core instruction, as a microbenchmark would measure them.

    For example: stcsim microbench mma.sp.m16n8k32.f32.f16.f16.f32 --arch a100 --warps 8 --ilp 2
    """
    check_outputs(json=json)
    from stcsim.isa import instructions
    from stcsim.report.export.result import write_json
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.microbench import microbench_text, to_json
    from stcsim.timing.microbenchmark import microbench as measure

    benches = measure(instructions.parse(instruction), load_gpu(arch, settings), warps, ilp, operands)
    if json:
        write_json(to_json(benches), json)
    show(microbench_text(benches))
