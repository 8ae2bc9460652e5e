"""The closed form that ranks kernels: one law for one kernel and for many, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.arch import load_arch
from stcsim.timing.offers.candidates import candidates
from stcsim.timing.offers.closed_form import dram_cycles, waves, worth_splitting
from stcsim.timing.offers.columns import columns_of
from stcsim.timing.offers.estimate import estimate, estimates
from stcsim.timing.rates import Iteration, step_cycles
from tests.shapes import problem, random_problems

A100 = load_arch("a100")


@pytest.mark.parametrize("name", ["a100", "h100"])
def test_a_kernel_among_many_is_estimated_as_by_itself(name: str) -> None:
    arch = load_arch(name)
    for place, each in enumerate(random_problems(11, 6)):
        found = candidates(arch, each, place % 2 == 1)
        assert [estimate(one.cut) for one in found] == estimates([one.cut for one in found]) == [one.estimate for one in found]


def test_nothing_is_estimated_of_no_cut() -> None:
    assert estimates([]) == []


def test_columns_are_those_of_each_cut() -> None:
    cuts = [each.cut for each in candidates(A100, problem(1024, 512, 2048), False)]
    many = columns_of(cuts)
    assert many.tiles.tolist() == [cut.tiles for cut in cuts] and many.slots.tolist() == [cut.slots for cut in cuts]
    assert many.resident.tolist() == [cut.resident for cut in cuts]
    assert many.slice_iterations.tolist() == [cut.slice_iterations for cut in cuts]
    assert many.of_kernels(lambda kernel: kernel.cta_m).tolist() == [cut.kernel.cta_m for cut in cuts]
    assert many.of_splits(lambda splits: 2 * splits).tolist() == [2 * cut.tiling.splits for cut in cuts]


@pytest.mark.parametrize(
    ("tiles", "least_last", "taken"),
    [(40, 0.5, 1), (100, 0.5, 1), (200, 0.5, 2), (110, 0.5, 1.5), (180, 0.5, 1.8), (110, 1.0, 2), (180, 1.0, 2), (40, 1.0, 1)],
)
def test_a_last_wave_counts_by_how_full_it_is(tiles: int, least_last: float, taken: float) -> None:
    assert waves(tiles, 100, least_last) == pytest.approx(taken)
    assert np.asarray(waves(np.array([tiles, 300]), np.array([100, 100]), least_last)).tolist() == pytest.approx([taken, 3])


def test_a_step_is_the_longest_of_cta_servers_l2_and_refill() -> None:
    l2 = A100.l2.bandwidth_bytes_per_clk
    each = Iteration(tensor=100.0, port=90.0, ingress=50.0, alone=120.0, sync=20.0, l2_bytes=l2)

    def step(**changed: float) -> float:
        given = {"resident": 1.0, "active": 10.0, "stages": 5.0, "latency": 80.0} | changed
        return float(step_cycles(A100, each, **given))  # type: ignore[arg-type]

    assert step() == 120  # the CTA by itself; its port with the barrier takes 110
    assert step(resident=2) == 200  # the tensor pipe for both
    assert step(active=300) == 300  # a cycle of the L2 for every unit
    assert step(stages=2) == step(stages=1) == 200  # the one buffer ahead is filled again after all that and the latency
    assert step(stages=3, latency=180) == 150


def test_slices_pay_while_tiles_leave_sms_empty() -> None:
    # 108 SMs: 431 CTAs more are tried, 432 are not; two iterations of 64 a slice
    few, many = problem(128 * 8, 128 * 8, 4096), problem(128 * 16, 128 * 9, 4096)
    assert worth_splitting(A100, few, 128, 128, 64, 7) and not worth_splitting(A100, few, 128, 128, 64, 8)
    assert worth_splitting(A100, many, 128, 128, 64, 3) and not worth_splitting(A100, many, 128, 128, 64, 4)
    assert worth_splitting(A100, few, 128, 128, 512, 4) and not worth_splitting(A100, few, 128, 128, 512, 5)
    assert np.asarray(worth_splitting(A100, few, 128, 128, 64, np.array([7, 8]))).tolist() == [True, False]


def test_a_is_read_again_for_every_group_of_columns_that_l2_does_not_remember() -> None:
    # 32 MiB of L2 for data that all SMs read; A of 128 MiB, 64 n-tiles of which a wave has four and a group eight
    each, sizes = problem(16_384, 8192, 4096), {"prologue": 0.0, "slots": 256, "m_tiles": 64, "n_tiles": 64}
    rate = A100.dram.bandwidth_gb_per_s * A100.dram.achieved_fraction * 1e3 / A100.clock.sustained_mhz

    def moved(group: int) -> float:
        cycles = dram_cycles(A100, each, False, group=group, **sizes)  # type: ignore[arg-type]
        return (float(cycles) - A100.dram.latency_cycles) * rate

    assert moved(1) == pytest.approx(16 * each.a_bytes(False) + each.b_bytes + each.d_bytes)
    assert moved(8) == pytest.approx(8 * each.a_bytes(False) + each.b_bytes + each.d_bytes)
