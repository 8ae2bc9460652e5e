"""Options that several commands share, each defined once, with what completes it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stcsim.cli import completion
from stcsim.isa import dtype, timed_types
from stcsim.words import Blocking, Data, Engine, Format, Fusion, Launch, Library, Sparsity, word


def type_name(word: str) -> str:
    """Return the name of the element type that is called ``word``, by any of its names."""
    return dtype(word).name


SUSTAINED = "sustained"
"""How long a board is under load by default."""
FP16 = "fp16"
"""What a GEMM is simulated in by default."""
_TYPES = ", ".join(row.name for row in timed_types())


def choice(words: type[StrEnum], *declared: str, help: str, **more: Any) -> Any:
    """Return an option that takes one of ``words``, in any case of letters."""
    taken: Callable[..., Any] = _spelled(words)
    return typer.Option(
        *declared, metavar="|".join(words), help=help, callback=taken, autocompletion=completion.of(words), **more
    )


def _spelled(words: type[StrEnum]) -> Callable[..., StrEnum | None]:
    def taken(param: typer.CallbackParam, value: str | None) -> StrEnum | None:
        return None if value is None else word(words, value, max(param.opts, key=len))

    return taken


_TRACE_HELP = "A trace or ONNX file, a table of GEMMs (CSV), or the name of a trace that ships."
_TRACE: Any = typer.Argument(metavar="TRACE", help=_TRACE_HELP, autocompletion=completion.traces)
_ARCH_HELP = "GPU to simulate; `stcsim arch` lists them."

# --- what is simulated

TraceArgument = Annotated[str, _TRACE]
WorkArgument = Annotated[
    str,
    typer.Argument(metavar="TRACE|MxNxK", help=f"{_TRACE_HELP} Or the sizes of a GEMM.", autocompletion=completion.traces),
]
TraceOrNone = Annotated[str | None, _TRACE]
MSize = Annotated[str, typer.Argument(metavar="M", help="Rows of the weight, the sparse operand (output features).")]
NSize = Annotated[str, typer.Argument(metavar="N", help="Tokens, or batch times pixels.")]
KSize = Annotated[str, typer.Argument(metavar="K", help="Reduction (input features).")]
ArchOption = Annotated[str, typer.Option("--arch", "-a", metavar="NAME|FILE", help=_ARCH_HELP, autocompletion=completion.archs)]
ArchsOption = Annotated[
    str,
    typer.Option(
        "--arch", "-a", metavar="NAME|FILE,…", help="GPUs to simulate; `stcsim arch` lists them.",
        autocompletion=completion.several_archs,
    ),
]  # fmt: skip
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE",
        help="Change one value of the GPU, e.g. l2.capacity_mib=80, or x1.5, +8, -8 of what it is. May be repeated.",
        autocompletion=completion.settings,
    ),
]  # fmt: skip
VariantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--variant", metavar="NAME:PATH=VALUE,…",
        help="A what-if with a name, e.g. big_l2:l2.capacity_mib=80. May be repeated where a command takes several GPUs.",
    ),
]  # fmt: skip
CapabilityOption = Annotated[
    str | None,
    typer.Option(
        "--arch", "-a", metavar="SM|NAME|FILE", help="sm_80 and so on, or a GPU.",
        show_default="the first that has it", autocompletion=completion.archs,
    ),
]  # fmt: skip
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=SIZES", help="Of an ONNX model, e.g. x=1x3x224x224. May be repeated."),
]
ValueOption = Annotated[
    list[str] | None,
    typer.Option(
        "--value", metavar="NAME=NUMBER,…",
        help="What an input of an ONNX model holds, e.g. sr=16000, where branches or loops depend on it. May be repeated.",
    ),
]  # fmt: skip
InstructionName = Annotated[
    str, typer.Argument(metavar="INSTRUCTION", help="In PTX words, e.g. mma.sp.m16n8k32.f32.f16.f16.f32; dense or sparse.")
]

MeasuredArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH…", help="Measured tables (CSV), or folders.", show_default="those of `stcsim data pull`"),
]

# --- how it is simulated

DTypeOption = Annotated[
    str | None,
    typer.Option(
        "--dtype", "-d", metavar="TYPE", parser=type_name, help=f"Element type of the inputs: {_TYPES}.",
        autocompletion=completion.dtypes,
    ),
]  # fmt: skip
DTypesOption = Annotated[
    str | None,
    typer.Option(
        "--dtype", "-d", metavar="TYPE,…", help="Element types.", show_default="the trace's, or fp16",
        autocompletion=completion.several_dtypes,
    ),
]  # fmt: skip
OutDTypeOption = Annotated[str | None, typer.Option("--out-dtype", metavar="TYPE", help="Output type, e.g. int32.")]
BatchOption = Annotated[int | None, typer.Option("--batch", "-b", metavar="N", help="Rescale the trace to this batch.")]
GemmBatchOption = Annotated[int, typer.Option("--batch", "-b", metavar="N", help="Independent GEMMs in one launch.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a network of which an operator or a step is missing.")]
SparsityOption = Annotated[
    str | None,
    typer.Option(
        "--sparsity",
        metavar="|".join(Sparsity),
        help="Kernels to simulate; the sparse ones by the pattern that the GPU runs.",
        autocompletion=completion.of(Sparsity),
        show_default="both, or dense where the GPU has no sparse tensor cores",
    ),
]
EngineOption = Annotated[
    str, choice(Engine, "--engine", help="The readable engine (reference) is slow; both give the same answer.")
]
KernelOption = Annotated[
    str | None,
    typer.Option(
        "--kernel", metavar="NAME", autocompletion=completion.kernels, show_default="search",
        help="Force one kernel (`stcsim kernels` lists them) instead of the fastest; heuristic: dense ones as cuBLAS picks them.",
    ),
]  # fmt: skip
LibraryOption = Annotated[
    str, choice(Library, "--library", help="Whose 2:4 kernels and rules of choice; none: the runtime takes no 2:4 kernel.")
]
LaunchOption = Annotated[
    str, choice(Launch, "--launch", help="CUDA-graph replay, launches into a stream, or the kernel's time alone.")
]
JobsOption = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Processes to share the runs out to.")]
DurationOption = Annotated[
    str,
    typer.Option(
        "--duration", metavar="burst|sustained|TIME", autocompletion=completion.durations,
        help="How long the board is under load: before its power limit takes hold, after, or so long (mean of 40ms, 2s).",
    ),
]  # fmt: skip
FusionOption = Annotated[
    str, choice(Fusion, "--fusion", help="Element-wise steps run in the kernel before where they can, or each in its own.")
]
DataOption = Annotated[str, choice(Data, "--data", help="Random numbers, or zeros and constants, which draw less power.")]
WeightsInL2Option = Annotated[
    bool, typer.Option("--weights-in-l2", help="Every launch has the same weights: they are in L2 already, if they fit.")
]
WeightCopiesOption = Annotated[
    int | None,
    typer.Option(
        "--weight-copies", metavar="N", show_default="weights are cold",
        help="N sets of weights are launched in turn: they are in L2 already, if all fit. 1 is --weights-in-l2.",
    ),
]  # fmt: skip
BlockingOption = Annotated[
    str | None,
    choice(
        Blocking,
        "--blocking",
        help="Which products of a sparse instruction fill a block (assumed but on Hopper).",
        show_default="kept",
    ),
]

# --- what comes out

FormatOption = Annotated[str, choice(Format, "--format", "-f", help="How to print it.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE|-", help="Write inputs and every figure as JSON; - is standard output.")
]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE|-", help="Write one line for each row as CSV; - is standard output.")
]
FigureOption = Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, as .png, .svg or .pdf.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of operands that are drawn.")]
