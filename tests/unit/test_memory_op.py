"""Are memory operations timed as said? On a GPU with round figures: L2 2 MB/µs, DRAM 0.5 MB/µs, launch 1 µs."""

from __future__ import annotations

import dataclasses

import pytest

import stcsim
from stcsim.isa import dtype
from stcsim.timing import fast
from stcsim.timing.memory_op import (
    Load,
    Traffic,
    gemm_load,
    memory_load,
    network_clock_mhz,
    time_memory,
    with_fused_reads,
)
from stcsim.timing.outcome import Launch, outcome
from stcsim.timing.power import Energy
from stcsim.timing.problem import Problem
from stcsim.timing.select import select

GPU = stcsim.load_arch(
    "a100",
    [
        "clock.sustained_mhz=1000",
        "l2.bandwidth_bytes_per_clk=2000",
        "l2.near_latency_cycles=150",
        "l2.far_latency_cycles=250",
        "dram.bandwidth_gb_per_s=1000",
        "dram.achieved_fraction=0.5",
        "dram.latency_cycles=500",
        "launch.graph_us=1",
    ],
)
MB = 10**6


def test_data_in_l2_moves_at_its_rate() -> None:
    found = time_memory(Launch(GPU), Traffic(MB, MB))
    assert found.breakdown == {"launch": 1.0, "latency": 0.2, "l2": 1.0} and found.time_us == pytest.approx(2.2)
    assert found.bound in ("launch", "l2") and found.bytes["dram_read"] == 0


def test_what_passes_dram_moves_at_its_rate() -> None:
    found = time_memory(Launch(GPU), Traffic(MB, MB, dram_read=MB, dram_written=MB))
    assert found.breakdown == {"launch": 1.0, "latency": 0.5, "dram": 4.0} and found.bound == "dram"
    mixed = time_memory(Launch(GPU), Traffic(3 * MB, MB, dram_read=MB // 2))
    assert mixed.breakdown["l2"] == 2.0  # 1 µs of DRAM meanwhile


def test_the_clock_changes_all_but_dram_and_launch() -> None:
    slow = Launch(GPU, clock_mhz=500)
    assert time_memory(slow, Traffic(MB, MB)).breakdown == {"launch": 1.0, "latency": 0.4, "l2": 2.0}
    assert time_memory(slow, Traffic(MB, 0, MB)).breakdown == {"launch": 1.0, "latency": 1.0, "dram": 2.0}


def test_energy_is_idling_and_bytes() -> None:
    power = GPU.power
    found = time_memory(Launch(GPU), Traffic(MB, MB, dram_read=MB))
    core_uj = 2 * power.l2_pj_per_byte * (1000 / GPU.clock.boost_mhz) ** (power.clock_exponent - 1)
    assert found.energy_uj == pytest.approx(power.idle_w * found.time_us + core_uj + power.dram_pj_per_byte)
    assert found.watts == pytest.approx(found.energy_uj / found.time_us)


@pytest.fixture(scope="module")
def gemm():  # type: ignore[no-untyped-def]
    problem = Problem(1024, 1024, 1024, 1, dtype("fp16"), 2)
    chosen = select(GPU, problem, False, fast.simulate)[0]
    return chosen, outcome(Launch(GPU, clock_mhz=1000), problem, chosen)


def test_a_residual_in_l2_adds_its_time_there(gemm) -> None:  # type: ignore[no-untyped-def]
    chosen, alone = gemm
    found = with_fused_reads(GPU, chosen, alone, Traffic(read=2 * MB))
    assert found.time_us == pytest.approx(alone.time_us + 1.0)
    assert found.breakdown["l2"] == pytest.approx(alone.breakdown["l2"] + 1.0)
    assert sum(found.breakdown.values()) == pytest.approx(found.time_us)
    assert found.tops * found.time_us == pytest.approx(alone.tops * alone.time_us)
    assert found.bytes["l2_read"] == alone.bytes["l2_read"] + 2 * MB and found.cycles == pytest.approx(alone.cycles + 1000)
    core_uj = 2 * GPU.power.l2_pj_per_byte * (1000 / GPU.clock.boost_mhz) ** (GPU.power.clock_exponent - 1)
    assert found.energy_uj == pytest.approx(alone.energy_uj + core_uj + GPU.power.idle_w * 1.0)
    assert with_fused_reads(GPU, chosen, alone, Traffic()) is alone


def test_a_residual_from_dram_adds_more_only_where_dram_has_no_time_left(gemm) -> None:  # type: ignore[no-untyped-def]
    chosen, alone = gemm
    little = with_fused_reads(GPU, chosen, alone, Traffic(read=1000, dram_read=1000))
    assert little.time_us == pytest.approx(alone.time_us + 1000 / 2e6)
    much = with_fused_reads(GPU, chosen, alone, Traffic(read=40 * MB, dram_read=40 * MB))
    read = alone.bytes["dram_read"] + 40 * MB  # D stays in L2
    assert much.time_us == pytest.approx(alone.breakdown["launch"] + read / 5e5)
    assert sum(much.breakdown.values()) == pytest.approx(much.time_us) and much.bound == "dram"
    spilling = dataclasses.replace(chosen, plan=dataclasses.replace(chosen.plan, out_dram_ticks=chosen.plan.out_dram_ticks + 1))
    spilled = with_fused_reads(GPU, spilling, alone, Traffic(read=40 * MB, dram_read=40 * MB))
    assert spilled.time_us == pytest.approx(much.time_us + alone.bytes["write"] / 5e5)


def test_loads_split_time_into_cycles_and_what_no_clock_changes(gemm) -> None:  # type: ignore[no-untyped-def]
    warm = memory_load(Launch(GPU), Traffic(MB, MB))
    assert (warm.cycles, warm.fixed_us) == (1200.0, 1.0) and warm.spent.dram_j == 0.0
    assert warm.spent.core_j == pytest.approx(2e-6 * GPU.power.l2_pj_per_byte)
    cold = memory_load(Launch(GPU), Traffic(MB, 0, MB))
    assert (cold.cycles, cold.fixed_us) == (500.0, 3.0)
    chosen, alone = gemm
    load = gemm_load(GPU, chosen, Energy(1.0, 2.0), alone, Traffic(read=2 * MB))
    assert load.fixed_us + load.cycles / 1000 == pytest.approx(alone.time_us + 1.0)
    assert load.spent.core_j == pytest.approx(1 + 2e-6 * GPU.power.l2_pj_per_byte) and load.spent.dram_j == 2.0


def test_one_clock_holds_the_limit_on_average() -> None:
    # dynamic power goes with the clock (exponent 2, one of it is the time): 1 J at boost in cycles that take 2500 µs at 1000 MHz
    settings = ["power.idle_w=100", "power.board_limit_w=300", "power.clock_exponent=2", "clock.boost_mhz=1000"]
    gpu = stcsim.load_arch("a100", [*settings, "clock.sustained_mhz=1000"])
    hot, cool = Load(Energy(1.0, 0.0), 2.5e6, 0.0), Load(Energy(0.0, 0.0), 0.0, 2500.0)
    # alone: 100 + 1 * f / (2500e-6 / f) = 300 for f = sqrt(0.5); with as long a pause that no clock changes:
    # 1e6 f / (2500 / f + 2500) = 200, i.e. 2 f^2 = 1 + f, so f = 1 and the limit just binds
    assert network_clock_mhz(gpu, [(hot, 1)]) == pytest.approx(1000 * 0.5**0.5)
    assert network_clock_mhz(gpu, [(hot, 1), (cool, 1)]) == pytest.approx(1000, rel=1e-6)
    assert network_clock_mhz(gpu, [(hot, 2), (cool, 2)]) == network_clock_mhz(gpu, [(hot, 1), (cool, 1)])
    # with half the pause: 2 f^2 = 1 + f / 2
    assert network_clock_mhz(gpu, [(hot, 2), (cool, 1)]) == pytest.approx(1000 * (0.5 + 8.25**0.5) / 4)
