"""vLLM's 2:4 kernels and rules, in data: Hopper only, shipped from December 2024 to March 2026."""

from __future__ import annotations

from dataclasses import replace

from stcsim.timing.catalogue.row import Menu
from stcsim.timing.catalogue.rules import Line, Rules
from stcsim.timing.catalogue.rules import hopper_row as row

_K256, _K128 = 256, 128
"""Bytes of k of a tile; of elements of 8 bits as many."""
_Q, _QKV, _UP = 4096, 6144, 28672
"""Features of Llama-3-8B's projections, for which the fp8 table has lines of its own."""

_MENU = Menu(
    source="csrc/sparse/cutlass of vllm-project/vllm (.cu @fc10a04, .cuh @074bf3a): one kernel for each type, number of"
    " tokens (up to the next power of two) and of features; k is not looked at. Persistent, stages as many as fit, no"
    " split-K, no stream-K.",
    rows=(),
    family="sm90",
    sparse=True,
    wgmma=True,
    max_splits=1,
)
F16 = Rules(
    types=("fp16", "bf16"),
    menu=replace(_MENU, source=f"{_MENU.source} One tile of 128 x 128 x 128 elements for all."),
    lines=(Line(row=row(128, 128, _K256, "ws")),),
)
FP8 = Rules(
    types=("fp8",),
    menu=_MENU,
    lines=(
        Line(most_tokens=64, features=(_Q, _QKV), row=row(64, 64, _K256, "ws", (8, 1))),
        Line(most_tokens=64, features=(_UP,), row=row(128, 64, _K256, "coop", (8, 1))),
        Line(most_tokens=64, row=row(64, 64, _K256, "ws")),
        Line(most_tokens=128, features=(_Q,), row=row(64, 64, _K256, "ws", (1, 2))),
        Line(most_tokens=128, features=(_QKV,), row=row(64, 128, _K256, "ws", (8, 1))),
        Line(most_tokens=128, features=(_UP,), row=row(128, 128, _K256, "pingpong", (8, 1))),
        Line(most_tokens=128, row=row(64, 128, _K256, "pingpong")),
        Line(most_tokens=256, features=(_Q,), row=row(64, 128, _K256, "ws", (1, 2))),
        Line(most_tokens=256, features=(_UP,), row=row(128, 256, _K128, "coop", (8, 1))),
        Line(most_tokens=256, row=row(128, 128, _K256, "coop")),
        Line(features=(_QKV, _UP), row=row(128, 256, _K128, "coop", (8, 1))),
        Line(row=row(128, 128, _K256, "coop")),
    ),
)
INT8 = Rules(
    types=("int8",),
    menu=_MENU,
    lines=(
        Line(most_tokens=32, least_features=8192, row=row(64, 128, _K256, "ws", (1, 4))),
        Line(most_tokens=32, row=row(64, 64, _K256, "ws", (1, 8))),
        Line(most_tokens=64, row=row(64, 64, _K256, "ws")),
        Line(most_tokens=128, row=row(64, 128, _K128, "pingpong", (2, 1))),
        Line(row=row(128, 128, _K128, "pingpong", (2, 1))),
    ),
)
RULES = (F16, FP8, INT8)
