"""Steps that several commands share: loading, reading words, compiling."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from stcsim.cli.output import check_outputs
from stcsim.errors import StcsimError, quoted
from stcsim.words import listed

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.study.whatif.work import Work
    from stcsim.trace import Trace

__all__ = [
    "check_outputs",
    "load_described",
    "load_gpu",
    "load_gpus",
    "load_network",
    "load_variant",
    "load_work",
    "measured_tables",
    "prepare",
    "refuse_negatives",
    "said_whole",
    "whole",
]

_COMPILE_SECONDS = 5
"""What the first use of the fast engine takes, as its message promises (3 s were measured on a 2-core machine)."""
_MOST_DIGITS = 18
_ARCH_FILES = (".yaml", ".yml", ".json")


def refuse_negatives(arguments: Sequence[str]) -> None:
    """Refuse ``-1``, which would be read as an unknown option (after ``--`` the command itself will)."""
    for argument in takewhile(lambda word: word != "--", arguments):
        if argument.startswith("-") and argument[1:].replace(".", "", 1).isdecimal():
            raise StcsimError("command line", "numbers above 0", f"'{argument}'")


def whole(text: str, argument: str) -> int:
    """Return a size as a number."""
    if not text.removeprefix("-").isdecimal() or len(text) > _MOST_DIGITS:
        raise StcsimError(argument, "a whole number above 0", quoted(text))
    return int(text)


def load_gpu(arch: str, overrides: list[str] | None = None) -> Arch:
    """Load a GPU with its overrides."""
    from stcsim.arch import load_arch

    return load_arch(arch, overrides or [])


def load_gpus(archs: str, overrides: list[str] | None = None, variants: list[str] | None = None) -> list[Arch]:
    """Load several GPUs with their overrides, each followed by its what-ifs."""
    from stcsim.arch.variants import with_variants

    return list(with_variants([load_gpu(str(name), overrides) for name in listed(archs, "archs", "names")], variants or []))


def load_variant(arch: str, overrides: list[str] | None = None, variants: list[str] | None = None) -> Arch:
    """Load one GPU with its overrides, as the what-if if there is one."""
    *_, gpu = gpus = load_gpus(arch, overrides, variants) if variants else [load_gpu(arch, overrides)]
    if len(gpus) > 2:
        raise StcsimError(
            "variant", "one GPU with one what-if (stcsim compare and stcsim curve take several)", f"{len(gpus) - 1} what-ifs"
        )
    return gpu


def load_described(arch: str | None) -> str | Arch | None:
    """Return what numerics takes for a GPU: a compute capability and a shipped name stand for themselves, a file is loaded."""
    if arch is None:
        return None
    path = Path(arch)
    return load_gpu(arch) if path.suffix.lower() in _ARCH_FILES or os.path.isfile(path) else arch


def load_network(
    trace: str,
    batch: int | None = None,
    inputs: Sequence[str] | None = None,
    values: Sequence[str] | None = None,
    strict: bool = False,
) -> Trace:
    """Load a trace, an ONNX model or a table of GEMMs, at its own batch or another, and say what it lacks."""
    from stcsim.capture import open_trace

    return said_whole(open_trace(trace, batch, inputs, values=values), strict)


def load_work(
    work: str, dtype: str | None, batch: int | None, strict: bool, library: str = "cusparselt", duration: str = "sustained"
) -> Work:
    """Load a network, or the GEMM of sizes such as 4096x4096x4096, with what stays the same on every GPU."""
    from stcsim.study.axis import is_gemm
    from stcsim.study.whatif.work import work_of

    if is_gemm(work) and batch is not None:
        raise StcsimError("batch", "a network, whose batch can be another", f"{batch} beside a GEMM")
    source = work if is_gemm(work) else load_network(work, batch, strict=strict)
    return work_of(source, dtype, library=library, duration=duration)


def said_whole(trace: Trace, strict: bool = False) -> Trace:
    """Return ``trace``; say what it lacks on stderr.

    Raises:
        StcsimError: when it lacks anything and ``strict`` is set.
    """
    from stcsim.report.terminal.console import say

    partial = trace.partial
    if partial is not None and strict:
        raise StcsimError(f"{trace.name}: strict", "a network of which nothing is missing", partial.sentence)
    if partial is not None:
        say(f"{trace.name} is {partial.sentence}")
    return trace


def measured_tables(paths: Sequence[Path] | None) -> list[Path]:
    """Return the tables that the user named, else those that ``stcsim data pull`` put into the cache."""
    if paths:
        return list(paths)
    from stcsim.report.terminal.console import say
    from stcsim.study.public.cache import cache_folder, pulled_tables

    tables = pulled_tables(cache_folder())
    say(f"{len(tables)} public tables in {cache_folder()}")
    return tables


def prepare() -> None:
    """Compile the fast engine if that was never done here, and say so."""
    from stcsim.report.terminal.console import say
    from stcsim.timing.engine import fast

    if not fast.is_compiled():
        say(f"compiling the engine, once (about {_COMPILE_SECONDS} s)…")
        fast.warm_up()
