"""Kernels of Turing's library, in data: dense only, two stages."""

from __future__ import annotations

from dataclasses import replace

from stcsim.timing.catalogue import ampere
from stcsim.timing.catalogue.row import Menu, Row

CUTLASS = Menu(
    source="The tile list of CUTLASS 2.x's generator for compute capability 7.5 (NVIDIA/cutlass @7107b05,"
    " python/cutlass_library/generator.py).",
    family="sm75",
    rows=(
        Row(cta_m=256, cta_n=128, k_bytes=64, stages=2, warps_m=4, warps_n=2),
        Row(cta_m=128, cta_n=256, k_bytes=64, stages=2, warps_m=2, warps_n=4),
        Row(cta_m=128, cta_n=128, k_bytes=64, stages=2, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=256, k_bytes=64, stages=2, warps_m=1, warps_n=4),
        Row(cta_m=256, cta_n=64, k_bytes=64, stages=2, warps_m=4, warps_n=1),
        Row(cta_m=64, cta_n=128, k_bytes=64, stages=2, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=64, k_bytes=64, stages=2, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=64, stages=2, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=32, k_bytes=64, stages=2, warps_m=2, warps_n=1),
    ),
)
GEMV = replace(ampere.GEMV, family="sm75")
