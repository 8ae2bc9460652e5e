"""Kernels that start before the one ahead has ended: their first prologue is hidden, and all else happens that much earlier."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stcsim.arch import load_arch
from stcsim.timing.board.setup import Setup, launch_us, starts_early
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.plan import PARTS
from tests.shapes import problem

EARLY_US = 0.5
H100 = load_arch("h100-pcie", [f"launch.early_us={EARLY_US}", "power.board_limit_w=5000"])


@pytest.mark.parametrize("shape", [(512, 256, 1024), (4096, 4096, 1024), (256, 64, 4096)])
def test_the_prologue_and_nothing_else_is_hidden(shape: tuple[int, int, int]) -> None:
    each = problem(*shape)
    early = time_gemm(Setup(H100, launch="stream"), each, False)
    unhurried = load_arch("h100-pcie", ["power.board_limit_w=5000"])
    late = time_gemm(Setup(unhurried, launch="graph", kernel=early.kernel), each, False)
    assert early.kernel == late.kernel and early.clock_mhz == late.clock_mhz
    prologue_us = H100.kernel.prologue_cycles / early.clock_mhz
    assert early.time_us - EARLY_US == pytest.approx(late.time_us - H100.launch.graph_us - prologue_us, abs=1e-3)
    for part in set(PARTS) - {"prologue", "tail"}:
        assert early.breakdown[part] == pytest.approx(late.breakdown[part])
    assert sum(early.breakdown.values()) == pytest.approx(early.time_us)
    assert max(early.bounds_us.values()) <= early.time_us


def test_who_starts_early() -> None:
    each = problem(512, 256, 1024)
    sparse = time_gemm(Setup(H100, launch="stream"), each, True)
    assert sparse.breakdown["launch"] == H100.launch.stream_us  # cuSPARSELt's kernels wait
    chosen = kernels("sm90", False)[0]
    assert starts_early(H100, "stream", chosen)
    assert not starts_early(H100, "graph", chosen) and not starts_early(H100, "kernel", chosen)
    assert not starts_early(load_arch("a100"), "stream", chosen)
    assert not starts_early(H100, "stream", replace(chosen, early_launch=False))
    assert launch_us(H100, "stream", early=True) == EARLY_US < launch_us(H100, "stream")
