"""Does theory hold? Closed-form lower bounds, unloaded latency, peak throughput, what more of a resource may not cost."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest

from stcsim.arch import arch_names, load_arch
from stcsim.timing.board.board import simulated
from stcsim.timing.board.setup import Setup
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.choice.outcome import Choice, time_gemm
from stcsim.timing.choice.resources import MORE, with_more
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.bounds import lower_bound_ticks
from stcsim.timing.lowering.lower import lower
from stcsim.timing.lowering.tiling import tile_up
from stcsim.timing.offers.candidates import candidates
from stcsim.timing.plan import PARTS, TICKS_PER_CYCLE, WHOLE, TilePlan
from tests.differential.random_plans import random_plan
from tests.plans import make_plan
from tests.shapes import cut_of, problem, random_problems


def lowered_plans(seed: int, count: int) -> list[TilePlan]:
    """Every fitting kernel of a random GPU for random problems, thinned to ``count``."""
    plans = []
    for place, each in enumerate(random_problems(seed, count)):
        arch = load_arch(("a100", "h100", "a40", "t4")[place % 4])
        sparse = place % 3 == 0 and arch.supports(each.dtype.name, True)
        splits = 1 + (place % 2 if each.k >= 1000 else 0)
        cuts = (tile_up(arch, each, kernel, splits) for kernel in kernels(arch.kernel.family, sparse))
        fitting = [cut for cut in cuts if cut]
        plans.append(lower(fitting[place % len(fitting)]))
    return plans


@pytest.mark.parametrize("seed", range(4))
def test_never_under_the_lower_bound(seed: int) -> None:
    for plan in lowered_plans(seed, 40):
        total_ticks = simulate(plan).total_ticks
        for name, bound_ticks in lower_bound_ticks(plan).items():
            assert total_ticks >= bound_ticks, (name, plan)


@pytest.mark.parametrize("seed", range(8))
def test_never_under_the_lower_bound_of_artificial_plans(seed: int) -> None:
    for each in range(seed * 50, seed * 50 + 50):
        plan = random_plan(each)
        bounds = lower_bound_ticks(plan)
        bounds.pop("dram")  # counts every chunk once, and a random plan need not touch all
        assert simulate(plan).total_ticks >= max(bounds.values()), each


def test_the_bound_is_reached_by_a_loop_that_only_computes() -> None:
    plan = make_plan([(0, 0, 0, 50)], tensor_ticks=10, stages=4)

    # prologue 100, L2 latency 1, 50 iterations of 10, epilogue 1
    assert simulate(plan).total_ticks == max(lower_bound_ticks(plan).values()) == 100 + 1 + 50 * 10 + 1


def test_breakdown_sums_to_slots_times_total() -> None:
    for plan in lowered_plans(9, 30):
        timing = simulate(plan)
        assert sum(timing.part_ticks) == plan.slots * timing.total_ticks and min(timing.part_ticks) >= 0


def test_breakdown_of_a_result_sums_to_its_time() -> None:
    for each in random_problems(10, 20):
        result = time_gemm(Setup(load_arch("a100")), each, sparse=False)
        assert list(result.breakdown) == ["launch", *PARTS]
        assert sum(result.breakdown.values()) == pytest.approx(result.time_us, rel=1e-12)


def test_one_cta_alone_equals_the_formula() -> None:
    # One 128x128 tile on an idle A100: prologue, first load from DRAM, iterations bound by the tensor pipe, epilogue.
    arch, one = load_arch("a100"), problem(128, 128, 4096)
    kernel = next(k for k in kernels("sm80", False) if (k.cta_m, k.cta_n, k.k_bytes, k.stages) == (128, 128, 64, 5))
    plan = lower(cut_of(arch, one, kernel))

    timing = simulate(plan)

    # B and the cold A of the first four stages queue at DRAM, B is warm; later loads hide behind the MMAs: 522 cycles of the
    # tensor pipe each, 527 for four warps by themselves.
    first_load = plan.prologue_ticks + int(plan.a_dram_ticks[0, 0]) + plan.dram_latency_ticks
    assert plan.warp_ticks > plan.tensor_ticks
    loop = 128 * (plan.warp_ticks + plan.iteration_ticks)
    write = int(max(plan.epilogue_ticks[WHOLE], plan.out_ingress_ticks[WHOLE, 0, 0], plan.out_smem_ticks[WHOLE, 0, 0]))
    assert timing.total_ticks == first_load + loop + write


def test_mma_time_alone_when_memory_is_free() -> None:
    # 2 waves of 4 tiles on 4 units: 2 x (first load 1 + 8 x 10 + epilogue 1) + 100 + 100 of prologue
    plan = make_plan([(i, 0, 0, 8) for i in range(8)], units=4, next_prologue_ticks=100)
    assert simulate(plan).total_ticks == 2 * (100 + 1 + 80 + 1)


def test_traffic_alone_when_mma_is_free() -> None:
    plan = make_plan([(i, 0, 0, 10) for i in range(4)], units=4, tensor_ticks=1, stages=6, a_l2_ticks=[[50, 50], [50, 50]])
    bounds = lower_bound_ticks(plan)
    # 40 loads of 50 ticks through one L2; what the bound leaves out is one latency, MMA and epilogue at the end
    assert bounds["l2"] == 100 + 2000
    assert simulate(plan).total_ticks == bounds["l2"] + plan.l2_latency_ticks + plan.tensor_ticks + plan.epilogue_ticks[WHOLE]


FASTER = (
    "tensor_ticks", "smem_read_ticks", "iteration_ticks", "epilogue_ticks", "l2_latency_ticks", "a_l2_ticks", "a_dram_ticks"
)  # fmt: skip


@pytest.mark.parametrize("what", FASTER)
def test_a_lone_cta_is_never_slower_on_a_faster_server(what: str) -> None:
    # half of a cost, far from any eviction; test_monotone has all costs of any plan
    for seed in range(60):
        plan = dataclasses.replace(random_plan(seed), units=1, slots_per_unit=1, l2_capacity_bytes=10**12)
        value = getattr(plan, what)
        faster = dataclasses.replace(plan, **{what: value - value // 2})
        assert simulate(faster).total_ticks <= simulate(plan).total_ticks, seed


@pytest.mark.parametrize("name", ["a100", "h100", "l40s"])
def test_no_kernel_goes_below_its_floor(name: str) -> None:
    setup = Setup(load_arch(name))
    for place, each in enumerate(random_problems(41, 12)):
        for candidate in candidates(setup.arch, each, sparse=place % 2 == 1):
            done, least = simulated(setup, candidate, setup.arch.clock.sustained_mhz), candidate.estimate
            assert done.timing is not None and done.plan is not None
            cycles = done.timing.total_ticks / TICKS_PER_CYCLE
            assert cycles >= least.least_cycles + least.reduction_us * setup.arch.clock.sustained_mhz, (each, candidate)
            assert done.timing.dram_read_bytes + done.plan.dram_write_bytes >= least.least_dram_bytes, (each, candidate)


@pytest.mark.parametrize("name", ["a100", "l40s"])
def test_the_search_finds_the_fastest_of_all_that_are_offered(name: str) -> None:
    setup = Setup(load_arch(name))
    for place, each in enumerate(random_problems(42, 12)):
        offered = candidates(setup.arch, each, sparse=place % 2 == 1)
        highest_mhz = setup.arch.clock.sustained_mhz
        all_us = [Choice(setup, [simulated(setup, candidate, highest_mhz)]).result().time_us for candidate in offered]
        found_us = time_gemm(setup, each, sparse=place % 2 == 1).time_us
        assert found_us <= min(all_us) * (1 + 2e-4), each  # clocks that differ by less are taken for one


@pytest.mark.parametrize("name", ["a100", "h100"])
def test_more_of_a_resource_costs_a_selected_gemm_next_to_nothing(name: str) -> None:
    # never for one kernel (test_monotone); here the kernel is chosen again, by a search that is exact but for its budget
    arch, saved = load_arch(name), dict.fromkeys(MORE, 0.0)
    for each, sparse in product(random_problems(21, 20), (False, True)):
        before_us = time_gemm(Setup(arch), each, sparse).time_us
        for resource, factor in product(MORE, (1.1, 1.5)):
            after_us = time_gemm(Setup(with_more(arch, resource, factor)), each, sparse).time_us
            assert after_us <= 1.001 * before_us, (each, sparse, resource, factor)
            saved[resource] = max(saved[resource], 1 - after_us / before_us)
    assert min(saved.values()) > 0.001, saved  # each of them is felt


@pytest.mark.parametrize("name", [name for name in arch_names() if name != "t4"])
def test_two_four_is_never_more_than_twice_as_fast_at_one_clock(name: str) -> None:
    arch = load_arch(name)
    for each in random_problems(31, 25):
        # cold weights: a compressed A that stays in a small L2 where the dense one does not may well gain more
        each = dataclasses.replace(each, weights_in_l2=False)
        # one clock: a 2:4 MAC that is cheaper than a dense one (Ada) keeps a higher clock under a power limit
        setup = Setup(arch, clock_mhz=arch.clock.sustained_mhz)
        dense, sparse = (time_gemm(setup, each, mode) for mode in (False, True))
        assert dense.time_us / sparse.time_us <= 2.0, each


@pytest.mark.parametrize("name", arch_names())
def test_never_above_vendor_peak(name: str) -> None:
    arch = load_arch(name)
    for size in (1024, 4096, 8192):
        for dtype in ("fp16", "int8"):
            result = time_gemm(Setup(arch), problem(size, size, size, dtype), False)
            # the clock may be above the one behind the quoted peak
            highest_mhz = max(arch.clock.boost_mhz, arch.clock.sustained_mhz)
            assert 0 < result.share_of_peak <= highest_mhz / arch.clock.peak_mhz, (size, dtype)
