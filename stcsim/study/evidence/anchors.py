"""Published single figures of real GPUs beside predictions.

They come from papers, issues and vendors' pages, mostly without clocks, data or algorithm stated, so they anchor, they do not
calibrate. Speeds count 2 operations for each multiply-accumulate, pruned ones included. ``gate`` is the absolute difference
reached when the row was written, rounded up: it shows a loss of accuracy, and is no claim that the model is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from stcsim.arch import load_arch
from stcsim.processes import Notify, on_processes
from stcsim.timing.board.duration import SUSTAINED, Duration
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.select import HEURISTIC
from stcsim.timing.problem import gemm_problem

Shape = tuple[int, int, int]

SM80 = ("kernel.family=sm80",)
PCIE_40GB = ("power.board_limit_w=250", "dram.bandwidth_gb_per_s=1555")

ISSUE = "square series of the project brief (cuSPARSELt)"
GRID = "aiconfigurator grid (cuBLAS through torch, CUDA graph, cold weights)"
GRID_DURATION = Duration(launches=6, before=3)
CUTLASS_408 = "CUTLASS issue 408"
LIBRARY_57 = "CUDALibrarySamples issue 57"
THONKING = "thonking.ai, Strangely, matrix multiplications"
PYTORCH = "PyTorch 90119 (cuSPARSELt, BERT-base, batch 4 to 256; sequences of 128 assumed)"
INT8 = "project brief: 2:4 approaches 2x as K grows (A100, M = N = 10,240)"
CEILING = "GOATnote-Inc periodicdent42, K from 65k to 196k"
SPARSEMMA = "sparsemma on PyPI"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published figure.

    Attributes:
        what: ``dense`` or ``2:4``, in TFLOPS (TOPS for int8); ``speedup``: dense time over 2:4 time, of all ``shapes`` the
            smallest or the largest where ``pick`` (``min``, ``max``) says so.
        low, high: the figure, or the range given. 0: no figure, the prediction shows a trend.
        source: where the figure stands.
        gate: see the module.
        settings: overrides of the GPU.
        note: what they stand for.
        kernel: the one that ran, or ``HEURISTIC`` where torch asked cuBLAS for one; ``None``: the best.
        launch: how it was timed.
        warm: whether every launch had the same weights.
        data: ``low-power`` for zeros and the like.
        duration: for how long the board was under load; sustained where the source does not say.
        dense_out: type of the dense results, where it is another one than that of the 2:4 ones.
    """

    gpu: str
    what: str
    dtype: str
    shapes: tuple[Shape, ...]
    low: float
    high: float
    source: str
    gate: float
    settings: tuple[str, ...] = ()
    note: str = ""
    pick: str = "max"
    kernel: str | None = None
    launch: str = "stream"
    warm: bool = True
    data: str = "randn"
    duration: Duration = SUSTAINED
    dense_out: str = ""


def square(size: int) -> tuple[Shape, ...]:
    """Return the one GEMM whose three sizes are ``size``."""
    return ((size, size, size),)


def grid(gpu: str, size: int, tflops: float, gate: float) -> Anchor:
    """Return a figure of aiconfigurator's grid."""
    case = Anchor(gpu, "dense", "bf16", square(size), tflops, tflops, GRID, gate, kernel=HEURISTIC, launch="graph", warm=False)
    return replace(case, duration=GRID_DURATION)


BERT = tuple((m, n, k) for m, k in ((768, 768), (3072, 768), (768, 3072)) for n in (512, 2048, 8192, 32_768))
PROFILED = ((3456, 4096, 8192),)
TILE = "sm80_256x128x32_s3_4x2"

ANCHORS = (
    Anchor("a100-pcie", "2:4", "bf16", square(4096), 401, 401, ISSUE, 0.13),
    Anchor("a100-pcie", "2:4", "bf16", square(16_384), 281, 281, ISSUE, 0.17),
    grid("a100", 4096, 267.3, 0.02),
    grid("a100", 8192, 262.5, 0.07),
    grid("h100", 4096, 788.6, 0.02),
    grid("h100", 8192, 782.7, 0.03),
    grid("h100", 16_384, 702.4, 0.08),
    Anchor("a100", "dense", "fp16", square(8192), 257, 257, f"{THONKING} (randn)", 0.04, kernel=HEURISTIC),
    Anchor("a100", "dense", "fp16", square(8192), 295, 295, f"{THONKING} (zeros)", 0.03, kernel=HEURISTIC,
           data="low-power"),
    Anchor("a100", "dense", "fp16", square(16_384), 302.3, 302.3, f"{CUTLASS_408} (small integers)", 0.04, data="low-power"),
    Anchor("a100", "2:4", "fp16", square(16_384), 484, 484, f"{CUTLASS_408} (1410 MHz locked, 400 W)", 0.12, data="low-power"),
    Anchor("a100", "dense", "fp16", square(4096), 226.1, 226.1, f"{LIBRARY_57} (CUTLASS, 0.608 ms)", 0.14),
    Anchor("a100", "2:4", "fp16", square(4096), 251.8, 251.8, f"{LIBRARY_57} (cuSPARSELt, 0.546 ms)", 0.73),
    Anchor("a100", "dense", "fp16", PROFILED, 235.1, 235.1, "CUTLASS profiler.md (small integers)", 0.05, kernel=TILE,
           data="low-power"),
    Anchor("a100-pcie", "dense", "fp16", PROFILED, 158, 158, "CUTLASS issue 956 (40 GB, 250 W card)", 0.12, PCIE_40GB, "250 W",
           kernel=TILE),
    Anchor("a100", "speedup", "fp16", BERT, 1.23, 1.23, f"{PYTORCH}: smallest", 0.11, pick="min", kernel=HEURISTIC),
    Anchor("a100", "speedup", "fp16", BERT, 1.66, 1.66, f"{PYTORCH}: largest", 0.04, kernel=HEURISTIC),
    Anchor("a100", "speedup", "int8", ((10_240, 10_240, 1280),), 0, 0, INT8, 0),
    Anchor("a100", "speedup", "int8", ((10_240, 10_240, 5120),), 0, 0, INT8, 0),
    Anchor("a100", "speedup", "int8", ((10_240, 10_240, 20_480),), 2, 2, INT8, 0.21),
    Anchor("a100", "speedup", "int8", ((10_240, 10_240, 20_480),), 2, 2, INT8, 0.28, note="int32 dense",
           dense_out="int32"),
    Anchor("h100", "dense", "fp16", square(8192), 753.6, 753.6, "GOATnote-Inc, public note of November 2025 (1.459 ms)", 0.11),
    Anchor("h100", "speedup", "fp16", square(8192), 1.20, 1.22, "CUDALibrarySamples issue 203 (700 W; type not stated)", 0.25),
    Anchor("h100", "dense", "bf16", ((768, 4096, 4096),), 563.4, 563.4, "CUTLASS issue 1335 (45.7 µs)", 0.24),
    Anchor("h100", "2:4", "bf16", ((768, 4096, 4096),), 347.1, 347.1, "CUTLASS issue 1335 (74.2 µs, Ampere kernel)", 0.48, SM80,
           "sm80 kernel"),
    Anchor("h100-pcie", "dense", "fp16", ((8192, 8192, 65_536),), 627, 634, CEILING, 0.35),
    Anchor("h100-pcie", "dense", "fp16", ((8192, 8192, 196_608),), 627, 634, CEILING, 0.35),
    Anchor("rtx4090", "dense", "fp16", ((4096, 1536, 6144),), 174, 174, f"{SPARSEMMA} (dense beside its 2:4)", 0.07),
    Anchor("rtx4090", "2:4", "int8", ((4096, 1536, 6144),), 263, 263, f"{SPARSEMMA} (a kernel of its own)", 2.6),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """An anchor with its prediction; ``difference`` is relative, to the nearer end of a range, ``None`` without a figure."""

    anchor: Anchor
    predicted: float

    @property
    def difference(self) -> float | None:
        """Relative difference of the prediction from the figure."""
        nearest = min(max(self.predicted, self.anchor.low), self.anchor.high)
        return self.predicted / nearest - 1 if nearest else None


def compare(anchors: Sequence[Anchor] = ANCHORS, notify: Notify | None = None) -> tuple[Compared, ...]:
    """Predict every anchor; ``notify`` is called with how many are done, and how many there are."""
    return tuple(
        Compared(anchor, found) for anchor, found in zip(anchors, on_processes(predicted, anchors, 1, notify), strict=True)
    )


def predicted(anchor: Anchor) -> float:
    """Return what the model says for an anchor, in its unit."""
    if anchor.what != "speedup":
        (shape,) = anchor.shapes
        time_us = predicted_us(anchor, shape, anchor.what == "2:4")
        return 2e-6 * shape[0] * shape[1] * shape[2] / time_us
    speedups = [predicted_us(anchor, shape, False) / predicted_us(anchor, shape, True) for shape in anchor.shapes]
    return min(speedups) if anchor.pick == "min" else max(speedups)


def predicted_us(anchor: Anchor, shape: Shape, sparse: bool) -> float:
    """Return microseconds of one GEMM of an anchor, dense or 2:4."""
    setup = anchor.gpu, anchor.settings, anchor.launch, anchor.kernel, anchor.data, anchor.duration
    return _time_us(*setup, anchor.dtype, anchor.dense_out, anchor.warm, shape, sparse)


@cache
def _time_us(
    gpu: str,
    settings: tuple[str, ...],
    launch: str,
    kernel: str | None,
    data: str,
    duration: Duration,
    name: str,
    out: str,
    warm: bool,
    shape: Shape,
    sparse: bool,
) -> float:
    problem = gemm_problem(*shape, name, 1, None if sparse else out or None, warm)  # else int8 has 8-bit results: assumed
    setup = Setup(load_arch(gpu, settings), launch=launch, kernel=kernel, data=data, duration=duration)
    return time_gemm(setup, problem, sparse).time_us
