"""Stream-K: which tiles are cut, where, in which order the pieces are handed out, and who is offered it."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np
import pytest

import stcsim
from stcsim.arch import Arch, load_arch
from stcsim.errors import UnsupportedError
from stcsim.study.explain import explain_problem
from stcsim.timing.board.setup import Setup
from stcsim.timing.board.steady import simulate_long
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.menu import find
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.lower import lower
from stcsim.timing.lowering.stream_k import LEAST_ITERATIONS, Pieces, cut_tiles, decompose, ranges_of, stream_k_waves
from stcsim.timing.offers.candidates import candidates
from stcsim.timing.plan import FINISHER, PARTIAL, WHOLE, TilePlan
from stcsim.timing.problem import Problem
from tests.shapes import cut_of, problem

H100 = load_arch("h100")
PAIR = "sm90_128x256x64_coop_c2x1_sk"  # 66 units of two SMs, tiles of 256 x 256

TILES = (1, 5, 65, 66, 67, 99, 131, 132, 133, 200, 263, 500)
SLOTS = (1, 3, 66, 132)
ITERATIONS = (9, 10, 16, 37, 64, 129)
CASES = [(tiles, slots, k) for tiles in TILES for slots in SLOTS for k in ITERATIONS]


def at_even_pace(pieces: Pieces, slots: int) -> tuple[list[list[int]], list[int]]:
    """Return the pieces of each slot and the end of each piece, when each iteration takes one tick and nothing else any."""
    free = [(0, slot) for slot in range(slots)]
    taken: list[list[int]] = [[] for _ in range(slots)]
    ends = []
    for piece, count in enumerate(pieces.k_count.tolist()):
        tick, slot = heapq.heappop(free)
        taken[slot].append(piece)
        ends.append(tick + count)
        heapq.heappush(free, (tick + count, slot))
    return taken, ends


def spans(pieces: Pieces) -> dict[int, list[tuple[int, int, int]]]:
    """Return (first iteration, end, kind) of the pieces of each tile, in the order of k."""
    found = defaultdict(list)
    for tile, start, count, kind in zip(*(each.tolist() for each in pieces), strict=True):
        found[tile].append((start, start + count, kind))
    return {tile: sorted(each) for tile, each in found.items()}


def test_every_iteration_of_every_tile_is_done_once() -> None:
    for tiles, slots, k in CASES:
        found = spans(decompose(tiles, slots, k))
        assert sorted(found) == list(range(tiles))
        for each in found.values():
            assert [start for start, _, _ in each] == [0, *(end for _, end, _ in each[:-1])] and each[-1][1] == k


def test_a_cut_tile_has_one_finisher_and_it_has_the_last_iteration() -> None:
    for tiles, slots, k in CASES:
        for each in spans(decompose(tiles, slots, k)).values():
            *others, last = (kind for _, _, kind in each)
            assert last == (FINISHER if others else WHOLE) and set(others) <= {PARTIAL}


def test_ranges_are_even_and_each_slot_gets_its_own() -> None:
    for tiles, slots, k in CASES:
        pieces, cut = decompose(tiles, slots, k), cut_tiles(tiles, slots, k)
        first = int((pieces.tile < cut).sum())
        of_ranges = Pieces(*(each[:first] for each in pieces))
        taken, _ = at_even_pace(of_ranges, ranges_of(cut, slots, k))  # slots beyond these are free to help
        ranges = [own for own in taken if own]
        iterations = [int(pieces.k_count[own].sum()) for own in ranges]
        assert max(iterations, default=0) - min(iterations, default=0) <= 1, (tiles, slots, k)
        assert not cut or min(iterations) >= LEAST_ITERATIONS
        for own in ranges:  # one stretch of iterations, from its last tile to its first
            if int(pieces.k_count[own[:-1]].sum()) == min(iterations):
                continue  # a slot that was done a tick earlier has taken the last iteration of another's range
            starts = (pieces.tile[own] * k + pieces.k_start[own]).tolist()
            ends = [start + count for start, count in zip(starts, pieces.k_count[own].tolist(), strict=True)]
            assert starts[:-1] == ends[1:]


def test_from_one_wave_on_no_finisher_waits_at_even_pace() -> None:
    for tiles, slots, k in [case for case in CASES if case[0] > case[1]]:
        pieces = decompose(tiles, slots, k)
        _, ends = at_even_pace(pieces, slots)
        done: dict[int, int] = defaultdict(int)
        for tile, kind, end in zip(pieces.tile.tolist(), pieces.kind.tolist(), ends, strict=True):
            done[tile] = max(done[tile], end * (kind == PARTIAL))
        finishers = np.flatnonzero(pieces.kind == FINISHER).tolist()
        assert all(ends[each] >= done[int(pieces.tile[each])] for each in finishers), (tiles, slots, k)


@pytest.mark.parametrize(
    ("tiles", "slots", "k", "cut"),
    [
        (132, 66, 64, 0),  # full waves
        (133, 66, 64, 67),  # the last full wave and the one tile behind it
        (67, 66, 64, 67),
        (30, 66, 64, 30),  # less than a wave: all
        (67, 66, LEAST_ITERATIONS, 0),
    ],
)
def test_what_is_cut(tiles: int, slots: int, k: int, cut: int) -> None:
    assert cut_tiles(tiles, slots, k) == cut
    pieces = decompose(tiles, slots, k)
    assert len(set(pieces.tile[pieces.kind != WHOLE].tolist())) <= cut
    assert cut or pieces.k_count.tolist() == [k] * tiles


def test_five_tiles_on_two_slots_by_hand() -> None:
    # 5 tiles of 10: the last full wave and one more, 3 tiles of 30 iterations, 15 each; two tiles follow whole
    pieces = decompose(5, 2, 10)

    # slot 0: half of tile 1, then tile 0; slot 1: tile 2, then the other half of tile 1
    assert pieces.tile.tolist() == [1, 2, 0, 1, 3, 4]
    assert pieces.k_start.tolist() == [0, 0, 0, 5, 0, 0] and pieces.k_count.tolist() == [5, 10, 10, 5, 10, 10]
    assert pieces.kind.tolist() == [PARTIAL, WHOLE, WHOLE, FINISHER, WHOLE, WHOLE]
    assert stream_k_waves(5, 2, 10) == 2.5


def plan_of(arch: Arch, each: Problem, name: str) -> TilePlan:
    kernel, splits = find("sm90", False, each.dtype, None, name)
    return lower(cut_of(arch, each, kernel, splits))


def test_traffic_of_pieces() -> None:
    # 67 tiles of 256 x 256 in fp16 on 66 pairs of SMs: D 128 KiB, partial sums 256 KiB, half of each for an SM
    plan = plan_of(H100, problem(256, 67 * 256, 8192), PAIR)

    tile = 256 * 256
    assert plan.out_bytes[:, 0, 0].tolist() == [2 * tile, 4 * tile, 2 * tile]
    into_sm = H100.l2.port_bytes_per_clk_per_sm
    assert plan.out_ingress_ticks[:, 0, 0].tolist() == [each * tile / 2 * 256 / into_sm for each in (2, 4, 6)]
    assert plan.out_smem_ticks[PARTIAL].max() == 0 and plan.out_dram_ticks[PARTIAL].max() == 0
    assert (plan.out_l2_ticks[PARTIAL] + plan.out_l2_ticks[WHOLE] >= plan.out_l2_ticks[FINISHER]).all()
    assert plan.epilogue_ticks[FINISHER] - plan.epilogue_ticks[WHOLE] == plan.l2_latency_ticks
    # 66 ranges, 65 cuts between them: each ends the head of a tile
    assert (plan.kind == PARTIAL).sum() == (plan.kind == FINISHER).sum() == 65
    assert simulate(plan).write_bytes == 67 * 2 * tile + 65 * 4 * tile


def test_it_fills_the_last_wave() -> None:
    each = problem(4 * 256, 17 * 256, 8192)
    whole, cut = (simulate(plan_of(H100, each, name)).total_ticks for name in (PAIR.removesuffix("_sk"), PAIR))
    # 68 tiles: two waves against a little more than one; both start with the same loads from DRAM
    assert 0.5 < cut / whole < 0.65


def test_it_is_a_decomposition_of_dense_hopper_kernels_without_pingpong() -> None:
    cut = [kernel for kernel in kernels("sm90", False) if kernel.stream_k]
    assert cut and not any(kernel.pingpong or kernel.max_splits > 1 for kernel in cut)
    others = [kernel for family in ("sm75", "sm80", "sm86", "sm89") for kernel in kernels(family, False)]
    assert not any(kernel.stream_k for kernel in (*others, *kernels("sm90", True)))


def offered(each: Problem) -> set[str]:
    return {candidate.kernel.name(each.dtype) for candidate in candidates(H100, each, False)}


@pytest.mark.parametrize(
    ("n_tiles", "worth"),
    [(67, True), (98, True), (99, False), (132, False), (66, False), (30, False), (66 * 7 + 1, True), (66 * 8 + 1, False)],
)
def test_it_is_offered_where_the_last_wave_is_nearly_empty(n_tiles: int, worth: bool) -> None:
    assert (PAIR in offered(problem(256, n_tiles * 256, 4096))) == worth


def test_it_is_not_offered_for_short_reductions() -> None:
    each = problem(256, 67 * 256, 512)  # 8 iterations of 64
    assert PAIR not in offered(each)


def test_it_beats_the_same_tile_in_whole_waves() -> None:
    each = problem(2560, 5000, 8192)  # 400 tiles of 128 x 256 on 132 SMs: 3.03 waves
    each = problem(256, 67 * 256, 8192)  # 134 tiles on 132 SMs
    plain, cut = (time_gemm(Setup(H100, kernel=name), each, False) for name in (PAIR.removesuffix("_sk"), PAIR))
    assert plain.time_us > 1.2 * cut.time_us


def test_it_can_be_forced_and_is_explained() -> None:
    each = problem(256, 67 * 256, 8192)
    side = explain_problem(H100, each, sparsity="dense", kernel=PAIR).sides[0]
    assert side.result.kernel == PAIR and side.result.waves == pytest.approx(67 / 66)
    assert dict(side.plan)["stream-K"] == "65 tiles cut along k into 130 pieces, 2 whole"
    assert stcsim.gemm(256, 66 * 256, 4096, H100, sparsity="dense", kernel=PAIR)  # nothing to cut: all tiles whole
    with pytest.raises(UnsupportedError):
        stcsim.gemm(256, 67 * 256, 8192, H100, sparsity="dense", kernel=f"{PAIR}_k2")


def test_large_ones_are_simulated_whole() -> None:
    each = problem(4096, 256 * 66 * 8 + 256, 1024)
    kernel, _ = find("sm90", False, each.dtype, None, PAIR)
    cut = cut_of(H100, each, kernel)
    plan = lower(cut)
    assert simulate_long(plan, cut, simulate, above=1000) == simulate(plan)
