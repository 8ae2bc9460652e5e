"""Does the reference engine do what the contract says? Scenes with the arithmetic in a comment.

Unless a scene says otherwise: prologue 100, L2 latency 1, tensor 10, epilogue 1, all else free, so that one tile of one
iteration takes 100 + 1 + 10 + 1 = 112.
"""

from __future__ import annotations

import pytest

from stcsim.timing.engine.reference import Server, simulate
from stcsim.timing.plan import FINISHER, HELD_WHOLE, PARTIAL, WHOLE
from tests.plans import make_plan, parts

ONE_TILE = [(0, 0, 0, 1)]
TWO_TILES_OF_ONE_A = [(0, 0, 0, 1), (0, 1, 0, 1)]
TWO_TILES_OF_ONE_B = [(0, 0, 0, 1), (1, 0, 0, 1)]


def test_server_books_one_after_the_other() -> None:
    server = Server()

    ends = [server.book(20, 5), server.book(20, 5), server.book(60, 5)]

    assert ends == [25, 30, 65]  # at once, behind the first, at once again
    assert server.busy_ticks == 15


def test_booking_of_nothing_does_not_queue() -> None:
    server = Server(free_tick=50)

    assert server.book(20, 0) == 20
    assert server.free_tick == 50


# One CTA alone


def test_one_cta_alone() -> None:
    plan = make_plan([(0, 0, 0, 3)], smem_read_ticks=4, iteration_ticks=2, l2_latency_ticks=5, epilogue_ticks=7)

    timing = simulate(plan)

    # load 0: 100 + 5; three iterations of max(10, 4) + 2, loads hidden: 105, 117, 129; epilogue 141 + 7
    assert timing.total_ticks == 148
    assert parts(timing) == {"prologue": 100, "latency": 5, "tensor": 30, "issue": 6, "epilogue": 7}
    assert (timing.tensor_busy_ticks, timing.smem_busy_ticks) == (30, 12)


@pytest.mark.parametrize(
    ("stages", "total_ticks"),
    [
        (1, 261),  # as with 2: the next load is issued when an iteration begins: 150, 200, 250 + 10 + 1
        (2, 261),
        (3, 211),  # loads 0 and 1 at 100, load 2 at 150: iterations at 150, 160, 200 + 10 + 1
        (4, 181),  # all three at 100: iterations at 150, 160, 170 + 10 + 1
        (6, 181),
    ],
)
def test_stages_hide_latency(stages: int, total_ticks: int) -> None:
    assert simulate(make_plan([(0, 0, 0, 3)], stages=stages, l2_latency_ticks=50)).total_ticks == total_ticks


def test_shared_memory_port_serves_fills_and_reads() -> None:
    plan = make_plan([(0, 0, 0, 2)], a_fill_ticks=6, b_fill_ticks=2, smem_read_ticks=25)

    timing = simulate(plan)

    # load 0 is there at 101; port ..134 (8 of filling, 25 of reading; tensor ..111), ..167 (tensor ..144)
    assert timing.total_ticks == 168
    assert parts(timing) == {"prologue": 100, "latency": 1, "smem": 2 * 23, "tensor": 20, "epilogue": 1}
    assert timing.smem_busy_ticks == 2 * 8 + 2 * 25


# CTAs that share


def test_two_ctas_share_a_tensor_pipe() -> None:
    plan = make_plan([(0, 0, 0, 2), (0, 1, 0, 2)], slots_per_unit=2)

    timing = simulate(plan)

    # pipe: slot 0 101..111, slot 1 ..121, slot 0 ..131, slot 1 ..141; tile ends 132 and 142
    assert timing.total_ticks == 142
    assert parts(timing) == {"prologue": 200, "latency": 2, "tensor": 10 + 20 + 20 + 20, "epilogue": 2, "tail": 10}
    assert timing.tensor_busy_ticks == 40


def test_two_units_have_a_tensor_pipe_each() -> None:
    assert simulate(make_plan([(0, 0, 0, 2), (0, 1, 0, 2)], units=2)).total_ticks == 122  # 101..111..121 + 1, twice


def test_slots_are_dealt_to_units_in_turn() -> None:
    plan = make_plan([(0, n, 0, 1) for n in range(3)], units=2, slots_per_unit=2)

    timing = simulate(plan)

    # slots 0 and 2 share unit 0: 101..111 and 111..121; slot 1 has unit 1: 101..111; slot 3 finds no tile
    assert timing.total_ticks == 122
    assert parts(timing) == {"prologue": 300, "latency": 3, "tensor": 10 + 10 + 20, "epilogue": 3, "tail": 10 + 10 + 122}


def test_l2_queue_is_shared_by_units() -> None:
    timing = simulate(make_plan(TWO_TILES_OF_ONE_A, units=2, a_l2_ticks=12, b_l2_ticks=8, l2_latency_ticks=5))

    # L2: slot 0 100..120, slot 1 ..140; arrivals 125 and 145; tile ends 136 and 156
    assert timing.total_ticks == 156
    assert parts(timing) == {"prologue": 200, "l2": 25 + 45, "tensor": 20, "epilogue": 2, "tail": 20}
    assert timing.l2_busy_ticks == 40


@pytest.mark.parametrize(
    ("units", "slots_per_unit", "total_ticks"),
    [(1, 2, 156), (2, 1, 136)],  # one port: 100..120..140, + 5 + 10 + 1; two ports: both 100..120, + 5 + 10 + 1
)
def test_ingress_queue_belongs_to_the_unit(units: int, slots_per_unit: int, total_ticks: int) -> None:
    plan = make_plan(TWO_TILES_OF_ONE_A, units=units, slots_per_unit=slots_per_unit, a_ingress_ticks=20, l2_latency_ticks=5)

    timing = simulate(plan)

    assert timing.total_ticks == total_ticks
    assert timing.ingress_busy_ticks == 40


# Memory: misses, merging, eviction


def test_dram_queue_delays_the_second_miss() -> None:
    timing = simulate(make_plan(TWO_TILES_OF_ONE_B, units=2, a_dram_ticks=30, dram_latency_ticks=40))

    # DRAM: slot 0 100..130, there at 170, and was idle: latency; slot 1 ..160, there at 200; tile ends 181 and 211
    assert timing.total_ticks == 211
    assert parts(timing) == {"prologue": 200, "latency": 70, "dram": 100, "tensor": 20, "epilogue": 2, "tail": 30}
    assert timing.dram_busy_ticks == 60


def test_second_touch_waits_for_the_miss_in_flight() -> None:
    plan = make_plan(TWO_TILES_OF_ONE_A, units=2, a_dram_ticks=30, a_l2_bytes=64, dram_latency_ticks=40)

    timing = simulate(plan)

    # slot 0 misses A: 100..130, there at 170; slot 1 finds A on its way, and its B costs nothing: 170 too
    assert timing.total_ticks == 181
    assert parts(timing) == {"prologue": 200, "latency": 70, "dram": 70, "tensor": 20, "epilogue": 2}
    assert (timing.dram_busy_ticks, timing.dram_read_bytes, timing.l2_read_bytes) == (30, 64, 128)


@pytest.mark.parametrize(
    ("l2_capacity_bytes", "total_ticks", "dram_read_bytes"),
    [
        (65, 194, 128),  # tiles of 30 + 10 + 1 from 100: 141, 182; then a hit, 1 + 10 + 1: 194
        (64, 223, 192),  # 141, 182, 223
    ],
)
def test_chunk_is_evicted_by_a_capacity_of_others(l2_capacity_bytes: int, total_ticks: int, dram_read_bytes: int) -> None:
    # A panels 0, 1, 0 of 64 bytes: at the last touch 64 bytes have come in since the first
    tiles = [(0, 0, 0, 1), (1, 0, 0, 1), (0, 1, 0, 1)]

    timing = simulate(make_plan(tiles, a_l2_bytes=64, a_dram_ticks=30, l2_capacity_bytes=l2_capacity_bytes))

    assert (timing.total_ticks, timing.dram_read_bytes) == (total_ticks, dram_read_bytes)


def test_touch_keeps_a_chunk_young() -> None:
    # A panels 0, 1, 0, 2, 0: at the last touch 128 bytes since panel 0 came in, 64 since its second touch
    tiles = [(m, n, 0, 1) for n, m in enumerate((0, 1, 0, 2, 0))]

    assert simulate(make_plan(tiles, a_l2_bytes=64, l2_capacity_bytes=128)).dram_read_bytes == 3 * 64


@pytest.mark.parametrize(("l2_capacity_bytes", "dram_read_bytes"), [(37, 64), (36, 128)])
def test_written_tiles_evict_too(l2_capacity_bytes: int, dram_read_bytes: int) -> None:
    plan = make_plan(TWO_TILES_OF_ONE_A, a_l2_bytes=64, out_bytes=36, l2_capacity_bytes=l2_capacity_bytes)

    timing = simulate(plan)

    assert (timing.dram_read_bytes, timing.write_bytes) == (dram_read_bytes, 72)


def test_a_makes_room_before_b_is_looked_up() -> None:
    # warm B has stamp 0; the miss of A brings in 64 bytes first, and 64 - 0 is not below 64
    plan = make_plan(ONE_TILE, b_held=HELD_WHOLE, a_l2_bytes=64, b_l2_bytes=8, l2_capacity_bytes=64)

    assert simulate(plan).dram_read_bytes == 72


def test_warm_operand_is_there_at_the_start() -> None:
    plan = make_plan([(0, 0, 0, 2)], a_held=HELD_WHOLE, a_l2_bytes=64, b_l2_bytes=32, a_dram_ticks=30)

    timing = simulate(plan)

    assert timing.total_ticks == 122  # 100 + 1 + 2 x 10 + 1
    assert (timing.dram_read_bytes, timing.l2_read_bytes) == (2 * 32, 2 * 96)


def test_period_brings_the_same_chunk_back() -> None:
    plan = make_plan([(0, 0, 0, 5)], a_period=2, a_l2_bytes=64, b_l2_bytes=1)

    assert simulate(plan).dram_read_bytes == 2 * 64 + 5  # A chunks 0 1 0 1 0, B chunks 0 1 2 3 4


# Classes and causes


@pytest.mark.parametrize(
    ("m", "n", "l2_read_bytes", "write_bytes"),
    [
        (0, 0, 1 + 2 + 10 + 20, 100),
        (1, 0, 3 + 4 + 10 + 20, 300),
        (0, 1, 1 + 2 + 30 + 40, 200),
        (1, 1, 3 + 4 + 30 + 40, 400),
    ],
)
def test_edge_panels_and_the_last_iteration_have_their_own_costs(m: int, n: int, l2_read_bytes: int, write_bytes: int) -> None:
    plan = make_plan(
        [(m, n, 0, 2)], m_edge=1, n_edge=1,
        a_l2_bytes=[[1, 2], [3, 4]], b_l2_bytes=[[10, 20], [30, 40]], out_bytes=[[100, 200], [300, 400]],
    )  # fmt: skip

    timing = simulate(plan)

    assert (timing.l2_read_bytes, timing.write_bytes) == (l2_read_bytes, write_bytes)


@pytest.mark.parametrize(
    ("costs", "cause"),
    [
        ({}, "latency"),
        ({"dram_latency_ticks": 21}, "latency"),
        ({"a_dram_ticks": 21}, "latency"),  # the DRAM was idle
        ({"a_ingress_ticks": 20, "a_l2_ticks": 20}, "ingress"),
        ({"a_l2_ticks": 20, "a_dram_ticks": 21}, "l2"),
    ],
)
def test_first_of_equal_causes_counts(costs: dict[str, int], cause: str) -> None:
    timing = simulate(make_plan(ONE_TILE, **costs))

    wait_ticks = 21 if costs else 1  # 20 + L2 latency 1, or 21
    assert parts(timing) == {"prologue": 100, cause: wait_ticks, "tensor": 10, "epilogue": 1}


# Epilogue, next tile, tail


@pytest.mark.parametrize(
    ("costs", "total_ticks"),
    [
        ({"epilogue_ticks": 60}, 171),  # compute ends at 111
        ({"out_smem_ticks": 50}, 161),
        ({"out_ingress_ticks": 50}, 161),
        ({"out_l2_ticks": 50}, 161),
        ({"out_dram_ticks": 10}, 112),  # put off: 100 + 10
    ],
)
def test_tile_ends_with_its_slowest_write_but_dram(costs: dict[str, int], total_ticks: int) -> None:
    assert simulate(make_plan(ONE_TILE, **costs)).total_ticks == total_ticks


def test_stream_k_pieces_write_partial_sums_that_a_finisher_reads() -> None:
    # slot 0: the first 3 iterations of a tile of 5; slot 1: the last 2; then a whole tile
    plan = make_plan(
        [(0, 0, 0, 3), (0, 0, 3, 2), (0, 1, 0, 5)], units=2, kind=[PARTIAL, FINISHER, WHOLE], epilogue_ticks=[5, 5, 9],
        out_l2_ticks=[[[10, 0], [0, 0]], [[20, 0], [0, 0]], [[30, 0], [0, 0]]],
        out_bytes=[[[2, 0], [0, 0]], [[4, 0], [0, 0]], [[2, 0], [0, 0]]],
        out_smem_ticks=[[[2, 0], [0, 0]], [[0, 0], [0, 0]], [[2, 0], [0, 0]]],
        out_dram_ticks=[[[7, 0], [0, 0]], [[0, 0], [0, 0]], [[7, 0], [0, 0]]],
    )  # fmt: skip

    timing = simulate(plan)

    # finisher 101..121: L2 121..151; it does not wait for its peer 101..131, whose sums go behind: L2 151..171
    # slot 1 is free first: whole tile, load there at 152, ..202, L2 ..212
    assert timing.total_ticks == 212
    assert (timing.write_bytes, timing.l2_busy_ticks, timing.dram_busy_ticks) == (2 + 4 + 2, 30 + 20 + 10, 7 + 7)
    assert parts(timing)["epilogue"] == 30 + 40 + 10 and timing.smem_busy_ticks == 2 + 2


def test_epilogue_takes_the_ticks_of_its_kind() -> None:
    for kind, ticks in ((WHOLE, 20), (PARTIAL, 30), (FINISHER, 40)):
        assert simulate(make_plan(ONE_TILE, kind=kind, epilogue_ticks=[20, 30, 40])).total_ticks == 111 + ticks


def test_writes_to_dram_are_put_off_to_the_end() -> None:
    timing = simulate(make_plan(TWO_TILES_OF_ONE_B, a_dram_ticks=10, out_dram_ticks=50))

    # DRAM: read 100..110 and 121..131, so that tiles end at 121 and 142; with what is written it works 120 ticks from 100 on
    assert timing.total_ticks == 220
    assert parts(timing) == {"prologue": 100, "latency": 20, "tensor": 20, "epilogue": 2, "dram": 220 - 142}
    assert timing.dram_busy_ticks == 2 * 10 + 2 * 50


@pytest.mark.parametrize(
    ("prefetch", "l2_latency_ticks", "total_ticks", "latency_ticks"),
    [
        (False, 30, 225, 60),  # 130..140, end 160, fill 165, 195..205, end 225
        (True, 30, 200, 35),  # 130..140, loads at 140 there at 170, not at 165; ..180, end 200
        (True, 10, 175, 10),  # 110..120, loads at 120 there at 130, but the slot only at 140 + 5; ..155, end 175
    ],
)
def test_prefetch_loads_during_the_epilogue(prefetch: bool, l2_latency_ticks: int, total_ticks: int, latency_ticks: int) -> None:
    plan = make_plan(
        TWO_TILES_OF_ONE_A,
        prefetch=prefetch,
        l2_latency_ticks=l2_latency_ticks,
        epilogue_ticks=20,
        next_prologue_ticks=5,
    )

    timing = simulate(plan)

    assert timing.total_ticks == total_ticks
    assert parts(timing) == {"prologue": 105, "latency": latency_ticks, "tensor": 20, "epilogue": 40}


def test_prefetched_loads_queue_behind_the_write() -> None:
    timing = simulate(make_plan(TWO_TILES_OF_ONE_A, prefetch=True, a_ingress_ticks=20, out_ingress_ticks=50))

    # ingress: load 100..120, write at 131 ..181, load ..201, write at 212 ..262
    assert timing.total_ticks == 262
    assert parts(timing) == {"prologue": 100, "ingress": 21 + 21, "tensor": 20, "epilogue": 50 + 50}


def test_split_in_k_ends_with_a_tail_for_every_slot() -> None:
    plan = make_plan([(0, 0, 0, 2), (0, 0, 2, 1)], units=2, a_l2_bytes=[[1, 5], [0, 0]], tail_ticks=40)

    timing = simulate(plan)

    # slot 0 101..121, end 122; slot 1 101..111, end 112; then 40 for both; only iteration 2 is the reduction's last
    assert timing.total_ticks == 162
    assert parts(timing) == {"prologue": 200, "latency": 2, "tensor": 30, "epilogue": 2, "reduction": 80, "tail": 10}
    assert timing.l2_read_bytes == 1 + 1 + 5


def test_slot_without_a_tile_is_idle() -> None:
    timing = simulate(make_plan(ONE_TILE, units=2))

    assert timing.total_ticks == 112
    assert parts(timing) == {"prologue": 100, "latency": 1, "tensor": 10, "epilogue": 1, "tail": 112}


def test_next_tile_goes_to_the_slot_that_is_first_at_its_epilogue() -> None:
    # slot 0 runs 3 iterations 101..131, slot 1 runs 1: 101..111, end 112, and takes tile 2: 113..123, end 124
    tiles = [(0, 0, 0, 3), (0, 1, 0, 1), (0, 2, 0, 1)]

    timing = simulate(make_plan(tiles, units=2))

    assert timing.total_ticks == 132
    assert parts(timing) == {"prologue": 200, "latency": 3, "tensor": 50, "epilogue": 3, "tail": 8}


# Rounds


def test_slots_take_turns_whatever_the_tick() -> None:
    # Slot 1 waits for DRAM until 151, slot 0 could go on at 111; both read the one pipe in turn: 0, 1, 0, 1.
    plan = make_plan([(0, 0, 0, 2), (1, 0, 0, 2)], slots_per_unit=2, m_edge=1, a_dram_ticks=[[0, 0], [51, 51]])

    timing = simulate(plan)

    # pipe: slot 0 101..111, slot 1 151..161, slot 0 (there at 111) ..171, slot 1 (its second load there at 202) 202..212
    assert timing.total_ticks == 213
    assert parts(timing) == {"prologue": 200, "latency": 1 + 51 + 41, "tensor": 10 + 60 + 20, "epilogue": 2, "tail": 41}


def test_a_slot_that_waits_longer_loses_its_turn_to_nobody() -> None:
    # as above without the wait for DRAM: the same order, earlier
    assert simulate(make_plan([(0, 0, 0, 2), (1, 0, 0, 2)], slots_per_unit=2, m_edge=1)).total_ticks == 142
