"""What NVIDIA publishes of the hardware and the format themselves: peak rates, large GEMMs, the memory that 2:4 saves."""

from __future__ import annotations

from collections.abc import Iterator

from stcsim.study.axis import parse_axis
from stcsim.study.curve import Side
from stcsim.study.reproduce.model import Case, Execution, Point, Study, almost, exactly

_LARGE = ((16_384, 16_384, 16_384),)
_PEAKS = {"fp16": (312, 624), "bf16": (312, 624), "tf32": (156, 312), "int8": (624, 1248), "int4": (1248, 2496)}
_SIDES: tuple[Side, Side] = ("dense", "2:4")
_SIMULATED = ("fp16", "bf16", "tf32", "int8")


def _peaks() -> Iterator[Point]:
    """Yield the peak of every type and side, each followed by what a large GEMM reaches of it."""
    for dtype, figures in _PEAKS.items():
        for side, figure in zip(_SIDES, figures, strict=True):
            case = Case(Execution(_LARGE, "a100", dtype, side))
            yield Point("peak", (case,), exactly(figure), label=f"{dtype} {side}", series="peak")
            if dtype in _SIMULATED:
                yield Point("reached", (case,), exactly(figure), label=f"{dtype} {side}", series="GEMM 16384x16384x16384")


PEAKS = Study(
    "peaks",
    "peak rates of the tensor cores, and what a large GEMM reaches of them",
    "A100",
    "312 TFLOPS dense and 624 with 2:4 in FP16 and BF16, half in TF32, twice in INT8, four times in INT4",
    "'NVIDIA A100 Tensor Core GPU Architecture' (whitepaper, 2020)",
    tuple(_peaks()),
    (
        "peaks follow from the rates and the clock in the A100's file, which come from the same whitepaper",
        "no GEMM reaches the peak: its difference is what is left on the way, within the board's 400 W, and no error",
        "GEMMs in INT4 are left out: no measured times of them are known",
    ),
)

INT8_GEMM = Study(
    "int8-gemm",
    "INT8 GEMMs of M = N = 10,240 over the reduction K",
    "A100",
    "the speedup of 2:4 rises with K to almost 2",
    "Mishra et al., 'Accelerating Sparse Deep Neural Networks' (arXiv 2104.08378), figure of sparse against dense INT8 GEMMs",
    tuple(
        Point(
            "speedup",
            (Case(Execution(((10_240, 10_240, k),), "a100", "int8", "2:4", launch="stream", warm=True)),),
            almost(2.0) if k == 20_480 else None,
            k,
        )
        for k in parse_axis("k=1280..20480").values
        if isinstance(k, int)
    ),
    (
        "the figure gives no numbers: only the end of the curve is compared, at the largest K shown here",
        "results are written in INT8 by the best dense tile; cuBLAS returns INT32, and today's has one slower kernel for that on"
        " an A100 (`--out-dtype int32`), against which 2:4 gains more than twice",
        "kernels are those of the catalogue; the publication used cuSPARSELt and cuBLAS of 2021",
    ),
    "k",
)

STORAGE = Study(
    "storage",
    "memory of the pruned weights of ResNet-34",
    "any with 2:4",
    "2:4 saves 43.75 % of 16-bit and 37.5 % of 8-bit weights, with the metadata",
    "the format: two of four values and two bits of metadata for each (arXiv 2104.08378)",
    (
        Point("saved", (Case(Execution("resnet34", "a100", "fp16")),), exactly(0.4375), label="16-bit"),
        Point("saved", (Case(Execution("resnet34", "a100", "int8")),), exactly(0.375), label="8-bit"),
    ),
    ("layers that have no 2:4 form are left out; padding to whole tiles is not counted",),
)

HARDWARE = (PEAKS, STORAGE, INT8_GEMM)
