"""Replaying a trace and timing one GEMM: rows, totals, what may not be pruned, what a GPU lacks."""

from __future__ import annotations

import pytest

import stcsim
from stcsim.errors import UnsupportedError
from stcsim.study.explain import explain_problem, gemm_problem
from stcsim.trace import Gemm, Trace, load_trace

A100 = stcsim.load_arch("a100")


@pytest.fixture(scope="module")
def resnet() -> stcsim.replay.RunResult:
    return stcsim.run(load_trace("resnet34"), A100)


def test_totals_add_up(resnet) -> None:  # type: ignore[no-untyped-def]
    totals = resnet.totals
    assert (len(resnet.rows), totals.launches, totals.memory_launches) == (37, 39, 2)  # two poolings stand alone
    assert totals.macs == load_trace("resnet34").macs
    pooling_us = sum(row.chosen.time_us for row in resnet.memory)
    assert totals.dense_us == pytest.approx(pooling_us + sum(row.dense.time_us for row in resnet.rows))
    assert totals.best_us == pytest.approx(
        pooling_us + sum(min(side.time_us for side in (row.dense, row.sparse) if side) for row in resnet.rows)
    )
    assert totals.best_us <= min(totals.sparse_us, totals.dense_us)
    assert totals.speedup == totals.dense_us / totals.best_us


def test_the_stem_may_not_be_pruned(resnet) -> None:  # type: ignore[no-untyped-def]
    stem, second = resnet.rows[:2]
    # 3 x 7 x 7 = 147 is no multiple of 16
    assert (stem.k, stem.sparse, stem.not_sparse_because) == (147, None, "reduction is not a multiple of 16")
    assert stem.compressed_bytes == stem.weight_bytes == 64 * 147 * 2
    assert second.not_sparse_because is None and second.compressed_bytes == second.weight_bytes * 9 // 16


def test_metadata_is_counted(resnet) -> None:  # type: ignore[no-untyped-def]
    totals = resnet.totals
    assert totals.pruned_compressed_bytes / totals.pruned_weight_bytes == 0.5625  # 43.75 % saved
    int8 = stcsim.run(load_trace("resnet34"), A100, dtype="int8").totals
    assert int8.pruned_compressed_bytes / int8.pruned_weight_bytes == 0.625  # 37.5 % saved


def test_attention_is_never_sparse() -> None:
    result = stcsim.run(load_trace("bert-base"), A100)
    weightless = [row for row in result.rows if row.weight_bytes == 0]
    assert len(weightless) == 24
    assert {row.not_sparse_because for row in weightless} == {"no weight operand (activation x activation)"}


def test_batch_scales_work_and_raises_throughput() -> None:
    trace = load_trace("resnet34")
    one, many = (stcsim.run(each, A100).totals for each in (trace, trace.with_batch(64)))
    assert many.macs == 64 * one.macs
    assert many.dense_tops > 4 * one.dense_tops and many.speedup > one.speedup  # type: ignore[operator]


def test_engines_agree_on_a_real_trace() -> None:
    ops = (Gemm(name="a", m=256, n=64, k=128, weight_operand="a", scales_with_batch="n", origin="t"),)
    trace = Trace(**(load_trace("resnet34").model_dump() | {"ops": ops}))
    small = stcsim.load_arch("a100", ["sm.count=8"])
    kernel = "sm80_64x64x64_s5_2x2"
    fast, reference = (
        stcsim.run(trace, small, engine=engine, sparsity="dense", kernel=kernel) for engine in ("fast", "reference")
    )
    assert fast.rows == reference.rows


def test_one_sparsity_only() -> None:
    dense = stcsim.gemm(1024, 1024, 1024, A100, sparsity="dense")
    assert dense.rows[0].sparse is None and dense.totals.speedup is None and dense.sparsity == "dense"
    sparse = stcsim.gemm(1024, 1024, 1024, A100, sparsity="2:4")
    assert sparse.rows[0].dense is None and sparse.totals.dense_us is None and sparse.totals.best_us > 0


def test_a_gpu_without_sparsity_runs_dense_unless_asked() -> None:
    t4 = stcsim.load_arch("t4")
    assert stcsim.gemm(512, 512, 512, t4).sparsity == "dense"
    with pytest.raises(UnsupportedError, match="Sparse Tensor Cores"):
        stcsim.gemm(512, 512, 512, t4, sparsity="2:4")


def test_forced_kernel() -> None:
    result = stcsim.gemm(4096, 4096, 4096, A100, sparsity="dense", kernel="sm80_64x64x64_s5_2x2")
    assert result.rows[0].dense and result.rows[0].dense.kernel == "sm80_64x64x64_s5_2x2"
    chosen = stcsim.gemm(4096, 4096, 4096, A100, sparsity="dense")
    assert chosen.totals.best_us < result.totals.best_us
    with pytest.raises(UnsupportedError, match="a dense kernel of sm80, such as sm80_64x64x64_s5_2x2, "):
        stcsim.gemm(64, 64, 64, A100, sparsity="dense", kernel="sm80_64x64x64_s5_2x3")


def test_more_sms_help_a_large_gemm() -> None:
    small, large = (stcsim.gemm(8192, 8192, 4096, stcsim.load_arch("a100", [f"sm.count={n}"])).totals for n in (54, 108))
    assert small.dense_us and large.dense_us and 1.5 < small.dense_us / large.dense_us < 2


def test_a_result_says_what_it_was_made_from(resnet) -> None:  # type: ignore[no-untyped-def]
    inputs = resnet.inputs
    assert inputs["arch"]["sm"]["count"]["value"] == 108 if isinstance(inputs["arch"]["sm"]["count"], dict) else True
    assert len(inputs["trace"]["ops"]) == len(load_trace("resnet34").ops) and len(inputs["trace_sha256"]) == 64
    assert {"dtype", "batch", "sparsity", "engine", "kernel", "launch", "version"} <= set(inputs)


def test_explanation_orders_kernels_and_bounds() -> None:
    told = explain_problem(A100, gemm_problem(4096, 4096, 4096))
    assert [side.mode for side in told.sides] == ["dense", "2:4"]
    for side in told.sides:
        assert side.contenders[0].verdict == "chosen" and side.contenders[0].kernel == side.result.kernel
        chosen_us, *others_us = [each.time_us for each in side.contenders if each.time_us is not None]
        assert others_us == sorted(others_us)
        assert 0.995 * chosen_us <= others_us[0]  # chosen by times at the highest clock, scaled to the one that is held
        assert max(side.result.bounds_us.values()) <= side.result.time_us
    assert explain_problem(A100, gemm_problem(64, 64, 100)).note == "no 2:4: reduction is not a multiple of 16"
