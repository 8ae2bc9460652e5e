"""The command line: one file a command; here they are put together, and an error becomes one sentence.

Heavy libraries are imported inside the commands, so that ``stcsim --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from stcsim.cli import accuracy, data, evidence, study
from stcsim.cli.arch import arch
from stcsim.cli.calibrate import calibrate
from stcsim.cli.capture import capture
from stcsim.cli.check import check
from stcsim.cli.command import Command
from stcsim.cli.compare import compare
from stcsim.cli.curve import curve
from stcsim.cli.explain import explain
from stcsim.cli.gemm import gemm
from stcsim.cli.inspect import inspect
from stcsim.cli.kernels import kernels
from stcsim.cli.microbench import microbench
from stcsim.cli.mma import mma
from stcsim.cli.net import one_sentence
from stcsim.cli.prune import prune
from stcsim.cli.reproduce import reproduce
from stcsim.cli.roofline import roofline
from stcsim.cli.run import run
from stcsim.cli.schema import schema
from stcsim.cli.sensitivity import sensitivity
from stcsim.cli.steps import refuse_negatives
from stcsim.cli.traces import traces
from stcsim.cli.validate import validate
from stcsim.cli.whatif import whatif
from stcsim.cli.workflow import workflow
from stcsim.version import __version__

_EXAMPLES = """Examples:

stcsim run resnet34 --arch a100 --dtype int8 --batch 32

stcsim gemm 4096x4096x4096 --arch h100 --dtype fp8 --format json

stcsim curve bert-base --arch a100,h100 --over batch=1..64 --figure batch.pdf"""

#: Commands in the order of their use, under the headings of ``--help``; a typer of its own holds commands below one.
_COMMANDS: tuple[tuple[str, tuple[Callable[..., None] | tuple[str, typer.Typer], ...]], ...] = (
    ("Simulate", (run, gemm, explain, compare, curve, roofline, sensitivity, whatif, ("study", study.app))),
    ("Look up", (arch, traces, kernels, schema)),
    ("Bring a network, see the arithmetic", (capture, inspect, prune, workflow, check, mma, microbench)),
    (
        "How far to trust it",
        (validate, ("data", data.app), ("accuracy", accuracy.app), ("evidence", evidence.app), reproduce, calibrate),
    ),
)


def _together() -> typer.Typer:
    """Return the whole command line."""
    whole = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=_EXAMPLES,
    )
    for heading, commands in _COMMANDS:
        for each in commands:
            if isinstance(each, tuple):
                name, group = each
                whole.add_typer(group, name=name, rich_help_panel=heading)
            else:
                whole.command(rich_help_panel=heading)(each)
    _name_options(whole)
    return whole


def _name_options(group: typer.Typer) -> None:
    """Let every command name options in errors."""
    for command in group.registered_commands:
        command.cls = Command
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _name_options(below.typer_instance)


app = _together()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stcsim {__version__}")
        raise typer.Exit


@app.callback()
def _stcsim(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Simulate GEMM kernels of real networks on NVIDIA GPUs with sparse tensor cores, dense beside 2:4."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; whatever goes wrong is one sentence on stderr and exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    with one_sentence(words):
        refuse_negatives(words)
        app(args=words, prog_name="stcsim")
