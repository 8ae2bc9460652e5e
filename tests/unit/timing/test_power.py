"""Clock and power: energy of what was done, the clock that holds the board limit, and what that does to a GEMM."""

from __future__ import annotations

import pytest

import stcsim
from stcsim.arch import Arch, load_arch
from stcsim.study.explain import explain_problem, gemm_problem
from stcsim.timing.board.board import simulated
from stcsim.timing.board.duration import BURST, SUSTAINED, Duration
from stcsim.timing.board.power import (
    Energy,
    Load,
    clock_under,
    ends_within,
    energy,
    energy_parts_uj,
    held_clock_mhz,
    least_energy,
    price_us_per_j,
    watts,
)
from stcsim.timing.board.setup import Setup
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.offers.candidates import Candidate, offered
from stcsim.timing.problem import Problem
from tests.shapes import cut_of, problem

#: Easy numbers: 100 W idle, 300 W limit, boost 1000 MHz, dynamic power with the cube of the clock.
PLAIN = [
    "tensor_core.fma_per_clk_per_sm.fp8=2048", "clock.boost_mhz=1000", "clock.sustained_mhz=1000",
    "power.idle_w=100", "power.board_limit_w=300", "power.clock_exponent=3", "power.tensor_pj_per_mac=1",
    "power.sparse_mac_ratio=1", "power.half_width_ratio=0.75", "power.integer_mac_ratio=0.5",
    "power.low_switching_ratio=0.25", "power.response_ms=2", "power.burst_ratio=1.5",
    "power.smem_pj_per_byte=0", "power.l2_pj_per_byte=0", "power.dram_pj_per_byte=0",
]  # fmt: skip
ARCH = load_arch("a100", PLAIN)


def done(each: Problem, kernel: Kernel, arch: Arch = ARCH) -> Candidate:
    """Return ``kernel`` cut for a problem, simulated at 1000 MHz."""
    return simulated(Setup(arch), offered([cut_of(arch, each, kernel)])[0], 1000)


def test_watts_are_idle_plus_energy_over_time() -> None:
    # 2 mJ in 10 us are 200 W; at half the clock the cores need a quarter of the energy, DRAM all of it
    assert watts(ARCH, Energy(2e-3), 1000, 10) == pytest.approx(300)
    assert watts(ARCH, Energy(1e-3, 0.6e-3, 0.4e-3, 1e-3), 500, 20) == pytest.approx(100 + (0.5e-3 + 1e-3) / 20e-6)


def test_energy_is_the_sum_of_its_parts() -> None:
    # at half the clock a quarter of the cores' energy; 20 us of 100 W are 2 mJ
    parts = energy_parts_uj(ARCH, Energy(1e-3, 0.6e-3, 0.4e-3, 1e-3), 500, 20)
    assert parts == pytest.approx({"mac": 250, "smem": 150, "l2": 100, "dram": 1000, "idle": 2000})
    assert sum(parts.values()) == pytest.approx(20 * watts(ARCH, Energy(1e-3, 0.6e-3, 0.4e-3, 1e-3), 500, 20))


def test_the_clock_holds_the_limit() -> None:
    # 10,000 cycles: 10 us at 1000 MHz. 1.6 mJ draw 260 W: no throttling. 16 mJ would draw 1,700 W:
    # 1600 (f/1000)^3 = 200 at f = 500
    assert held_clock_mhz(ARCH, Load(Energy(1.6e-3), 10_000, 0)) == 1000
    assert held_clock_mhz(ARCH, Load(Energy(16e-3), 10_000, 0)) == pytest.approx(500, abs=1e-3)
    assert held_clock_mhz(ARCH, Load(Energy(4e-3, 8e-3, 4e-3), 10_000, 0)) == pytest.approx(500, abs=1e-3)
    # a launch gap of 40 us lets a short kernel run at full clock
    assert held_clock_mhz(ARCH, Load(Energy(10e-3), 10_000, 40)) == 1000


def test_no_limit_holds_a_clock_below_a_fifth_of_boost() -> None:
    assert held_clock_mhz(ARCH, Load(Energy(mac_j=1.0), 10_000, 0)) == 200
    assert held_clock_mhz(ARCH, Load(Energy(dram_j=1.0), 10_000, 0)) == 200


def together(*loads: Load) -> Load:
    """Return the load of all, one after the other."""
    spent = sum((load.spent for load in loads), Energy())
    return Load(spent, sum(load.cycles for load in loads), sum(load.fixed_us for load in loads))


def test_one_clock_holds_the_limit_on_average() -> None:
    # dynamic power goes with the clock (exponent 2, one of it is the time): 1 J at boost in cycles that take 2500 us at 1000 MHz
    gpu = load_arch("a100", [*PLAIN, "power.clock_exponent=2"])
    hot, cool = Load(Energy(mac_j=1.0), 2.5e6, 0.0), Load(Energy(), 0.0, 2500.0)
    # alone: 100 + 1 * f / (2500e-6 / f) = 300 for f = sqrt(0.5); with as long a pause that no clock changes:
    # 1e6 f / (2500 / f + 2500) = 200, i.e. 2 f^2 = 1 + f, so f = 1 and the limit just binds
    assert held_clock_mhz(gpu, hot) == pytest.approx(1000 * 0.5**0.5)
    assert held_clock_mhz(gpu, together(hot, cool)) == pytest.approx(1000, rel=1e-6)
    assert held_clock_mhz(gpu, together(hot, hot, cool, cool)) == held_clock_mhz(gpu, together(hot, cool))
    # with half the pause: 2 f^2 = 1 + f / 2
    assert held_clock_mhz(gpu, together(hot, hot, cool)) == pytest.approx(1000 * (0.5 + 8.25**0.5) / 4)


def test_what_ends_within_a_time_does_so_at_the_clock_it_holds() -> None:
    load = Load(Energy(mac_j=16e-3), 10_000, 0)  # holds 500 MHz: 20 us
    assert ends_within(ARCH, load, 20.001, 300) and not ends_within(ARCH, load, 19.999, 300)
    unlimited = Load(Energy(mac_j=1e-3), 10_000, 5)  # 15 us at 1000 MHz, whatever the limit would allow
    assert ends_within(ARCH, unlimited, 15.001, 300) and not ends_within(ARCH, unlimited, 14.999, 300)
    assert not ends_within(ARCH, unlimited, 4, 300)
    # 500 W let 400 pass beyond idling: twice as much, so the clock is 2 ** (1 / 3) higher
    assert ends_within(ARCH, load, 20.001 / 2 ** (1 / 3), 500) and not ends_within(ARCH, load, 19.999 / 2 ** (1 / 3), 500)


def test_time_saved_at_the_price_of_a_joule_makes_up_for_it() -> None:
    load = Load(Energy(16e-3, dram_j=1e-3), 10_000, 3)
    clock = held_clock_mhz(ARCH, load)
    assert clock < 1000
    price_us = 1e-6 * (clock / 1000) ** 2 * price_us_per_j(ARCH, load, clock)  # of a microjoule at boost clock

    def slower_us(saved_us: float) -> float:
        changed = together(load, Load(Energy(smem_j=1e-6), 0, -saved_us))
        return changed.time_us(held_clock_mhz(ARCH, changed)) - load.time_us(clock)

    assert slower_us(0) > 0 and slower_us(0.99 * price_us) > 0 > slower_us(1.01 * price_us)


def test_energy_counts_executed_macs() -> None:
    each = problem(256, 256, 512)
    dense, sparse = (energy(done(each, Kernel("sm80", mode, 128, 128, 64, 4, 2, 2))) for mode in (False, True))
    # 1 pJ a MAC, nothing for bytes; 2:4 executes half of them
    assert dense.core_j == dense.mac_j == pytest.approx(1e-12 * 256 * 256 * 512)
    assert sparse.core_j == pytest.approx(dense.core_j / 2)


def test_energy_of_bytes_is_that_of_each_level() -> None:
    settings = ["power.smem_pj_per_byte=1", "power.l2_pj_per_byte=10", "power.dram_pj_per_byte=100"]
    arch, each = load_arch("a100", [*PLAIN, *settings]), problem(256, 256, 512)
    one = done(each, Kernel("sm80", False, 128, 128, 64, 4, 2, 2), arch)
    spent = energy(one)
    # 2 x 2 tiles: every panel of A and B, 128 x 512 x 2 B, is loaded twice; D has 256 x 256 x 2 B.
    # 2 x 2 warps, each with half of A and half of B: what is filled once is read twice
    loaded = 2 * 2 * 256 * 512 * 2
    assert spent.smem_j == pytest.approx(1e-12 * 3 * loaded)
    assert spent.l2_j == pytest.approx(1e-11 * (loaded + 256 * 256 * 2))
    assert spent.dram_j == pytest.approx(1e-10 * 256 * 512 * 2)  # A once; B was there before, D stays
    least = least_energy(one)
    assert (least.smem_j, least.l2_j, least.dram_j) == pytest.approx((spent.smem_j, spent.l2_j, spent.dram_j))


#: Holds 500 MHz under 300 W; a burst, of 1.5 times as much, has 350 W beyond idling for 1600 W times the cube of the clock.
HOT = Load(Energy(16e-3), 10_000, 0)
BURST_MHZ = 1000 * (350 / 1600) ** (1 / 3)


def test_a_burst_holds_its_own_limit_and_lasting_load_that_of_the_board() -> None:
    assert clock_under(ARCH, HOT, SUSTAINED) == held_clock_mhz(ARCH, HOT) == pytest.approx(500)
    assert clock_under(ARCH, HOT, BURST) == pytest.approx(BURST_MHZ)
    assert watts(ARCH, HOT.spent, BURST_MHZ, HOT.time_us(BURST_MHZ)) == pytest.approx(450)
    assert clock_under(ARCH, HOT, Duration(ms=1e-6)) == pytest.approx(BURST_MHZ, rel=1e-5)
    assert clock_under(ARCH, HOT, Duration(ms=1e7)) == pytest.approx(500, rel=1e-5)


def test_the_longer_a_load_lasts_the_lower_its_mean_clock() -> None:
    clocks = [clock_under(ARCH, HOT, Duration(ms=ms)) for ms in (0, 0.1, 1, 2, 40, 1000, 1e5)]
    clocks.append(clock_under(ARCH, HOT, SUSTAINED))
    assert clocks == sorted(clocks, reverse=True) and len(set(clocks)) == len(clocks)
    # after launches of the same kernel less of the burst is left
    late = [clock_under(ARCH, HOT, Duration(100, before)) for before in (0, 50, 1000, 10**6)]
    assert late == sorted(late, reverse=True) and late[0] > late[-1] == pytest.approx(500, rel=1e-3)


def test_a_load_that_no_limit_binds_keeps_its_clock_however_long_it_lasts() -> None:
    cool = Load(Energy(1.6e-3), 10_000, 0)
    assert {clock_under(ARCH, cool, each) for each in (BURST, Duration(ms=40), Duration(7, 3), SUSTAINED)} == {1000}
    # what only the lasting limit binds runs a burst at the highest clock
    warm = Load(Energy(3e-3), 10_000, 0)
    assert clock_under(ARCH, warm, SUSTAINED) < clock_under(ARCH, warm, Duration(ms=40)) < clock_under(ARCH, warm, BURST) == 1000


def test_a_board_that_enforces_its_limit_at_once_knows_no_burst() -> None:
    at_once = load_arch("a100", [*PLAIN, "power.response_ms=0"])
    assert clock_under(at_once, HOT, Duration(ms=1)) == clock_under(at_once, HOT, Duration(1)) == held_clock_mhz(at_once, HOT)


@pytest.mark.parametrize(
    ("name", "data", "pj"), [("fp16", "randn", 1), ("int8", "randn", 0.5), ("fp8", "randn", 0.75), ("fp16", "low-power", 0.25)]
)
def test_energy_of_a_mac_depends_on_width_and_data(name: str, data: str, pj: float) -> None:
    each = problem(256, 256, 512, name)
    spent = energy(done(each, Kernel("sm80", False, 128, 128, 64, 4, 2, 2)), data)
    assert spent.core_j == pytest.approx(1e-12 * pj * 256 * 256 * 512)


def test_a_lower_limit_never_makes_a_gemm_faster() -> None:
    times = []
    for limit_w in (500, 400, 300, 200):
        result = stcsim.gemm(8192, 8192, 4096, load_arch("a100", [f"power.board_limit_w={limit_w}"]))
        dense = result.rows[0].dense
        assert dense is not None and dense.watts <= limit_w * 1.001
        times.append(dense.time_us)
    assert times == sorted(times) and times[-1] > times[0]


def test_small_kernels_keep_their_clock() -> None:
    row = stcsim.gemm(256, 64, 1024, load_arch("a100-pcie")).rows[0]
    assert row.dense is not None and row.dense.clock_mhz == load_arch("a100-pcie").clock.sustained_mhz


def test_energy_of_a_run_is_summed() -> None:
    result = stcsim.run(stcsim.load_trace("resnet34"), load_arch("a100"))
    assert result.totals.dense_uj == pytest.approx(
        sum(row.count * row.dense.energy_uj for row in (*result.rows, *result.memory) if row.dense)
    )


@pytest.mark.parametrize("gpu", ["a100-pcie", "h100-pcie", "l40s"])
def test_a_gemm_replayed_forever_holds_its_board_limit(gpu: str) -> None:
    # waits for DRAM do not stretch as the clock falls: cycles counted at the highest clock alone would let 430 W pass at 350
    arch = load_arch(gpu)
    for m, n, k in ((13_824, 256, 2_560), (16_384, 64, 2_048), (4_096, 4_096, 4_096), (2_048, 16_384, 2_048)):
        for side in ("dense", "2:4"):
            row = stcsim.gemm(m, n, k, arch, dtype="fp8" if gpu != "a100-pcie" else "int8", sparsity=side).rows[0]
            result = row.dense if side == "dense" else row.sparse
            assert result is not None and result.watts <= 1.001 * arch.power.board_limit_w, (m, n, k, side)


@pytest.mark.parametrize("shape", [(13_824, 256, 2_560), (3_072, 1_024, 8_192), (16_384, 512, 3_072)])
def test_the_kernel_is_chosen_at_the_clock_it_holds(shape: tuple[int, int, int]) -> None:
    # at the highest clock a kernel without clusters wins the first of these; it draws so much more that it would take longer
    side = explain_problem(load_arch("h100-pcie"), gemm_problem(*shape, dtype="fp8"), sparsity="dense").sides[0]
    chosen, *losers = side.contenders
    assert chosen.time_us is not None
    assert all(loser.time_us is None or loser.time_us > 0.97 * chosen.time_us for loser in losers)
