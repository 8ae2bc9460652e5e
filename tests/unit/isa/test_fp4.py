"""Is a type of half a byte understood from the command line to the last byte of a result?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import stcsim
from stcsim import cli
from stcsim.errors import StcsimError
from stcsim.numerics import compress, expand, gemm, mma_sp, register_image
from stcsim.study.roofline import roofline_of
from stcsim.trace import Trace
from tests.shapes import problem
from tests.unit.runs import TOY_TRACE

RATE = "tensor_core.fma_per_clk_per_sm.e2m1=8192"
GPU = stcsim.load_arch("h100", [RATE])


def succeed(*arguments: object) -> None:
    with pytest.raises(SystemExit, match="^0$"):
        cli.main([str(argument) for argument in arguments])


def test_one_gemm_from_the_command_line_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tmp_path / "gemm.json", tmp_path / "gemm.csv"
    succeed(
        "gemm", 1024, 256, 2048, "--arch", "h100", "--dtype", "e2m1", "--set", RATE, "--json", files[0], "--csv", files[1]
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "on h100 · e2m1 · batch 1" in printed and "1.00 → 0.62 MiB" in printed
    document = json.loads(files[0].read_text(encoding="utf-8"))
    assert document["dtype"] == document["inputs"]["dtype"] == "e2m1"
    assert document["inputs"]["arch"]["tensor_core"]["fma_per_clk_per_sm"]["e2m1"]["value"] == 8192
    row = next(csv.DictReader(files[1].read_text(encoding="utf-8").splitlines()))
    # 2,048 elements are 1,024 bytes; 1,024 kept are 512, 256 groups of eight take 128 bytes of metadata
    assert row["dtype"] == "e2m1"
    assert [int(row[name]) for name in ("weight_bytes", "compressed_bytes", "metadata_bytes")] == [
        1024 * 1024,
        1024 * (512 + 128),
        1024 * 128,
    ]


def test_a_result_can_be_run_again() -> None:
    first = stcsim.gemm(64, 32, 128, GPU, dtype="fp4")
    from stcsim.replay.network import rerun

    assert rerun(first.inputs).rows == first.rows


def test_an_odd_reduction_is_rounded_up_in_bytes() -> None:
    odd = problem(100, 37, 1003, "e2m1")
    assert (odd.a_bytes(False), odd.b_bytes) == (100 * 502, 18_556)  # each row of A in whole bytes; 37 x 1,003 / 2 = 18,555.5
    row = stcsim.gemm(100, 37, 1003, GPU, dtype="e2m1", engine="reference").rows[0]  # both engines agree, or this raises
    assert row.sparse is None and row.not_sparse_because == "reduction is not a multiple of 64"
    assert row.dense is not None and row.dense.bytes["dram_read"] >= 100 * 502


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (7, 1, 129), (513, 3, 257)])
def test_the_smallest_shapes_move_at_least_their_bytes(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    row = stcsim.gemm(m, n, k, GPU, dtype="e2m1", engine="reference").rows[0]
    assert row.weight_bytes == m * -(-k // 2)
    assert row.dense is not None
    assert row.dense.bytes["l2_read"] >= row.weight_bytes + -(-n * k // 2) and row.dense.bytes["write"] >= 2 * m * n  # in bf16


def test_half_the_bytes_of_fp8_take_at_most_its_time() -> None:
    same_rate = stcsim.load_arch("h100", ["tensor_core.fma_per_clk_per_sm.e2m1=4096"])
    four, eight = (stcsim.gemm(2048, 16, 8192, same_rate, dtype=name).rows[0].chosen for name in ("e2m1", "fp8"))
    assert four.time_us < eight.time_us and four.bytes["dram_read"] < 0.6 * eight.bytes["dram_read"]


def test_a_trace_may_ask_for_it() -> None:
    trace = Trace(**{**TOY_TRACE, "dtype": "e2m1"})
    result = stcsim.run(trace, GPU)
    assert (result.dtype, result.rows[0].dtype) == ("e2m1", "e2m1")
    assert result.footprint is not None and result.footprint.dense_weight_bytes == 256 * 512 // 2
    assert Trace(**json.loads(trace.to_json())) == trace


def test_the_roof_of_compute_is_its_own() -> None:
    found = roofline_of(Trace(**TOY_TRACE), GPU, "fp4")
    assert found.dtype == "e2m1" and found.roofs.dense_tops == pytest.approx(
        4 * roofline_of(Trace(**TOY_TRACE), GPU).roofs.dense_tops
    )


def test_gpus_that_ship_lack_it(refused: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("gemm", 64, 64, 64, "--arch", "h100", "--dtype", "fp4") == (
        "h100: expected a type of its tensor cores (fp16, bf16, tf32, int8, fp8), found 'e2m1'"
    )
    succeed("arch", "h100")
    line = next(line for line in capsys.readouterr().out.splitlines() if ".e2m1" in line)
    assert line.split()[1:4] == ["null", "FMA/clk/SM", "absent"]


def test_codes_are_kept_in_pairs_and_return() -> None:
    codes = np.array([[1, 0x8, 0, 0, 0, 0x8, 7, 0xF]], np.uint8)  # pairs 0 and 3 hold numbers, pair 2 only zeros, one of them -0
    stored = compress(codes, "e2m1")
    assert (stored.values.tolist(), stored.metadata.tolist()) == ([[1, 8, 7, 15]], [[0b1100]])
    assert expand(stored).tolist() == [[1, 8, 0, 0, 0, 0, 7, 15]]


def test_numerics_that_lack_it_say_so() -> None:
    codes = np.zeros((64, 64), np.uint8)
    for call, found in (
        (lambda: gemm(codes, codes, arch="sm_100", dtype="fp4"), "sm_100: expected dense types of a GEMM ("),
        (lambda: gemm(compress(codes, "fp4"), codes, arch="sm_120"), "sm_120: expected 2:4 sparse types of a GEMM ("),
        (
            lambda: mma_sp("mma.sp.m16n8k128.f32.e2m1.e2m1.f32", codes, codes, arch="sm_120"),
            "instruction: expected a tensor-core",
        ),
        (lambda: register_image(compress(codes, "fp4"), "mma.sp.m16n8k64.f32.e4m3.e4m3.f32"), "A of mma.sp.m16n8k64"),
    ):
        with pytest.raises(StcsimError) as caught:
            call()
        assert str(caught.value).startswith(found)


def test_nothing_can_be_checked_that_torch_lacks() -> None:
    pytest.importorskip("torch")
    from stcsim.check import check

    for name in ("fp4", "int4"):
        with pytest.raises(
            StcsimError, match=r"dtype: expected a type that PyTorch has too \(fp16, bf16, tf32, int8, fp8\), found"
        ):
            check(Trace(**TOY_TRACE), "sm_80", name)


def test_int4_runs_where_a_file_has_its_rate() -> None:
    a100 = stcsim.load_arch("a100")
    row = stcsim.gemm(1024, 1024, 4096, a100, dtype="int4").rows[0]
    assert row.dense is not None and row.sparse is not None
    assert (row.dtype, row.weight_bytes) == ("int4", 1024 * 2048)
    eight = stcsim.gemm(1024, 1024, 4096, a100, dtype="int8").rows[0]
    assert eight.dense is not None and row.dense.time_us < eight.dense.time_us
