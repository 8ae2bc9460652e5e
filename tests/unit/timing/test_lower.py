"""Lowering, worked by hand: tiles, edges, splits, bytes and ticks of GEMMs small enough to count."""

from __future__ import annotations

import dataclasses

import pytest

from stcsim.arch import load_arch
from stcsim.isa import dtype
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.menu import find
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.cut import Tiling
from stcsim.timing.lowering.lower import lower, reduction_ticks
from stcsim.timing.lowering.tiling import registers_per_cta, stage_bytes, tile_up
from stcsim.timing.offers.candidates import candidates
from stcsim.timing.plan import HELD_WHOLE, TICKS_PER_CYCLE, WHOLE, TilePlan
from stcsim.timing.problem import Problem, a_row_bytes
from stcsim.timing.rates import REDUCTION_L2_SHARE, iteration_cycles, smem_read_bytes, tensor_rate, warp_rate
from tests.shapes import cut_of, problem

A100 = load_arch("a100", ["l2.shared_fraction=0.81"])  # 32.4 of 40 MiB
H100 = load_arch("h100")
TILE = Kernel("sm80", False, 128, 128, 64, 4, 2, 2)  # 128 x 128 x 32 in fp16
SPARSE = Kernel("sm80", True, 128, 128, 128, 3, 2, 2, swizzle=1)  # 128 x 128 x 64 logical in fp16


def plan_of(each: Problem, kernel: Kernel = TILE, splits: int = 1) -> tuple[Tiling, TilePlan]:
    cut = cut_of(A100, each, kernel, splits)
    return cut.tiling, lower(cut)


def test_even_gemm() -> None:
    # 256 x 384 x 64: 2 x 3 tiles, two iterations each, nothing ragged
    tiling, plan = plan_of(problem(256, 384, 64))

    assert (tiling.m_tiles, tiling.n_tiles, tiling.k_iters, plan.tiles) == (2, 3, 2, 6)
    assert plan.m_edge == 2 and plan.n_edge == 3  # no panel is that high: no edge
    assert plan.a_chunks == 2 * 2 and plan.b_chunks == 3 * 2
    # A of one iteration: 128 rows x 32 elements x 2 bytes
    assert plan.a_l2_bytes.tolist() == [[8192, 8192], [8192, 8192]]
    # 128 x 128 x 32 MACs at 1024 x 0.98 a cycle = 522.45 cycles = 133,747 ticks
    assert plan.tensor_ticks == 133_747
    # ldmatrix: 2 warp columns read A, 2 warp rows read B: 2 x 8192 + 2 x 8192 bytes at 128 B/clk = 256 cycles
    assert plan.smem_read_ticks == 256 * TICKS_PER_CYCLE


def test_ragged_gemm() -> None:
    # 200 x 130 x 40: 2 x 2 tiles, last m panel 72 rows, last n panel 2, last iteration 8 of k
    _, plan = plan_of(problem(200, 130, 40))

    assert (plan.m_edge, plan.n_edge, plan.k_iters) == (1, 1, 2)
    assert plan.a_l2_bytes.tolist() == [[128 * 64, 128 * 16], [72 * 64, 72 * 16]]
    assert plan.b_l2_bytes.tolist() == [[128 * 64, 128 * 16], [2 * 64, 2 * 16]]
    assert plan.out_bytes[WHOLE].tolist() == [[128 * 128 * 2, 128 * 2 * 2], [72 * 128 * 2, 72 * 2 * 2]]


def test_sparse_gemm_loads_half_of_a_and_the_metadata() -> None:
    # one iteration, 64 logical k: 32 kept values of 2 bytes + 64/4 groups x 4 bits = 64 + 8 bytes a row; B 128 bytes a row
    _, plan = plan_of(problem(128, 128, 64), SPARSE)

    assert plan.a_l2_bytes[0, 0] == 128 * 72 and plan.b_l2_bytes[0, 0] == 128 * 128
    assert smem_read_bytes(problem(128, 128, 64), SPARSE) == 2 * 128 * 72 + 2 * 128 * 128
    # twice the dense rate: 128 x 128 x 64 / (2 x 1024 x 0.98) = the dense tile's 522.45 cycles
    assert plan.tensor_ticks == 133_747


def test_a_kernel_of_single_tiles_starts_anew_and_a_persistent_one_loads_ahead() -> None:
    each, persistent = problem(1024, 1024, 64), Kernel("sm90", True, 128, 128, 128, 4, 2, 1, wgmma=True)
    ending = dataclasses.replace(persistent, single_tile=True)
    staying, starting = (lower(cut_of(H100, each, kernel)) for kernel in (persistent, ending))

    assert (staying.prefetch, staying.next_prologue_ticks) == (True, 1)
    assert (starting.prefetch, starting.next_prologue_ticks) == (False, round(H100.kernel.next_prologue_cycles * TICKS_PER_CYCLE))
    assert not TILE.persistent and lower(cut_of(A100, each, TILE)).next_prologue_ticks > 1  # mma.sync: all of single tiles


def test_split_k_writes_partial_sums_and_adds_them_up() -> None:
    # 5 iterations in 2 slices: 2 + 3; each slice writes fp32, a second kernel reads both and writes fp16
    each = problem(128, 128, 160)
    tiling, plan = plan_of(each, splits=2)

    assert plan.k_start.tolist() == [0, 2] and plan.k_count.tolist() == [2, 3]
    assert plan.out_bytes[WHOLE, 0, 0] == 128 * 128 * 4 and plan.out_dram_ticks.max() == 0
    start, moved = A100.launch.graph_us * A100.clock.sustained_mhz, 128 * 128 * (2 * 4 + 2)
    per_clk = A100.l2.bandwidth_bytes_per_clk * REDUCTION_L2_SHARE  # the L2 holds the partial sums
    assert plan.tail_ticks == pytest.approx((start + moved / per_clk) * TICKS_PER_CYCLE, abs=1)
    assert reduction_ticks(A100, each, tiling.splits, A100.clock.sustained_mhz) == plan.tail_ticks


def test_batch_numbers_edge_panels_last() -> None:
    # three GEMMs of 200 rows: 2 m panels each, panels 0-2 full, 3-5 the ragged ones
    _, plan = plan_of(problem(200, 128, 32, batch=3))

    assert plan.m_index.tolist() == [0, 3, 1, 4, 2, 5] and plan.m_edge == 3
    assert plan.n_index.tolist() == [0, 0, 1, 1, 2, 2] and plan.n_edge == 3


def test_raster_walks_groups_of_eight_n_tiles_along_m() -> None:
    _, plan = plan_of(problem(256, 128 * 10, 32))
    # group of n-tiles 0-7: m 0 then m 1; then group 8-9
    assert plan.n_index.tolist() == [*range(8), *range(8), 8, 9, 8, 9]
    assert plan.m_index.tolist() == [0] * 8 + [1] * 8 + [0, 0, 1, 1]


def test_cusparselt_walks_straight_along_m() -> None:
    _, plan = plan_of(problem(256, 128 * 3, 64), SPARSE)
    assert plan.n_index.tolist() == [0, 0, 1, 1, 2, 2] and plan.m_index.tolist() == [0, 1] * 3


def test_residency_is_limited_by_shared_memory_registers_and_tiles() -> None:
    # 4 stages x 16 KiB = 64 KiB: two fit 164 KiB; 128 accumulators + 64 of fragments + 40 = 232 registers x 128 threads: two fit
    many, few = problem(4096, 4096, 64), problem(128, 128, 64)
    assert stage_bytes(TILE, many) == 16 * 1024 and registers_per_cta(TILE, many) == 232 * 128
    assert plan_of(many)[1].slots_per_unit == 2
    assert plan_of(few)[1].slots_per_unit == 1  # a slot that could never have a tile is no idle time


def test_warm_operands_need_to_fit_the_shared_part_of_l2() -> None:
    # A100: 0.81 of 40 MiB. A, B and D of 2560^3 in fp16 are 37.5 MiB and do not fit; those of 1024^3 do
    # what is a little too large keeps a part: 37.5 of 32.4 MiB is 0.157 too much, of 0.25 at which nothing is left
    assert 0 < plan_of(problem(2560, 2560, 2560, weights_in_l2=True))[1].b_held < HELD_WHOLE
    assert plan_of(problem(3072, 3072, 3072, weights_in_l2=True))[1].b_held == 0
    small = plan_of(problem(1024, 1024, 1024, weights_in_l2=True))[1]
    assert small.a_held == small.b_held == HELD_WHOLE
    cold = plan_of(problem(1024, 1024, 1024))[1]
    assert cold.a_held == 0 and cold.b_held == HELD_WHOLE


def test_weights_launched_in_turn_are_in_l2_if_all_copies_fit() -> None:
    # 2048 x 2048 in fp16 are 8 MiB, and D is a quarter of one: three copies fit 32.4 MiB beside B, of four a part stays
    held = [plan_of(problem(2048, 64, 2048, weights_in_l2=True, weight_copies=copies))[1].a_held for copies in (1, 3, 4, 5)]
    assert held[:2] == [HELD_WHOLE, HELD_WHOLE] and HELD_WHOLE > held[2] > held[3] == 0


def test_cluster_fetches_the_shared_operand_once() -> None:
    kernel = next(k for k in kernels("sm90", False) if (k.cta_m, k.cta_n, k.cluster_m) == (128, 256, 2))
    each = problem(4096, 4096, 4096)
    cut = cut_of(H100, each, kernel)
    tiling, plan = cut.tiling, lower(cut)

    assert plan.units == 66 and (tiling.tile_m, tiling.tile_n) == (256, 256)
    # from L2 for the pair: 256 rows of A and, once for both, 256 rows of B; into each SM: 128 and 256 rows of 128 bytes
    assert (plan.a_l2_bytes[0, 0], plan.b_l2_bytes[0, 0]) == (256 * 128, 256 * 128)
    assert plan.a_ingress_ticks[0, 0] == 128 * 128 / 64 * TICKS_PER_CYCLE
    assert plan.b_ingress_ticks[0, 0] == 256 * 128 / 64 * TICKS_PER_CYCLE


def test_clusters_do_not_straddle_gpcs() -> None:
    odd = load_arch("h100", ["sm.count=15", "sm.sms_per_gpc=[7, 8]"])
    kernel = next(k for k in kernels("sm90", False) if k.cluster_m == 2)
    assert cut_of(odd, problem(4096, 4096, 64), kernel).tiling.units == 7  # 3 + 4 pairs; one SM stays alone


def test_a_cluster_that_no_gpc_holds_is_not_offered() -> None:
    single = load_arch("h100", ["sm.count=1"])
    kernel = next(k for k in kernels("sm90", False) if k.cluster_m == 2)
    assert tile_up(single, problem(4096, 4096, 64), kernel, 1) is None
    assert all(each.tiling.unit_ctas == 1 for each in candidates(single, problem(256, 256, 256), False))


@pytest.mark.parametrize(("kernel_n", "cycles"), [(256, 144), (128, 80), (64, 48)])
def test_sparse_wgmma_reads_shared_memory_as_measured(kernel_n: int, cycles: int) -> None:
    # m64nNk32 SS: B once (N x 64 bytes), A 64 x 32 bytes + metadata; 144 cycles were measured at N = 256
    kernel = Kernel("sm90", True, 64, kernel_n, 64, 0, 1, 1, wgmma=True)
    metadata = 64 * dtype("fp16").metadata_bytes(32)
    assert (smem_read_bytes(problem(64, kernel_n, 32), kernel) - metadata) / 128 == cycles


def test_wgmma_reads_a_for_every_column_of_warpgroups() -> None:
    # 192 x 208: both warpgroups read all of A (192 x 128 bytes), three blocks of 64 rows read B (208 x 128 bytes)
    kernel = Kernel("sm90", False, 192, 208, 128, 0, 1, 2, wgmma=True)
    assert smem_read_bytes(problem(192, 208, 64), kernel) == 2 * 192 * 128 + 3 * 208 * 128


def test_few_warps_cannot_fill_the_tensor_cores() -> None:
    each = problem(512, 512, 512)
    full = tensor_rate(A100, each, TILE)
    # four warps of 64 x 64: 32 independent MMAs a round of 8.16 cycles each, and 2.5 cycles lost
    interval = 16 * 8 * 16 * 4 / full
    assert warp_rate(A100, each, TILE) == pytest.approx(full * 32 * interval / (32 * interval + 2.5))
    # 32 x 32 has eight; eight warps fill each other's gaps; two warps leave half of the sub-cores unused
    assert warp_rate(A100, each, Kernel("sm80", False, 64, 64, 64, 10, 2, 2)) == pytest.approx(
        full * 8 * interval / (8 * interval + 2.5)
    )
    assert warp_rate(A100, each, Kernel("sm80", False, 256, 128, 64, 3, 4, 2)) == full
    assert warp_rate(A100, each, Kernel("sm80", False, 64, 32, 128, 6, 2, 1)) < full / 2
    assert warp_rate(H100, each, Kernel("sm90", False, 64, 128, 128, 0, 1, 1, True)) == tensor_rate(
        H100, each, Kernel("sm90", False, 64, 128, 128, 0, 1, 1, True)
    )


def test_ampere_2_4_waits_for_b_fragments() -> None:
    # 64 x 64 warp tiles: four warps load 64 rows of 64 bytes each in 128 cycles, the last is there 29 later; before both steps
    # of an iteration, or before the first where a second warp of the sub-core hides the other
    barrier, fp16 = A100.kernel.k_iteration_cycles, problem(128, 128, 128)
    assert iteration_cycles(A100, fp16, SPARSE) == barrier + 2 * (128 + 29)
    assert iteration_cycles(A100, fp16, Kernel("sm80", True, 256, 128, 128, 3, 4, 2)) == barrier + 128 + 29
    assert iteration_cycles(A100, fp16, Kernel("sm80", True, 64, 128, 128, 3, 2, 2)) == barrier  # 32 x 64: two sets fit
    assert iteration_cycles(A100, fp16, TILE) == barrier


@pytest.mark.parametrize(
    ("name", "k", "dense", "sparse"),
    [("fp16", 64, 128, 64 + 8), ("int8", 64, 64, 32 + 8), ("tf32", 64, 256, 128 + 16), ("fp8", 32, 32, 16 + 4)],
)
def test_row_bytes(name: str, k: int, dense: int, sparse: int) -> None:
    assert (a_row_bytes(dtype(name), k, False), a_row_bytes(dtype(name), k, True)) == (dense, sparse)


def test_what_stays_on_the_sm_moves_nothing() -> None:
    each = problem(512, 256, 1024)
    plain = simulate(plan_of(each)[1])
    scores_used = simulate(plan_of(dataclasses.replace(each, a_on_chip=True))[1])
    scores_made = simulate(plan_of(dataclasses.replace(each, d_on_chip=True))[1])
    assert plain.write_bytes == 512 * 256 * 2 and scores_made.write_bytes == 0
    assert plain.dram_read_bytes == 512 * 1024 * 2 and scores_used.dram_read_bytes == 0  # B is warm, A cold
    assert scores_used.l2_read_bytes == 4 * 256 * 1024 * 2  # B for each of four m-tiles
    assert scores_used.total_ticks < plain.total_ticks and scores_made.total_ticks <= plain.total_ticks


def test_every_kernel_of_a_catalogue_has_a_name_that_finds_it() -> None:
    for family in ("sm75", "sm80", "sm86", "sm89", "sm90"):
        for sparse in (False, True):
            for kernel in kernels(family, sparse):
                element = next(each for each in map(dtype, ("fp16", "bf16", "fp8")) if kernel.takes(each))
                assert find(family, sparse, element, None, kernel.name(element)) == (kernel, 1)
                assert find(family, sparse, element, None, kernel.name(element, 4)) == (kernel, 4)


def test_fp8_of_ada_has_tiles_of_its_own() -> None:
    def own(family: str, name: str) -> set[tuple[int, int, int]]:
        of_type = (kernel for kernel in kernels(family, False) if kernel.only and kernel.takes(dtype(name)))
        return {(kernel.cta_m, kernel.cta_n, kernel.stages) for kernel in of_type}

    assert own("sm89", "fp8") == {(128, 64, 4), (64, 128, 4), (64, 64, 4), (64, 64, 6)}
    assert not own("sm89", "int8") and not own("sm80", "fp8")
