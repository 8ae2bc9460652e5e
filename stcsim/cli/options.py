"""Options that several commands share, with their choices."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stcsim.isa import dtype, timed_types


class Sparsity(StrEnum):
    """Which kernels to simulate."""

    BOTH = "both"
    DENSE = "dense"
    SPARSE = "2:4"


class Engine(StrEnum):
    """Which of the two engines, which agree exactly."""

    FAST = "fast"
    REFERENCE = "reference"


class Blocking(StrEnum):
    """How the products of a sparse instruction are cut into blocks."""

    KEPT = "kept"
    EXPANDED = "expanded"


class Data(StrEnum):
    """What is multiplied."""

    RANDN = "randn"
    LOW_POWER = "low-power"


class LaunchMode(StrEnum):
    """How kernels are launched."""

    GRAPH = "graph"
    STREAM = "stream"


def type_name(word: str) -> str:
    """Return the name of the element type that is called ``word``, by any of its names."""
    return dtype(word).name


_TYPES = ", ".join(row.name for row in timed_types())

ArchOption = Annotated[str, typer.Option("--arch", "-a", metavar="NAME|FILE", help="GPU to simulate; `stcsim arch` lists them.")]
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=SIZES", help="Of an ONNX model, e.g. x=1x3x224x224. May be repeated."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change one value of the GPU, e.g. l2.capacity_mib=80. May be repeated."),
]
DTypeOption = Annotated[
    str | None, typer.Option("--dtype", "-d", metavar="TYPE", parser=type_name, help=f"Element type of the inputs: {_TYPES}.")
]
SparsityOption = Annotated[
    Sparsity | None,
    typer.Option(
        "--sparsity", help="Kernels to simulate.", show_default="both, or dense where the GPU has no sparse tensor cores"
    ),
]
EngineOption = Annotated[Engine, typer.Option("--engine", help="The readable engine is slow; both give the same answer.")]
KernelOption = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        metavar="NAME",
        help="Force one kernel instead of the fastest; heuristic: dense ones as cuBLAS picks them.",
    ),
]
LaunchOption = Annotated[LaunchMode, typer.Option("--timing", help="CUDA-graph replay, or launches into a stream.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write inputs and every figure as JSON.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line for each layer as CSV.")]

MSize = Annotated[int, typer.Argument(metavar="M", help="Rows of the weight, the sparse operand (output features).")]
NSize = Annotated[int, typer.Argument(metavar="N", help="Tokens, or batch times pixels.")]
KSize = Annotated[int, typer.Argument(metavar="K", help="Reduction (input features).")]
GemmBatchOption = Annotated[int, typer.Option("--batch", "-b", metavar="N", help="Independent GEMMs in one launch.")]
OutDTypeOption = Annotated[str | None, typer.Option("--out-dtype", metavar="TYPE", help="Output type, e.g. int32.")]
DataOption = Annotated[Data, typer.Option("--data", help="Random numbers, or zeros and constants, which draw less power.")]
WeightsInL2Option = Annotated[bool, typer.Option("--weights-in-l2", help="Weights are in L2 already, if they fit.")]

_TRACE = typer.Argument(metavar="TRACE", help="A trace or ONNX file, a table of GEMMs (CSV), or the name of a trace that ships.")
TraceArgument = Annotated[str, _TRACE]
CheckedTrace = Annotated[str | None, _TRACE]
CheckedGemm = Annotated[
    tuple[int, int, int] | None, typer.Option("--gemm", metavar="M N K", help="One GEMM instead of a trace; the weight is M x K.")
]
CapabilityOption = Annotated[
    str | None,
    typer.Option("--arch", "-a", metavar="SM|NAME|FILE", help="sm_80 and so on, or a GPU.", show_default="sm_80; sm_90 for fp8"),
]
LayersOption = Annotated[
    str | None, typer.Option("--layers", metavar="WHICH", help="Numbers, ranges and globs of names, e.g. '1,4-6,*.fc*'.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Your weights by layer name, .safetensors or .npz; others are seeded."),
]

InstructionName = Annotated[
    str, typer.Argument(metavar="INSTRUCTION", help="In PTX words, e.g. mma.sp.m16n8k32.f32.f16.f16.f32; dense or sparse.")
]
InstructionArchOption = Annotated[
    str | None,
    typer.Option("--arch", "-a", metavar="SM|NAME|FILE", help="sm_80 and so on, or a GPU.", show_default="the first that has it"),
]
BlockingOption = Annotated[
    Blocking | None,
    typer.Option("--blocking", help="Which products of a sparse instruction fill a block (assumed).", show_default="kept"),
]
FigureOption = Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw it too, as .png, .svg or .pdf.")]
MeasuredArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH…", help="Measured tables (CSV), or folders.", show_default="those of `stcsim data pull`"),
]
RowsOption = Annotated[Path | None, typer.Option("--rows", metavar="FILE", help="Write every row with its prediction as CSV.")]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Draw predicted against measured and errors, as .png, .svg or .pdf."),
]
