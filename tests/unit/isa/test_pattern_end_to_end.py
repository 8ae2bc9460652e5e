"""1:4 from the architecture file to the last word that is printed: bytes, metadata, share, rate, energy and name."""

from __future__ import annotations

import json

import pytest

import stcsim
from stcsim import cli
from stcsim.errors import UnsupportedError
from stcsim.result import RunResult
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import choose
from stcsim.timing.problem import gemm_problem

QUARTER = ["tensor_core.sparse_kept=1"]
SIZE = 4096


@pytest.fixture(scope="module")
def quarter() -> RunResult:
    return stcsim.gemm(SIZE, SIZE, SIZE, stcsim.load_arch("a100", QUARTER))


@pytest.fixture(scope="module")
def half() -> RunResult:
    return stcsim.gemm(SIZE, SIZE, SIZE, "a100")


def test_weights_and_metadata_are_those_of_the_pattern(quarter: RunResult, half: RunResult) -> None:
    elements = SIZE * SIZE
    row = quarter.rows[0]
    assert row.weight_bytes == 2 * elements
    assert row.metadata_bytes == elements // 4 * 2 // 8  # a 2-bit index for each group of four
    assert row.compressed_bytes == elements // 4 * 2 + row.metadata_bytes
    assert half.rows[0].metadata_bytes == 2 * row.metadata_bytes  # two indices for each group
    assert row.dense is not None and half.rows[0].dense is not None
    assert row.dense.time_us == half.rows[0].dense.time_us


def test_the_tensor_pipe_is_busy_for_a_quarter_of_the_dense_time() -> None:
    arch = stcsim.load_arch("a100", QUARTER)
    ticks = {}
    for gpu, sparse in ((arch, True), (arch, False), (stcsim.load_arch("a100"), True)):
        name = "sm80_sp_128x128x64_s3_2x2" if sparse else "sm80_128x128x64_s3_2x2"
        setup = Setup(gpu, kernel=name)
        plan = choose(setup, gemm_problem(SIZE, SIZE, SIZE, gpu.element("fp16")), sparse).settled().plan
        assert plan is not None
        ticks[gpu.pattern_name, sparse] = plan.tensor_ticks
    # the same tile: 4 of 4 values, 2 of 4, 1 of 4; each rounded up to a tick
    assert ticks["1:4", False] == pytest.approx(2 * ticks["2:4", True], abs=2)
    assert ticks["2:4", True] == pytest.approx(2 * ticks["1:4", True], abs=2)


def test_fewer_bytes_and_fewer_products_cost_less(quarter: RunResult, half: RunResult) -> None:
    one, two = quarter.rows[0].sparse, half.rows[0].sparse
    assert one is not None and two is not None
    assert one.time_us < two.time_us
    # half as many products are executed, at the same energy each, clock aside
    assert one.energy_parts_uj["mac"] < 0.6 * two.energy_parts_uj["mac"]


def test_the_name_stands_wherever_the_side_is_named(quarter: RunResult) -> None:
    assert quarter.pattern == "1:4" and quarter.rows[0].best == "1:4" and "1:4" in repr(quarter)
    assert quarter.inputs["sparsity"] == "both"
    again = RunResult.from_dict(json.loads(quarter.to_json()))
    assert again == quarter
    assert stcsim.rerun(quarter.inputs).rows == quarter.rows


@pytest.mark.parametrize(
    "command",
    [
        ["gemm", "4096", "4096", "4096"],
        ["explain", "4096", "4096", "4096", "--top", "2"],
        ["run", "resnet18", "--batch", "8", "--top", "3"],
        ["roofline", "resnet18", "--batch", "8"],
        ["curve", "--gemm", "4096x4096xk", "--over", "k=1024,2048"],
    ],
    ids=lambda command: command[0],
)
def test_no_print_calls_it_two_of_four(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--arch", "a100", "--set", QUARTER[0]])
    printed = capsys.readouterr().out
    assert not stop.value.code and "1:4" in printed
    others = [line for line in printed.splitlines() if "2:4" in line and "are those of 2:4" not in line]
    assert others == []


def test_a_pattern_that_no_gpu_has_says_what_it_rests_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit):
        cli.main(["gemm", "512", "512", "512", "--arch", "a100", "--set", QUARTER[0]])
    printed = " ".join(capsys.readouterr().out.split())
    assert "no GPU runs 1:4: kernels, the energy of a MAC and the intervals are those of 2:4" in printed


def test_only_the_pattern_of_the_gpu_can_be_asked_for() -> None:
    gpu = stcsim.load_arch("a100", QUARTER)
    assert stcsim.gemm(512, 512, 512, gpu, sparsity="1:4").rows[0].dense is None
    with pytest.raises(UnsupportedError, match="sparsity: expected both, dense or 1:4, which a100 runs .*, found '2:4'"):
        stcsim.gemm(512, 512, 512, gpu, sparsity="2:4")


def test_a_sparse_rate_of_its_own_moves_the_rate_and_no_byte(half: RunResult) -> None:
    slower = stcsim.gemm(SIZE, SIZE, SIZE, stcsim.load_arch("a100", ["tensor_core.sparse_rate_ratio=1"]))
    row = slower.rows[0]
    assert row.sparse is not None and half.rows[0].sparse is not None
    assert row.sparse.time_us > 1.3 * half.rows[0].sparse.time_us
    assert row.compressed_bytes == half.rows[0].compressed_bytes


def test_wider_metadata_is_stored_and_loaded(half: RunResult) -> None:
    wide = stcsim.gemm(SIZE, SIZE, SIZE, stcsim.load_arch("a100", ["tensor_core.metadata_bits_per_index=8"]))
    assert wide.rows[0].metadata_bytes == 4 * half.rows[0].metadata_bytes
    assert wide.totals.dense_us == half.totals.dense_us
