"""Which side of each layer makes the whole fastest, and what pruning saves: held against every combination of sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import compress, product

import pytest

import stcsim
from stcsim.arch import Arch, load_arch
from stcsim.isa import dtype
from stcsim.replay.planned import Planned, turned
from stcsim.replay.savings import groups_of
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, PruneGroup, RunResult
from stcsim.study.evidence.advice import shared_kernels
from stcsim.trace import Conv2d, Gemm, Op, Trace
from tests.unit.small_networks import network, step

Shape = tuple[str, int, int, int]


def chain(*shapes: Shape, counts: dict[str, int] | None = None, dtype: str = "fp16") -> Trace:
    """Return layers that read one another, with a norm between the first two."""
    first, *rest = (Gemm(name=name, m=m, n=n, k=k, count=(counts or {}).get(name, 1)) for name, m, n, k in shapes)
    elements = first.output_elements
    ops: list[Op] = [first, step("norm", "layer_norm", first.name, read=elements, written=elements)]
    for layer in rest:
        ops.append(layer.changed(inputs=(ops[-1].name,)))
    return network(*ops, dtype=dtype)


@dataclass
class Studied:
    """A network on a GPU: its run, and what each combination of sides takes when it alone is allowed."""

    arch: Arch
    result: RunResult
    by_pruned: dict[frozenset[str], float]

    def without(self, *names: str) -> float:
        """Return what best-of-both takes with those layers dense."""
        return self.by_pruned[pruned(self.result) - set(names)]


def pruned(result: RunResult) -> frozenset[str]:
    """Return the names of what is 2:4 in best of both."""
    return frozenset(row.name for row in result.rows if row.best == "2:4")


def forced(trace: Trace, arch: Arch, names: frozenset[str]) -> RunResult:
    """Return a run in which just those layers are pruned."""
    keep = [op.name for op in trace.ops if op.weight_elements and op.name not in names]
    return stcsim.run(trace, arch, sparsity="2:4", keep_dense=keep)


FEW = chain(("0.up", 8192, 2048, 2048), ("0.down", 2048, 2048, 8192), ("1.up", 8192, 2048, 2048), ("head", 4096, 64, 4096))
MANY = chain(
    ("0.up", 8192, 2048, 2048),
    ("0.down", 2048, 64, 8192),
    ("1.up", 8192, 2048, 2048),
    ("1.down", 4096, 4096, 8192),
    ("head", 4096, 64, 4096),
)
NARROW = chain(
    ("0.in", 1024, 256, 512),
    ("0.up", 8192, 256, 4096),
    ("1.up", 8192, 256, 4096),
    ("0.out", 128, 256, 4096),
    ("head", 8192, 256, 8192),
    counts={"0.up": 3, "0.out": 2},
    dtype="int8",
)
LIMITED = {"a100": (FEW, "a100", 150), "h100": (MANY, "h100", 250), "h100 in int8": (NARROW, "h100", 300)}


@cache
def studied(name: str) -> Studied:
    trace, gpu, limit_w = LIMITED[name]
    arch, layers = load_arch(gpu, [f"power.board_limit_w={limit_w}"]), [op.name for op in trace.ops if op.weight_elements]
    every = [frozenset(compress(layers, marks)) for marks in product((0, 1), repeat=len(layers))]
    with shared_kernels(arch):  # the run beside them makes its own searches
        times = {each: forced(trace, arch, each).totals.best_us for each in every}
    return Studied(arch, stcsim.run(trace, arch), times)


@pytest.fixture(params=LIMITED)
def case(request: pytest.FixtureRequest) -> Studied:
    return studied(request.param)


@pytest.fixture(scope="module")
def unlimited() -> RunResult:
    trace = chain(("0.up", 4096, 256, 2048), ("0.down", 2048, 256, 4096), ("head", 8192, 16, 2048))
    return stcsim.run(trace, load_arch("a100", ["power.board_limit_w=2000"]))


def test_the_limit_binds(case: Studied) -> None:
    totals, highest_mhz = case.result.totals, case.arch.clock.sustained_mhz
    assert totals.clock_is_limited and totals.dense_clock_mhz and totals.dense_clock_mhz < highest_mhz


def test_cases_are_pruned_in_whole_and_in_part() -> None:
    results = [studied(name).result for name in LIMITED]
    assert [len(pruned(result)) < len(result.rows) for result in results] == [False, True, True]


def test_best_of_both_beats_both(case: Studied) -> None:
    totals = case.result.totals
    assert totals.dense_us and totals.sparse_us
    assert totals.best_us <= totals.dense_us and totals.best_us <= totals.sparse_us
    assert totals.speedup == totals.dense_us / totals.best_us and totals.sparse_speedup == totals.dense_us / totals.sparse_us


def test_no_combination_of_sides_is_faster(case: Studied) -> None:
    assert len(case.by_pruned) == 2 ** len(case.result.rows)
    assert case.result.totals.best_us <= 1.001 * min(case.by_pruned.values())


def test_a_network_takes_the_same_whoever_asks(case: Studied) -> None:
    totals, names = case.result.totals, frozenset(row.name for row in case.result.rows)
    assert totals.best_us == pytest.approx(case.by_pruned[pruned(case.result)], rel=1e-6)
    assert totals.dense_us == pytest.approx(case.by_pruned[frozenset()], rel=1e-6)
    assert totals.sparse_us == pytest.approx(case.by_pruned[names], rel=1e-6)


def test_a_layer_saves_what_the_network_loses_without_its_pruning(case: Studied) -> None:
    best_us = case.result.totals.best_us
    for row in case.result.rows:
        lost_us = case.without(row.name) - best_us if row.best == "2:4" else 0.0
        assert row.saved_us == pytest.approx(lost_us, rel=1e-6, abs=1e-6 * best_us), row.name


def test_no_layer_that_is_pruned_loses(case: Studied) -> None:
    assert all(row.saved_us >= 0 for row in case.result.rows)
    assert all(group.saved_us >= 0 for group in case.result.groups)


def test_layers_are_ranked_by_what_they_save(case: Studied) -> None:
    ranked = sorted((row for row in case.result.rows if row.prune_rank), key=lambda row: row.prune_rank or 0)
    assert [row.prune_rank for row in ranked] == list(range(1, len(pruned(case.result)) + 1))
    assert {row.name for row in ranked} == pruned(case.result)
    saved = [row.saved_us for row in ranked]
    assert saved == sorted(saved, reverse=True)


def test_a_group_saves_what_the_network_loses_without_any_of_it(case: Studied) -> None:
    best_us = case.result.totals.best_us
    for group in case.result.groups:
        lost_us = case.without(*group.layers) - best_us
        assert group.saved_us == pytest.approx(lost_us, rel=1e-6, abs=1e-6 * best_us), group.layers


def test_groups_that_are_pruned_come_first_the_largest_saving_ahead(case: Studied) -> None:
    groups = case.result.groups
    assert [bool(group.pruned) for group in groups] == sorted((bool(group.pruned) for group in groups), reverse=True)
    saved = [group.saved_us for group in groups if group.pruned]
    assert saved == sorted(saved, reverse=True) and saved


def test_what_is_saved_so_far_is_what_pruning_so_much_brings(case: Studied) -> None:
    totals, so_far = case.result.totals, set[str]()
    assert totals.dense_us
    for group in case.result.groups:
        so_far |= set(group.layers) & pruned(case.result)
        expected_us = totals.dense_us - case.by_pruned[frozenset(so_far)]
        assert group.running_us == pytest.approx(expected_us, rel=1e-6, abs=1e-6 * totals.dense_us)
    last = [group for group in case.result.groups if group.pruned][-1]
    assert last.running_us == pytest.approx(totals.dense_us - totals.best_us, rel=1e-6)


def test_a_group_is_the_sum_of_its_layers(case: Studied) -> None:
    rows = {row.name: row for row in case.result.rows}
    assert sorted(name for group in case.result.groups for name in group.layers) == sorted(rows)
    for group in case.result.groups:
        own = [rows[name] for name in group.layers]
        assert {(row.m, row.n, row.k, row.batch) for row in own} == {(group.m, group.n, group.k, group.batch)}
        assert group.launches == sum(row.count for row in own) and group.pruned == sum(row.best == "2:4" for row in own)
        assert_group_times(group, own)
        assert group.weight_bytes == sum(row.weight_bytes for row in own)
        assert group.compressed_bytes == sum(row.compressed_bytes if row.best == "2:4" else row.weight_bytes for row in own)


def assert_group_times(group: PruneGroup, own: list[LayerRow]) -> None:
    dense, sparse = ([(row.count, side) for row in own if (side := getattr(row, name))] for name in ("dense", "sparse"))
    assert group.dense_us == pytest.approx(sum(count * side.time_us for count, side in dense))
    assert group.sparse_us == pytest.approx(sum(count * side.time_us for count, side in sparse))
    assert group.chosen_us == pytest.approx(sum(row.count * row.chosen.time_us for row in own))


def test_the_patterns_of_a_group_name_just_its_layers(case: Studied) -> None:
    names = [row.name for row in case.result.rows]
    for group in case.result.groups:
        assert [name for name in names if any(fnmatchcase(name, each) for each in group.patterns)] == list(group.layers)
    assert case.result.groups and any(len(group.layers) == 2 for group in case.result.groups)


def sides(result: RunResult) -> Iterator[tuple[str, list[tuple[int, KernelResult | MemoryResult]]]]:
    """Yield dense, sparse and best with the launches and kernels of each."""
    rows: list[LayerRow | MemoryRow] = [*result.rows, *result.memory]
    yield "dense", [(row.count, row.dense) for row in rows if row.dense]
    yield "sparse", [(row.count, row.sparse or row.chosen) for row in rows]
    yield "best", [(row.count, row.chosen) for row in rows]


def assert_sums(result: RunResult) -> None:
    for side, kernels in sides(result):
        time_us, energy_uj, split, parts_uj = (
            getattr(result.totals, f"{side}_{name}") for name in ("us", "uj", "split", "energy_parts_uj")
        )
        assert time_us == pytest.approx(sum(count * kernel.time_us for count, kernel in kernels), rel=1e-9), side
        assert energy_uj == pytest.approx(sum(count * kernel.energy_uj for count, kernel in kernels), rel=1e-9), side
        assert split.layers + split.memory + split.launch == pytest.approx(time_us, rel=1e-9)
        assert split.launch == pytest.approx(sum(count * kernel.breakdown["launch"] for count, kernel in kernels))
        assert sum(parts_uj.values()) == pytest.approx(energy_uj, rel=1e-9)


def test_rows_sum_to_the_totals(case: Studied) -> None:
    assert_sums(case.result)


def test_rows_of_a_network_that_is_not_limited_sum_to_the_totals(unlimited: RunResult) -> None:
    assert_sums(unlimited)


def test_each_network_holds_one_clock_and_the_limit(case: Studied) -> None:
    totals = case.result.totals
    for side, kernels in sides(case.result):
        clock_mhz, time_us, energy_uj = (getattr(totals, f"{side}_{name}") for name in ("clock_mhz", "us", "uj"))
        assert {kernel.clock_mhz for _, kernel in kernels} == {clock_mhz}, side
        assert energy_uj / time_us <= 1.001 * case.arch.power.board_limit_w
        if clock_mhz < case.arch.clock.sustained_mhz:
            assert energy_uj / time_us == pytest.approx(case.arch.power.board_limit_w, rel=1e-3)


def test_a_network_that_is_not_limited_holds_the_highest_clock(unlimited: RunResult) -> None:
    totals, highest_mhz = unlimited.totals, load_arch("a100").clock.sustained_mhz
    assert not totals.clock_is_limited
    assert totals.dense_clock_mhz == totals.sparse_clock_mhz == totals.best_clock_mhz == highest_mhz
    assert {kernel.clock_mhz for _, kernels in sides(unlimited) for _, kernel in kernels} == {highest_mhz}


def test_without_a_limit_layers_choose_by_themselves(unlimited: RunResult) -> None:
    for row in unlimited.rows:
        assert row.dense and row.sparse
        assert row.chosen.time_us == pytest.approx(min(row.dense.time_us, row.sparse.time_us), rel=1e-3)
        assert row.saved_us == pytest.approx(max(0.0, row.dense.time_us - row.sparse.time_us), rel=1e-3)


def test_one_gemm_alone_holds_a_clock_for_each_side() -> None:
    arch = load_arch("a100", ["power.board_limit_w=150"])
    result = stcsim.run(network(Gemm(name="fc", m=4096, n=4096, k=4096)), arch)
    (row,) = result.rows
    assert row.dense and row.sparse and row.dense.clock_mhz != row.sparse.clock_mhz
    assert row.chosen == row.sparse and (row.saved_us, row.prune_rank, result.groups) == (0.0, None, ())
    assert (result.totals.dense_us, result.totals.best_us) == (row.dense.time_us, row.sparse.time_us)
    assert result.totals.dense_clock_mhz == row.dense.clock_mhz and result.totals.clock_is_limited


def test_where_only_one_side_is_asked_for_nothing_is_chosen_or_saved() -> None:
    trace = chain(("0.up", 2048, 512, 2048), ("0.down", 2048, 512, 2048))
    for asked in ("dense", "2:4"):
        result = stcsim.run(trace, load_arch("a100"), sparsity=asked)
        assert result.groups == () and {(row.saved_us, row.prune_rank) for row in result.rows} == {(0.0, None)}
        assert {row.best for row in result.rows} == {asked}


def planned(name: str, m: int = 64, element: str = "fp16", sparse: bool = True) -> Planned:
    return Planned(Gemm(name=name, m=m, n=64, k=64), dtype(element), (), True, sparse)


def test_alike_are_layers_of_the_same_sizes_type_and_name_but_for_its_numbers() -> None:
    steps = [
        planned("l.0.fc"),
        planned("l.0.proj"),  # another name
        Planned(step("norm", "layer_norm"), dtype("fp16")),
        planned("l.1.fc"),
        planned("l.2.fc", m=128),  # other sizes
        planned("l.3.fc", element="int8"),  # another type
        planned("l.4.fc", sparse=False),  # no choice
        planned("l.10.fc"),
    ]
    assert list(groups_of(steps)) == [(0, 3, 7), (1,), (4,), (5,)]


def test_convolutions_are_alike_by_the_gemm_they_are() -> None:
    # 3 x 3 over 8 x 8 pixels, and 1 x 1 of nine times the channels: 64 pixels, 144 inputs
    three = Conv2d(name="c.1", batch=1, c=16, h=8, w=8, k=32, r=3, s=3, padding=(1, 1))
    one = Conv2d(name="c.2", batch=1, c=144, h=8, w=8, k=32, r=1, s=1)
    half = Conv2d(name="c.3", batch=1, c=144, h=4, w=8, k=32, r=1, s=1)
    steps = [Planned(op, dtype("fp16"), (), True, True) for op in (three, one, half)]
    assert list(groups_of(steps)) == [(0, 1), (2,)]


def test_sides_are_turned_at_the_places_given() -> None:
    before = (True, False, True, False)
    assert turned(before, (0, 1), False) == (False, False, True, False)
    assert turned(before, (1, 3), True) == (True, True, True, True)
    assert turned(before, (), True) == before
