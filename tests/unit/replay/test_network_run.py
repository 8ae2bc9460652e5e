"""Does a run of a network add up: fusion, launch gaps, one clock, what to prune, and the same again from its inputs?"""

from __future__ import annotations

import json

import pytest

import stcsim
from stcsim.errors import UnsupportedError
from stcsim.replay import rerun
from stcsim.result import KernelResult, MemoryResult, RunResult
from stcsim.trace import Conv2d, Gemm, Trace
from tests.unit.small_networks import network, residual_block, square, step

A100 = stcsim.load_arch("a100")
#: One clock, whatever a network does, and an L2 of 32 MiB.
UNLIMITED = stcsim.load_arch("a100", ["power.board_limit_w=2000", "l2.shared_fraction=0.8"])
LARGE = network(
    Gemm(name="up", m=8192, n=4096, k=4096),
    step("gelu", "gelu", "up", into="up", read=8192 * 4096, written=8192 * 4096),
    Gemm(name="down", m=4096, n=4096, k=8192, inputs=("gelu",)),
    step("norm", "layer_norm", "down", read=4096 * 4096, written=4096 * 4096),
    Gemm(name="odd", m=4096, n=4096, k=4090, inputs=("norm",)),
)


@pytest.fixture(scope="module")
def block() -> RunResult:
    return stcsim.run(residual_block(), A100)


@pytest.fixture(scope="module")
def throttled() -> RunResult:
    return stcsim.run(LARGE, stcsim.load_arch("a100", ["power.board_limit_w=200"]))


def kernels(result: RunResult) -> list[tuple[KernelResult | MemoryResult, int]]:
    """Return every kernel of every side with its launches."""
    rows = [(side, row.count) for row in result.rows for side in (row.dense, row.sparse, row.chosen) if side]
    return [*rows, *((side, row.count) for row in result.memory for side in (row.dense, row.chosen) if side)]


def test_the_parts_of_every_kernel_sum_to_its_time(block: RunResult, throttled: RunResult) -> None:
    for kernel, _ in [*kernels(block), *kernels(throttled)]:
        assert sum(kernel.breakdown.values()) == pytest.approx(kernel.time_us, rel=1e-9)
        assert kernel.energy_uj == pytest.approx(kernel.watts * kernel.time_us)


@pytest.mark.parametrize("name", ["block", "throttled"])
def test_totals_are_sums_over_layers_and_memory_operations(name: str, request: pytest.FixtureRequest) -> None:
    result: RunResult = request.getfixturevalue(name)
    totals = result.totals
    rows, memory = result.rows, result.memory
    assert totals.dense_us == pytest.approx(sum(row.dense.time_us for row in (*rows, *memory) if row.dense))
    assert totals.best_us == pytest.approx(sum(row.chosen.time_us for row in (*rows, *memory)))
    all_sparse = [*(row.sparse or row.chosen for row in rows), *(row.chosen for row in memory)]
    assert totals.sparse_us == pytest.approx(sum(kernel.time_us for kernel in all_sparse))
    assert totals.best_uj == pytest.approx(sum(row.chosen.energy_uj for row in (*rows, *memory)))
    assert totals.dense_uj and totals.perf_per_watt_gain == totals.dense_uj / totals.best_uj
    for split, total_us in ((totals.dense_split, totals.dense_us), (totals.best_split, totals.best_us)):
        assert split and split.layers + split.memory + split.launch == pytest.approx(total_us)


def test_fused_operations_need_no_launch(block: RunResult) -> None:
    totals = block.totals
    assert (totals.launches, totals.memory_launches, totals.fused) == (5, 1, 5)
    assert {row.name: row.fused for row in block.rows} == {
        "stem": (), "first": ("first.norm", "first.relu"), "second": ("add", "relu"), "shortcut": (),
    }  # fmt: skip
    assert [(row.name, row.fused) for row in block.memory] == [("pool", ("scale",))]
    assert {row.name: row.fused_bytes for row in block.rows if row.fused_bytes} == {"second": 2 * 64 * 64}  # the residual
    assert totals.dense_split and totals.dense_split.launch == pytest.approx(5 * A100.launch.graph_us)
    apart = stcsim.run(residual_block(), A100, fusion="none").totals
    assert (apart.launches, apart.memory_launches, apart.fused) == (10, 6, 0)
    assert apart.dense_us and totals.dense_us and apart.dense_us > totals.dense_us


def test_rows_stand_in_the_order_of_the_trace(block: RunResult) -> None:
    assert [row.name for row in block.rows] == ["stem", "first", "second", "shortcut"]


def test_stream_launches_cost_more_for_memory_operations_too(block: RunResult) -> None:
    stream = stcsim.run(residual_block(), A100, launch="stream")
    assert stream.memory[0].chosen.breakdown["launch"] == A100.launch.stream_us
    assert stream.totals.best_split.launch == pytest.approx(5 * A100.launch.stream_us)
    assert stream.totals.best_split.layers == pytest.approx(block.totals.best_split.layers)


def test_a_network_holds_one_clock_at_the_boards_limit(throttled: RunResult) -> None:
    totals = throttled.totals
    assert totals.clock_is_limited and totals.dense_clock_mhz and totals.dense_us and totals.dense_uj
    assert {side.clock_mhz for row in throttled.rows if (side := row.dense)} == {totals.dense_clock_mhz}
    assert {row.dense.clock_mhz for row in throttled.memory if row.dense} == {totals.dense_clock_mhz}
    chosen = {row.chosen.clock_mhz for row in (*throttled.rows, *throttled.memory)}
    assert chosen == {totals.best_clock_mhz} == {row.sparse.clock_mhz for row in throttled.rows if row.sparse}
    assert totals.dense_uj / totals.dense_us == pytest.approx(200, rel=0.005)
    assert totals.best_uj / totals.best_us == pytest.approx(200, rel=0.005)
    # the network's clock is no layer's own: each alone draws more or less than all on average
    kernels = [(row, row.dense.kernel) for row in throttled.rows if row.dense]
    alone = [
        stcsim.gemm(row.m, row.n, row.k, throttled_gpu(), sparsity="dense", kernel=kernel).rows[0].dense
        for row, kernel in kernels
    ]
    clocks = [kernel.clock_mhz for kernel in alone if kernel]
    assert totals.dense_clock_mhz not in clocks and max(clocks) < A100.clock.sustained_mhz


def throttled_gpu() -> stcsim.arch.Arch:
    return stcsim.load_arch("a100", ["power.board_limit_w=200"])


def test_below_the_limit_both_sides_hold_the_highest_clock(block: RunResult) -> None:
    assert block.totals.dense_clock_mhz == block.totals.best_clock_mhz == A100.clock.sustained_mhz
    assert not block.totals.clock_is_limited
    assert all(row.chosen in (row.dense, row.sparse) for row in block.rows)


@pytest.mark.parametrize("limit", [400, 150])
def test_a_network_of_one_gemm_is_that_gemm(limit: int) -> None:
    gpu = stcsim.load_arch("a100", [f"power.board_limit_w={limit}"])
    one = stcsim.run(network(Gemm(name="fc", m=4096, n=2048, k=4096)), gpu)
    alone = stcsim.gemm(4096, 2048, 4096, gpu)
    assert (one.rows[0].dense, one.rows[0].sparse) == (alone.rows[0].dense, alone.rows[0].sparse)
    assert one.totals == alone.totals


def test_a_layer_saves_what_the_network_loses_without_its_pruning(throttled: RunResult) -> None:
    ranked = sorted((row for row in throttled.rows if row.prune_rank), key=lambda row: row.prune_rank or 0)
    assert [(row.prune_rank, row.name) for row in ranked] == [(1, "down"), (2, "up")]
    saved = [row.saved_us for row in ranked]
    without = [stcsim.run(LARGE, throttled_gpu(), keep_dense=[row.name]).totals for row in ranked]
    assert saved == pytest.approx([totals.best_us - throttled.totals.best_us for totals in without], rel=1e-3)
    assert saved == sorted(saved, reverse=True) and all(totals.clock_is_limited for totals in without)
    rest = [row for row in throttled.rows if not row.prune_rank]
    assert [(row.name, row.saved_us) for row in rest] == [("odd", 0.0)]


def test_prune_list_is_sorted_and_adds_up(throttled: RunResult) -> None:
    first, both = throttled.groups
    dense_us = throttled.totals.dense_us
    assert dense_us and [(group.layers, group.patterns) for group in (first, both)] == [(("down",),) * 2, (("up",),) * 2]
    assert [group.saved_us for group in (first, both)] == [row.saved_us for row in (throttled.rows[1], throttled.rows[0])]
    # "up" dense is the network in which the first group alone is pruned
    alone = stcsim.run(LARGE, throttled_gpu(), keep_dense=["up"]).totals.best_us
    assert first.running_us == pytest.approx(dense_us - alone, rel=1e-3)
    assert both.running_us == pytest.approx(dense_us - throttled.totals.best_us, rel=1e-3)
    assert (both.weight_bytes, both.compressed_bytes) == (2 * 8192 * 4096, 9 * 8192 * 4096 // 8)


def test_savings_of_a_network_that_is_not_throttled_are_its_gain() -> None:
    result = stcsim.run(LARGE, UNLIMITED)
    assert not result.totals.clock_is_limited and result.totals.dense_us
    assert sum(row.saved_us for row in result.rows) == pytest.approx(result.totals.dense_us - result.totals.best_us)


def test_a_layer_that_is_kept_dense_is_no_candidate() -> None:
    result = stcsim.run(LARGE, A100, keep_dense=["first"])
    up, down, _ = result.rows
    assert (up.sparse, up.best, up.not_sparse_because) == (None, "dense", "kept dense (first)")
    assert up.compressed_bytes == up.weight_bytes and down.sparse is not None
    assert result.totals.eligible_macs == down.macs
    only = stcsim.run(LARGE, A100, keep_dense=["first"], sparsity="2:4").rows[0]
    assert only.dense and only.sparse is None


def test_types_by_layer_change_bytes_and_kernels() -> None:
    result = stcsim.run(LARGE, UNLIMITED, dtype="int8", dtype_of={"down": "fp16", "norm": "fp16"})
    assert [row.dtype for row in result.rows] == ["int8", "fp16", "int8"] and result.memory[0].dtype == "fp16"
    assert result.memory[0].chosen.bytes["write"] == 2 * 4096 * 4096
    int8 = stcsim.run(LARGE, UNLIMITED, dtype="int8")
    assert int8.rows[0].dense == result.rows[0].dense
    assert int8.rows[1].dense and result.rows[1].dense and int8.rows[1].dense.time_us < result.rows[1].dense.time_us
    assert int8.memory[0].chosen.bytes["write"] == 4096 * 4096
    with pytest.raises(UnsupportedError, match="fp8"):
        stcsim.run(LARGE, A100, dtype_of={"down": "fp8"})


def test_a_residual_costs_time() -> None:
    images = {"batch": 16, "c": 64, "h": 56, "w": 56, "k": 64, "r": 3, "s": 3, "padding": (1, 1)}
    plain, after = Conv2d(name="a", **images), Conv2d(name="b", inputs=("a",), **images)
    elements = plain.output_elements
    add = step("add", "add", "b", "a", into="b", read=2 * elements, written=elements)
    with_add = stcsim.run(network(plain, after, add), UNLIMITED).rows[1].dense
    without = stcsim.run(network(plain, after), UNLIMITED).rows[1].dense
    assert with_add and without
    added_us = 2 * elements / A100.l2.bandwidth_bytes_per_clk / without.clock_mhz  # a, b and the sum fit the L2
    assert with_add.time_us == pytest.approx(without.time_us + added_us)


def test_a_shared_weight_is_stored_once() -> None:
    shared = stcsim.run(network(square("a"), square("b", "a", weight_of="a"), square("c", "b").changed(count=5)), A100)
    assert shared.totals.weight_bytes == 2 * 2 * 64 * 64 and shared.totals.launches == 7


@pytest.mark.parametrize(
    "options", [{}, {"fusion": "none", "keep_dense": ["stem"], "dtype_of": {"last": "int8"}, "sparsity": "2:4"}]
)
def test_a_result_can_be_run_again_from_its_inputs(options: dict[str, object]) -> None:
    result = stcsim.run(residual_block(), A100, **options)  # type: ignore[arg-type]
    saved = json.loads(json.dumps(result.to_dict()))
    assert rerun(result.inputs) == result and rerun(saved["inputs"]) == result
    one = stcsim.gemm(256, 128, 512, A100, batch=2, out_dtype="fp32", weights_in_l2=True)
    assert rerun(json.loads(json.dumps(one.inputs))) == one


def test_a_network_of_memory_operations_alone_runs() -> None:
    result = stcsim.run(network(step("copy", "copy", read=64, written=64)), A100)
    assert result.rows == () and result.totals.best_us == result.memory[0].chosen.time_us and result.totals.speedup is None


def test_progress_counts_layers() -> None:
    seen: list[tuple[int, int]] = []
    stcsim.run(residual_block(), A100, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_both_engines_time_the_same_network() -> None:
    trace: Trace = network(square("a", size=256), step("relu", "relu", "a", into="a"), square("b", "relu", size=256))
    small = stcsim.load_arch("a100", ["sm.count=8", "sm.sms_per_gpc=[8]"])
    fast, reference = (stcsim.run(trace, small, engine=engine) for engine in ("fast", "reference"))
    assert (fast.rows, fast.totals) == (reference.rows, reference.totals)
