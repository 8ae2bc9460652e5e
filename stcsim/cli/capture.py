"""The command ``stcsim capture``."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.cli import completion
from stcsim.cli import options as opt
from stcsim.cli.output import check_outputs
from stcsim.cli.steps import said_whole
from stcsim.errors import StcsimError

if TYPE_CHECKING:
    from stcsim.trace import Trace

_REASONS = 2
"""Operators that do not follow the batch which are named before the trace has to be looked into."""

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|MODULE:FACTORY|transformers:MODEL|FILE",
        help="A known network, a function that returns one, a model of transformers, an ONNX file, or a table (CSV).",
        autocompletion=completion.networks,
    ),
]


ArgumentOption = Annotated[
    list[str] | None,
    typer.Option("--arg", metavar="NAME=VALUE", help="Of the factory, or of the configuration. May be repeated."),
]
TensorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]SIZES[:TYPE]",
        help="A tensor it is fed with, e.g. 1x3x224x224 or ids=1x128:int64; the first size is the batch, or the one written B. "
        "May be repeated.",
    ),
]


def capture(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the trace goes.")],
    batch: Annotated[int | None, typer.Option("--batch", "-b", metavar="N", help="Samples in one pass.")] = None,
    shape: Annotated[str | None, typer.Option("--shape", metavar="SIZES", help="Of one sample, e.g. 3x224x224.")] = None,
    inputs: TensorsOption = None,
    arguments: ArgumentOption = None,
    dtype: opt.DTypeOption = None,
    strict: opt.StrictOption = False,
) -> None:
    """Run a PyTorch network on tensors without data, or read an ONNX file, and write every operation it asks for as a trace.

    For example: stcsim capture transformers:gpt2 --arg n_layer=2 --input input_ids=1x512:int64 -o gpt2.json
    """
    check_outputs(output=output)
    from stcsim.report.terminal.console import say, show
    from stcsim.report.terminal.inventory import traces_table

    sys.path.insert(0, os.getcwd())  # MODULE may be a file where the user stands, as with `python -m`
    trace = said_whole(_captured(network, batch, shape, inputs, arguments, dtype), strict)
    if not trace.rescalable and trace.source.fixed_batch:
        say(f"{trace.name} is right at batch {trace.batch} only: {'; '.join(trace.source.fixed_batch[:_REASONS])}")
    trace.save(output)
    show(traces_table([trace]))


def _captured(
    name: str,
    batch: int | None,
    shape: str | None,
    inputs: Sequence[str] | None,
    arguments: Sequence[str] | None,
    dtype: str | None,
) -> Trace:
    """Return the trace of a network that stands in a file, or of one that PyTorch runs."""
    from stcsim.capture import CSV, ONNX, capture, open_trace

    if not name.lower().endswith((CSV, ONNX)):
        if inputs and shape is not None:
            raise StcsimError("shape", "either it or --input, which says the same and more", "both")
        return capture(name, batch, sizes_of(shape), dtype or "fp16", arguments=_values(arguments), inputs=inputs)
    for argument, value in (("shape", shape), ("arguments", arguments)):
        if value:
            raise StcsimError(argument, "a PyTorch network (an ONNX model takes --input NAME=SIZES)", f"'{name}'")
    return open_trace(name, batch, inputs, dtype)


def sizes_of(shape: str | None) -> tuple[int, ...] | None:
    """Return ``3x224x224`` as numbers."""
    if shape is None:
        return None
    words = shape.lower().split("x")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise StcsimError("shape", "sizes above 0 with an x between, e.g. 3x224x224", f"'{shape}'")
    return tuple(map(int, words))


def _values(words: Sequence[str] | None) -> dict[str, object]:
    """Return each ``name=value`` with its value as Python reads it; what is no literal is text."""
    values: dict[str, object] = {}
    for word in words or ():
        name, equals, text = word.partition("=")
        if not equals or not name.replace(".", "_").isidentifier() or name in values:
            raise StcsimError("arguments", "NAME=VALUE, each name once, e.g. num_hidden_layers=2", f"'{word}'")
        try:
            values[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            values[name] = text
    return values
