"""Between two clock steps: shares of the work, times and energies that meet both ends, parts that sum to the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stcsim.arch import load_arch
from stcsim.replay.clock_steps import STEP_MHZ, Steps
from stcsim.result import KernelResult, MemoryResult
from stcsim.timing.board.memory_op import Traffic, memory_load, time_memory
from stcsim.timing.board.power import Energy, energy
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.select import select
from tests.shapes import problem

A100 = load_arch("a100")
STEPS = Steps(990, 1005)
CLOCKS = (990.0, 993.0, 997.4, 1001.3, 1005.0)

#: 100 W idle, boost 1000 MHz, dynamic power with the cube of the clock: its energy with the square.
PLAIN = load_arch("a100", ["clock.boost_mhz=1000", "clock.sustained_mhz=1000", "power.idle_w=100", "power.clock_exponent=3"])


@pytest.mark.parametrize(
    ("clock_mhz", "highest_mhz", "steps"),
    [
        (997, 1410, (990, 1005)),
        (990, 1410, (990, 1005)),  # a step is the lower one of its own
        (1004.999, 1410, (990, 1005)),
        (1409, 1410, (1395, 1410)),
        (1411, 1412, (1410, 1412)),  # a highest clock that is no multiple
        (1405, 1412, (1395, 1410)),
        (7, 1410, (15, 30)),  # no clock of 0
    ],
)
def test_steps_are_multiples_around_the_clock_up_to_the_highest(
    clock_mhz: float, highest_mhz: float, steps: tuple[float, float]
) -> None:
    assert Steps.around(clock_mhz, highest_mhz) == Steps(*steps)


@pytest.mark.parametrize("clock_mhz", [1412.0, 1500.0])
def test_the_highest_clock_stands_for_itself(clock_mhz: float) -> None:
    assert Steps.around(clock_mhz, 1412) == Steps(1412, 1412)


@pytest.mark.parametrize("clock_mhz", [300.1, 555.5, 1199.9, 1404.2])
def test_the_clock_lies_between_neighbouring_steps(clock_mhz: float) -> None:
    steps = Steps.around(clock_mhz, 1410)
    assert steps.low_mhz <= clock_mhz <= steps.high_mhz == steps.low_mhz + STEP_MHZ
    assert 0 <= steps.high_share(clock_mhz) <= 1


def test_no_work_is_done_at_the_other_end() -> None:
    assert STEPS.high_share(990) == 0 and STEPS.high_share(1005) == pytest.approx(1)
    assert Steps(1410, 1410).high_share(1410) == 1


def test_shares_of_work_give_the_mean_clock() -> None:
    # half of the cycles at 500 MHz take twice as long as half at 1000 MHz: 3 parts of time for 2 of 1000 MHz
    assert Steps(500, 1000).high_share(1000 / 1.5) == pytest.approx(0.5)
    for clock_mhz in CLOCKS:
        share = STEPS.high_share(clock_mhz)
        assert (1 - share) / 990 + share / 1005 == pytest.approx(1 / clock_mhz, rel=1e-12)


def test_a_load_has_the_times_of_both_steps() -> None:
    # 20,000 cycles and 10 us: 30 us at 1000 MHz, 50 us at 500 MHz
    load = Steps(500, 1000).load(Energy(1e-3), 50.0, 30.0)
    assert (load.cycles, load.fixed_us) == pytest.approx((20_000, 10)) and load.spent == Energy(1e-3)
    assert load.time_us(500) == pytest.approx(50) and load.time_us(1000) == pytest.approx(30)


def test_what_no_clock_changes_has_no_cycles() -> None:
    load = Steps(500, 1000).load(Energy(), 30.0, 30.0)
    assert load.cycles == 0 and load.fixed_us == 30


GEMM = problem(2048, 1024, 1024)
MOVED = Traffic(read=30_000_000, written=20_000_000, dram_read=10_000_000)


def gemm_at(clock_mhz: float, name: str) -> KernelResult:
    return time_gemm(Setup(A100, clock_mhz=clock_mhz, kernel=name), GEMM, False)


@pytest.fixture(scope="module")
def ends() -> tuple[Energy, KernelResult, KernelResult]:
    """One kernel: its energy at boost, its results at both steps."""
    chosen = select(Setup(A100, clock_mhz=1005), GEMM, False)[0]
    name = chosen.kernel.name(GEMM.dtype, chosen.tiling.splits)
    return energy(chosen), gemm_at(990, name), gemm_at(1005, name)


@pytest.mark.parametrize("end", ["low", "high"])
def test_at_a_step_a_kernel_is_what_it_is_there(end: str, ends: tuple[Energy, KernelResult, KernelResult]) -> None:
    spent, low, high = ends
    there = low if end == "low" else high
    result = STEPS.between(A100, spent, low, high, there.clock_mhz)
    for field in ("time_us", "clock_mhz", "watts", "energy_uj", "tops", "share_of_peak", "cycles"):
        assert getattr(result, field) == pytest.approx(getattr(there, field), rel=1e-9), field
    assert result.breakdown == pytest.approx(there.breakdown)
    assert result.energy_parts_uj == pytest.approx(there.energy_parts_uj)
    assert (result.kernel, result.most_time, result.bytes) == (there.kernel, there.most_time, there.bytes)


@pytest.mark.parametrize("clock_mhz", CLOCKS)
def test_a_load_and_a_kernel_take_the_same_time(clock_mhz: float, ends: tuple[Energy, KernelResult, KernelResult]) -> None:
    spent, low, high = ends
    load = STEPS.load(spent, low.time_us, high.time_us)
    between = STEPS.between(A100, spent, low, high, clock_mhz)
    assert load.time_us(clock_mhz) == pytest.approx(between.time_us, rel=1e-12)
    assert high.time_us - 1e-9 <= between.time_us <= low.time_us + 1e-9


@pytest.mark.parametrize("clock_mhz", CLOCKS)
def test_the_parts_of_a_kernel_sum_to_its_time_and_energy(
    clock_mhz: float, ends: tuple[Energy, KernelResult, KernelResult]
) -> None:
    result = STEPS.between(A100, *ends, clock_mhz)
    assert sum(result.breakdown.values()) == pytest.approx(result.time_us, rel=1e-12)
    assert sum(result.energy_parts_uj.values()) == pytest.approx(result.energy_uj, rel=1e-12)
    assert result.watts * result.time_us == pytest.approx(result.energy_uj, rel=1e-12)
    assert result.cycles == pytest.approx((result.time_us - result.breakdown["launch"]) * clock_mhz)
    assert result.tops == pytest.approx(2e-6 * GEMM.macs / result.time_us)


def by_hand(time_us: float, clock_mhz: float, **parts: float) -> MemoryResult:
    """Return a memory operation of which time and parts count."""
    return MemoryResult(time_us, clock_mhz, 1.0, time_us, {}, max(parts, key=lambda part: parts[part]), parts, {"read": 1})


def test_a_mean_is_weighted_by_the_work_at_each_step() -> None:
    low, high = by_hand(50, 500, launch=10, l2=40), by_hand(30, 1000, launch=10, l2=20)
    # 1000 / 1.5 MHz: half of the work at each
    result = Steps(500, 1000).between(PLAIN, Energy(), low, high, 1000 / 1.5)
    assert result.time_us == pytest.approx(40) and result.breakdown == pytest.approx({"launch": 10, "l2": 30})


def test_energy_is_that_of_the_mean_clock_and_time() -> None:
    low, high = by_hand(50, 500, launch=10, l2=40), by_hand(30, 1000, launch=10, l2=20)
    spent = Energy(mac_j=9e-3, l2_j=4.5e-3, dram_j=1e-3)
    result = Steps(500, 1000).between(PLAIN, spent, low, high, 1000 / 1.5)
    # cores need 4/9 of their energy at two thirds of the clock, DRAM all of it; 40 us of 100 W are 4 mJ
    assert result.energy_parts_uj == pytest.approx({"mac": 4000, "smem": 0, "l2": 2000, "dram": 1000, "idle": 4000})
    assert result.energy_uj == pytest.approx(11_000) and result.watts == pytest.approx(275)


def test_parts_that_only_one_step_has_count_for_their_share() -> None:
    # at the low clock the L2 is slower than DRAM, at the high one it is not
    low, high = by_hand(52, 500, launch=10, l2=42), by_hand(46, 1000, launch=10, dram=36)
    result = Steps(500, 1000).between(PLAIN, Energy(), low, high, 1000 / 1.5)
    assert result.breakdown == pytest.approx({"launch": 10, "l2": 21, "dram": 18})
    assert result.time_us == pytest.approx(49) and result.most_time == "l2"


@pytest.mark.parametrize("clock_mhz", CLOCKS)
def test_a_memory_operation_between_steps_is_what_it_is_at_that_clock(clock_mhz: float) -> None:
    # in closed form, one server being slower at both ends, times are linear in cycle time: the mean is exact
    spent = memory_load(Setup(A100), MOVED).spent
    low, high, exact = (time_memory(replace(Setup(A100), clock_mhz=mhz), MOVED) for mhz in (990, 1005, clock_mhz))
    result = STEPS.between(A100, spent, low, high, clock_mhz)
    assert (result.time_us, result.energy_uj) == pytest.approx((exact.time_us, exact.energy_uj))
    assert result.breakdown == pytest.approx(exact.breakdown) and result.bytes == exact.bytes
    assert result.energy_parts_uj == pytest.approx(exact.energy_parts_uj)


def test_a_gemm_between_steps_takes_about_what_a_simulation_there_says(
    ends: tuple[Energy, KernelResult, KernelResult],
) -> None:
    spent, low, high = ends
    exact = gemm_at(997.4, high.kernel)
    assert STEPS.between(A100, spent, low, high, 997.4).time_us == pytest.approx(exact.time_us, rel=2e-3)


def test_energy_of_the_cores_grows_with_the_clock_and_that_of_dram_does_not(
    ends: tuple[Energy, KernelResult, KernelResult],
) -> None:
    spent, low, high = ends
    parts = STEPS.between(A100, spent, low, high, 997.4).energy_parts_uj
    for part in ("mac", "smem", "l2"):
        assert low.energy_parts_uj[part] < parts[part] < high.energy_parts_uj[part]
    assert low.energy_parts_uj["dram"] == high.energy_parts_uj["dram"] == pytest.approx(parts["dram"])
