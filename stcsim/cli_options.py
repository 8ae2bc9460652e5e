"""Options that several commands share, with their choices."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DTypeName(StrEnum):
    """Element types of the inputs."""

    FP16 = "fp16"
    BF16 = "bf16"
    TF32 = "tf32"
    INT8 = "int8"
    FP8 = "fp8"


class Sparsity(StrEnum):
    """Which kernels to simulate."""

    BOTH = "both"
    DENSE = "dense"
    SPARSE = "2:4"


class Engine(StrEnum):
    """Which of the two engines, which agree exactly."""

    FAST = "fast"
    REFERENCE = "reference"


class LaunchMode(StrEnum):
    """How kernels are launched."""

    GRAPH = "graph"
    STREAM = "stream"


ArchOption = Annotated[str, typer.Option("--arch", "-a", metavar="NAME|FILE", help="GPU to simulate; `stcsim arch` lists them.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change one value of the GPU, e.g. l2.capacity_mib=80. May be repeated."),
]
DTypeOption = Annotated[DTypeName | None, typer.Option("--dtype", "-d", help="Element type of the inputs.")]
SparsityOption = Annotated[
    Sparsity | None,
    typer.Option(
        "--sparsity", help="Kernels to simulate.", show_default="both, or dense where the GPU has no sparse tensor cores"
    ),
]
EngineOption = Annotated[Engine, typer.Option("--engine", help="The readable engine is slow; both give the same answer.")]
KernelOption = Annotated[str | None, typer.Option("--kernel", metavar="NAME", help="Force one kernel instead of the fastest.")]
LaunchOption = Annotated[LaunchMode, typer.Option("--timing", help="CUDA-graph replay, or launches into a stream.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write inputs and every figure as JSON.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line for each layer as CSV.")]

MSize = Annotated[int, typer.Argument(metavar="M", help="Rows of the weight, the sparse operand (output features).")]
NSize = Annotated[int, typer.Argument(metavar="N", help="Tokens, or batch times pixels.")]
KSize = Annotated[int, typer.Argument(metavar="K", help="Reduction (input features).")]
GemmBatchOption = Annotated[int, typer.Option("--batch", "-b", metavar="N", help="Independent GEMMs in one launch.")]
OutDTypeOption = Annotated[str | None, typer.Option("--out-dtype", metavar="TYPE", help="Output type, e.g. int32.")]
WeightsInL2Option = Annotated[bool, typer.Option("--weights-in-l2", help="Weights are in L2 already, if they fit.")]
