"""Are memory operations timed as said? On a GPU with round figures: L2 2 MB/µs, DRAM 0.5 MB/µs, launch 1 µs."""

from __future__ import annotations

import dataclasses

import pytest

import stcsim
from stcsim.result import KernelResult
from stcsim.timing.board.memory_op import Traffic, gemm_load, memory_load, time_memory, with_fused_reads
from stcsim.timing.board.power import energy
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import choose
from stcsim.timing.offers.candidates import Candidate
from tests.shapes import problem

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
AT_1000 = Setup(GPU, clock_mhz=1000)
PROBLEM = problem(1024, 1024, 1024)
Timed = tuple[Candidate, KernelResult]


def test_data_in_l2_moves_at_its_rate() -> None:
    found = time_memory(Setup(GPU), Traffic(MB, MB))
    assert found.breakdown == {"launch": 1.0, "latency": 0.2, "l2": 1.0} and found.time_us == pytest.approx(2.2)
    assert found.most_time in ("launch", "l2") and found.bytes["dram_read"] == 0


def test_what_passes_dram_moves_at_its_rate() -> None:
    found = time_memory(Setup(GPU), Traffic(MB, MB, dram_read=MB, dram_written=MB))
    assert found.breakdown == {"launch": 1.0, "latency": 0.5, "dram": 4.0} and found.most_time == "dram"
    mixed = time_memory(Setup(GPU), Traffic(3 * MB, MB, dram_read=MB // 2))
    assert mixed.breakdown["l2"] == 2.0  # 1 µs of DRAM meanwhile


def test_the_clock_changes_all_but_dram_and_launch() -> None:
    slow = Setup(GPU, clock_mhz=500)
    assert time_memory(slow, Traffic(MB, MB)).breakdown == {"launch": 1.0, "latency": 0.4, "l2": 2.0}
    assert time_memory(slow, Traffic(MB, 0, MB)).breakdown == {"launch": 1.0, "latency": 1.0, "dram": 2.0}


def core_uj(l2_bytes: float) -> float:
    """Microjoules of bytes that pass the L2 at 1000 MHz."""
    power = GPU.power
    scale: float = (1000 / GPU.clock.boost_mhz) ** (power.clock_exponent - 1)
    return 1e-6 * l2_bytes * power.l2_pj_per_byte * scale


def test_energy_is_idling_and_bytes() -> None:
    power = GPU.power
    found = time_memory(Setup(GPU), Traffic(MB, MB, dram_read=MB))
    parts = {"l2": core_uj(2 * MB), "dram": power.dram_pj_per_byte, "idle": power.idle_w * found.time_us}
    assert found.energy_parts_uj == pytest.approx({"mac": 0.0, "smem": 0.0} | parts)
    assert found.energy_uj == pytest.approx(sum(parts.values()))
    assert found.watts == pytest.approx(found.energy_uj / found.time_us)


@pytest.fixture(scope="module")
def gemm() -> Timed:
    choice = choose(AT_1000, PROBLEM, False)
    return choice.chosen, choice.result()


def test_a_residual_in_l2_adds_its_time_there(gemm: Timed) -> None:
    chosen, alone = gemm
    found = with_fused_reads(GPU, chosen, alone, Traffic(read=2 * MB))
    assert found.time_us == pytest.approx(alone.time_us + 1.0)
    assert found.breakdown["l2"] == pytest.approx(alone.breakdown["l2"] + 1.0)
    assert sum(found.breakdown.values()) == pytest.approx(found.time_us)
    assert found.tops * found.time_us == pytest.approx(alone.tops * alone.time_us)
    assert found.bytes["l2_read"] == alone.bytes["l2_read"] + 2 * MB and found.cycles == pytest.approx(alone.cycles + 1000)
    assert found.energy_uj == pytest.approx(alone.energy_uj + core_uj(2 * MB) + GPU.power.idle_w * 1.0)
    assert sum(found.energy_parts_uj.values()) == pytest.approx(found.energy_uj)
    assert found.energy_parts_uj["mac"] == alone.energy_parts_uj["mac"]
    assert with_fused_reads(GPU, chosen, alone, Traffic()) is alone


def test_a_residual_from_dram_adds_more_only_where_dram_has_no_time_left(gemm: Timed) -> None:
    chosen, alone = gemm
    little = with_fused_reads(GPU, chosen, alone, Traffic(read=1000, dram_read=1000))
    assert little.time_us == pytest.approx(alone.time_us + 1000 / 2e6)
    much = with_fused_reads(GPU, chosen, alone, Traffic(read=40 * MB, dram_read=40 * MB))
    read = alone.bytes["dram_read"] + 40 * MB  # D stays in L2
    assert much.time_us == pytest.approx(alone.breakdown["launch"] + read / 5e5)
    assert sum(much.breakdown.values()) == pytest.approx(much.time_us) and much.most_time == "dram"
    plan = chosen.plan
    assert plan is not None and not plan.out_dram_ticks.any()
    spilling = dataclasses.replace(chosen, plan=dataclasses.replace(plan, out_dram_ticks=plan.out_dram_ticks + 1))
    spilled = with_fused_reads(GPU, spilling, alone, Traffic(read=40 * MB, dram_read=40 * MB))
    assert spilled.time_us == pytest.approx(much.time_us + alone.bytes["write"] / 5e5)


def test_loads_split_time_into_cycles_and_what_no_clock_changes(gemm: Timed) -> None:
    warm = memory_load(Setup(GPU), Traffic(MB, MB))
    assert (warm.cycles, warm.fixed_us) == (1200.0, 1.0) and warm.spent.dram_j == 0.0
    assert warm.spent.core_j == pytest.approx(2e-6 * GPU.power.l2_pj_per_byte)
    cold = memory_load(Setup(GPU), Traffic(MB, 0, MB))
    assert (cold.cycles, cold.fixed_us) == (500.0, 3.0)
    chosen, alone = gemm
    load, spent = gemm_load(AT_1000, chosen, alone, Traffic(read=2 * MB)), energy(chosen)
    assert load.fixed_us == pytest.approx(1.0 + alone.breakdown["dram"])  # launch, waits for DRAM
    assert load.time_us(1000) == pytest.approx(alone.time_us + 1.0)
    assert load.spent.l2_j == pytest.approx(spent.l2_j + 2e-6 * GPU.power.l2_pj_per_byte)
    assert (load.spent.mac_j, load.spent.smem_j, load.spent.dram_j) == (spent.mac_j, spent.smem_j, spent.dram_j)
