"""Steps that several commands share: loading, checking before long work, compiling, writing and printing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stcsim.cli import options as opt
from stcsim.errors import StcsimError
from stcsim.files import check_writable, write_whole

if TYPE_CHECKING:
    from stcsim.arch import Arch
    from stcsim.result import RunResult
    from stcsim.trace import Trace

_COMPILE_SECONDS = 5
"""What the first use of the fast engine takes, as its message promises (3 s were measured on a 2-core machine)."""

_FIGURES = ("figure", "report")
"""Options that name a picture."""


def refuse_negatives(arguments: Sequence[str]) -> None:
    """Refuse ``-1``, which would be read as an unknown option (after ``--`` the command itself will)."""
    for argument in takewhile(lambda word: word != "--", arguments):
        if argument.startswith("-") and argument[1:].replace(".", "", 1).isdecimal():
            raise StcsimError("command line", "numbers above 0", f"'{argument}'")


def load_gpu(name_or_path: str, settings: list[str] | None) -> Arch:
    """Load a GPU with its overrides."""
    from stcsim.arch import load_arch

    return load_arch(name_or_path, settings or [])


def check_outputs(**outputs: Path | None) -> None:
    """Refuse, before any work, what could not be drawn or written after it."""
    from stcsim.report.figures.figure_file import check_figure

    taken: dict[Path, str] = {}
    for name, path in outputs.items():
        if path is not None:
            option = f"--{name.replace('_', '-')}"
            if name in _FIGURES:
                check_figure(path, option)
            check_writable(path, option)
            if (other := taken.setdefault(path.resolve(), option)) != option:
                raise StcsimError(f"{option} {path}", f"another file than that of {other}", "the same")


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise StcsimError(name, "a whole number above 0", str(size))


def sizes_of(shape: str | None) -> tuple[int, ...] | None:
    """Return ``3x224x224`` as numbers."""
    if shape is None:
        return None
    words = shape.lower().split("x")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise StcsimError("--shape", "sizes above 0 with an x between, e.g. 3x224x224", f"'{shape}'")
    return tuple(map(int, words))


def load_network(name_or_path: str, batch: int | None = None, inputs: Sequence[str] | None = None) -> Trace:
    """Load a trace, an ONNX model or a table of GEMMs, at its own batch or another."""
    from stcsim.capture import open_trace

    return open_trace(name_or_path, batch, inputs)


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


@dataclass(frozen=True, slots=True)
class Shown:
    """How a run is printed: at most ``top`` lines, alike layers ``grouped``, and for ``why`` lines what would help."""

    top: int | None = None
    grouped: bool = True
    why: int = 1


def deliver(
    result: RunResult, json: Path | None, csv: Path | None, prune_list: Path | None = None, shown: Shown | None = None
) -> None:
    """Write the files asked for, then print."""
    from stcsim.report.export.result import to_json, write_csv, write_json
    from stcsim.report.terminal.console import say, show
    from stcsim.report.terminal.lines import lines_of
    from stcsim.report.terminal.pruning import prune_names
    from stcsim.report.terminal.tables import run_table

    shown = shown or Shown()
    for line in lines_of(result.rows, shown.grouped)[: shown.why]:
        for row in line.rows[:1]:
            for kernel in (row.chosen,) if len(result.rows) > 1 else (row.dense, row.sparse):
                if kernel is not None:
                    kernel.gains.look()
    if json:
        write_json(to_json(result), json)
    if csv:
        write_csv(result, csv)
    if prune_list:
        names = prune_names(result)
        write_whole(prune_list, "".join(f"{name}\n" for name in names))
        if not names:
            say(f"{prune_list} is empty: no layer is faster in 2:4, or none was to be pruned")
    show(run_table(result, shown.top, shown.grouped))


def compare(network: Trace, arch: str | None, dtype: str | None, json: Path | None, **options: Any) -> bool:
    """Hold a network against PyTorch, write and print; say whether all that must be equal is."""
    from stcsim.check import check
    from stcsim.report.export.result import write_json
    from stcsim.report.terminal.check import check_table, to_json
    from stcsim.report.terminal.console import progress, show

    element = opt.type_name(dtype or network.dtype)
    capability = capability_of(arch, element)
    with progress(network.name) as advance:
        report = check(network, capability, element, progress=advance, **options)
    if json:
        write_json(to_json(report), json)
    show(check_table(report))
    return report.passed


def network_of(trace: str | None, gemm: tuple[int, int, int] | None, inputs: Sequence[str] | None = None) -> Trace:
    """Return the trace asked for, or one of a single GEMM."""
    from stcsim.trace import Gemm, Source, Trace

    if (trace is None) == (gemm is None):
        raise StcsimError("command line", "either a trace or --gemm M N K", "neither" if trace is None else "both")
    if trace is not None:
        return load_network(trace, inputs=inputs)
    assert gemm is not None
    m, n, k = gemm
    check_sizes(M=m, N=n, K=k)
    name = f"gemm {m}x{n}x{k}"
    source = Source(model="gemm", library="command line", version="none")
    return Trace(name=name, title=name, source=source, batch=1, input_shape=(k,), ops=(Gemm(name=name, m=m, n=n, k=k),))


def capability_of(arch: str | None, dtype: str) -> str:
    """Return the compute capability of a GPU, ``"sm_80"``; it stands for itself, and is the first with the type by default."""
    if arch is None:
        from stcsim.isa import code_dtype
        from stcsim.isa.instructions import usual_arch

        return usual_arch(code_dtype(dtype).name)
    if arch.startswith("sm_"):
        return arch
    return f"sm_{load_gpu(arch, None).compute_capability.replace('.', '')}"


def teach(
    instruction: str,
    arch: str | None,
    seed: int,
    at: tuple[int, int],
    blocking: str | None,
    figure: Path | None,
    json: Path | None,
) -> None:
    """Compute one element of one instruction on seeded operands, draw, write and print its steps."""
    from stcsim.isa import instructions
    from stcsim.numerics.examples import example
    from stcsim.numerics.stepwise import element_steps
    from stcsim.report.export.result import write_json
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.mma import mma_text, to_json

    known = instructions.parse(instruction)
    if blocking and not known.sparse:
        raise StcsimError("--blocking", "a sparse instruction, whose products it is about", known.name)
    capability = (
        instructions.archs_of(known)[0] if arch is None else arch if arch.startswith("sm") else capability_of(arch, known.a)
    )
    instructions.require(known, instructions.check_arch(capability))
    steps = element_steps(
        known.name, *example(known.name, seed), arch=capability, row=at[0], col=at[1], blocking=blocking or "kept"
    )
    if figure:
        from stcsim.report.figures.mma import write_figure

        write_figure(steps, figure, f"seed {seed}")
    if json:
        write_json({"seed": seed, **to_json(steps)}, json)
    show(mma_text(steps, f"seed {seed}"))
