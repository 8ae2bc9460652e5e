"""The command ``stcsim mma``."""

from __future__ import annotations

from typing import Annotated

import typer

from stcsim.cli import options as opt
from stcsim.cli.output import deliver, output
from stcsim.cli.steps import load_described
from stcsim.errors import StcsimError
from stcsim.words import Blocking, Format

RowOption = Annotated[int, typer.Option("--row", metavar="R", help="Of the element of D.")]
ColOption = Annotated[int, typer.Option("--col", metavar="C", help="Of the element of D.")]


def mma(
    instruction: opt.InstructionName,
    arch: opt.CapabilityOption = None,
    seed: opt.SeedOption = 0,
    row: RowOption = 0,
    col: ColOption = 0,
    blocking: opt.BlockingOption = None,
    figure: opt.FigureOption = None,
    format: opt.FormatOption = Format.TABLE,
    json: opt.JsonOption = None,
    csv: opt.CsvOption = None,
) -> None:
    """Show step by step how a tensor core computes one element of D = A times B + C, bit for bit.

    For example: stcsim mma mma.sp.m16n8k32.f32.f16.f16.f32 --arch a100 --row 3 --col 5
    """
    out = output(format, json, csv, figure=figure)
    from stcsim.isa import instructions
    from stcsim.numerics.examples import example
    from stcsim.numerics.stepwise import element_steps
    from stcsim.report.terminal.mma import document, mma_text, row_lines

    known, operands = instructions.parse(instruction), f"seed {seed}"
    if blocking and not known.sparse:
        raise StcsimError("blocking", "a sparse instruction, whose products it is about", known.name)
    gpu = load_described(arch) or instructions.archs_of(known)[0]
    instructions.require(known, gpu)
    found = element_steps(known.name, *example(known.name, seed), arch=gpu, row=row, col=col, blocking=blocking or Blocking.KEPT)
    if figure:
        from stcsim.report.figures.mma import write_figure  # waits for matplotlib

        write_figure(found, figure, operands)
    deliver(out, found, lambda steps: mma_text(steps, operands), lambda steps: document(steps, seed), row_lines)
