"""One way to choose and time a kernel: a row of validation, a GEMM, a layer of a network and an explanation agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stcsim.arch import load_arch
from stcsim.replay import gemm
from stcsim.study.explain import explain_problem
from stcsim.study.measured import Measured
from stcsim.study.validate import predict
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import Choice, busy_shares, choose, time_gemm
from stcsim.timing.plan import TICKS_PER_CYCLE, in_cycles
from tests.shapes import problem


@pytest.mark.parametrize(("name", "sparse"), [("a100", False), ("a100", True), ("h100", False)])
def test_all_roads_lead_to_the_same_time(name: str, sparse: bool) -> None:
    arch, each = load_arch(name), problem(1024, 200, 2048)
    timed = time_gemm(Setup(arch), each, sparse)
    mode = "2:4" if sparse else "dense"
    row = Measured(name, sparse, "fp16", "fp16", 1024, 200, 2048, 1, 1.0, "graph", 0, "randn", 100, 50, False, "A", "here:1", {})
    told, predicted = explain_problem(arch, each, sparsity=mode).sides[0].result, predict(row, arch)
    layer = gemm(1024, 200, 2048, arch, sparsity=mode).rows[0]
    alone = layer.sparse if sparse else layer.dense
    assert alone is not None
    assert predicted.predicted_us == told.time_us == alone.time_us == timed.time_us
    assert predicted.kernel == told.kernel == alone.kernel == timed.kernel


def test_a_choice_is_timed_at_the_clock_it_holds_or_at_another() -> None:
    arch = load_arch("a100", ["power.board_limit_w=150"])
    choice = choose(Setup(arch), problem(4096, 4096, 4096), False)
    settled = choice.settled()
    assert settled.clock_mhz < arch.clock.sustained_mhz and choice.result().clock_mhz == settled.clock_mhz
    half_mhz = settled.clock_mhz / 2
    slower = choice.at(half_mhz)
    assert slower.clock_mhz == half_mhz and choice.result(slower).time_us > choice.result().time_us
    assert Choice(choice.setup, [slower]).at(half_mhz) is slower  # simulated already


def test_the_reference_engine_times_what_the_fast_one_chose() -> None:
    fast = choose(Setup(load_arch("a100")), problem(256, 256, 512), False)
    slow = replace(fast, setup=replace(fast.setup, engine="reference"))
    assert slow.by_engine(fast.settled()) is not fast.settled() and slow.result() == fast.result()
    assert fast.by_engine(fast.chosen) is fast.chosen


@pytest.mark.parametrize(("name", "shape"), [("a100", (4096, 4096, 4096)), ("a100", (64, 1, 4096)), ("h100", (8192, 64, 2048))])
def test_servers_are_busy_for_a_share_of_the_time(name: str, shape: tuple[int, int, int]) -> None:
    timed = choose(Setup(load_arch(name)), problem(*shape), False).settled()
    assert timed.plan is not None and timed.timing is not None
    busy = busy_shares(timed)
    assert list(busy) == ["tensor", "smem", "ingress", "l2", "dram"] and all(0 < share < 1 for share in busy.values())
    multiplied = timed.plan.tile_iterations * timed.plan.tensor_ticks
    assert busy["tensor"] == multiplied / (timed.plan.units * timed.timing.total_ticks)


def test_ticks_in_cycles() -> None:
    assert in_cycles(3 * TICKS_PER_CYCLE + TICKS_PER_CYCLE // 2) == 3.5
