"""2:4 kernels of PyTorch core (CUTLASS, compute capability 8.x) and of torchao (Hopper, fp8), in data: rules, no search."""

from __future__ import annotations

from stcsim.timing.catalogue.row import Menu, Row
from stcsim.timing.catalogue.rules import Line, Rules, hopper_row

_CORE = Menu(
    source="aten/src/ATen/native/sparse/cuda of pytorch/pytorch (SparseSemiStructuredLinear.cu, SparseSemiStructuredOps.cu):"
    " one tile for each type, three stages, no swizzle, no split-K.",
    rows=(),
    family="sm80",
    sparse=True,
    swizzle=1,
    max_splits=1,
)
CORE = (
    Rules(
        types=("fp16", "bf16", "int8"),
        menu=_CORE,
        lines=(Line(row=Row(cta_m=128, cta_n=128, k_bytes=128, stages=3, warps_m=2, warps_n=2)),),
    ),
    Rules(
        types=("tf32",),
        menu=_CORE,
        lines=(Line(row=Row(cta_m=128, cta_n=64, k_bytes=128, stages=3, warps_m=2, warps_n=2)),),
    ),
)
"""Kernels of ``torch.sparse.to_sparse_semi_structured`` where the backend is CUTLASS."""
AO = (
    Rules(
        types=("fp8",),
        menu=Menu(
            source="torchao/csrc/cuda/rowwise_scaled_linear_sparse_cutlass of pytorch/ao (@36027d8): three tiles, by tokens; all"
            " ping-pong with fast accumulation.",
            rows=(),
            family="sm90",
            sparse=True,
            wgmma=True,
            max_splits=1,
        ),
        lines=(
            Line(most_tokens=64, row=hopper_row(64, 32, 256, "pingpong")),
            Line(most_tokens=128, row=hopper_row(64, 128, 256, "pingpong")),
            Line(row=hopper_row(128, 128, 256, "pingpong", (1, 2))),
        ),
    ),
)
