"""Public tables as stcsim's rows: sizes, units, grades, and what is left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stcsim.arch import load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.study.measured import SEARCH_LAUNCHES, read_measured
from stcsim.study.public import aiconfigurator, slidesparse, venom, vidur
from stcsim.study.public.rows import COLUMNS, LeftOut, Row, Sorted, csv_text, reason_against
from tests.unit.study.public import (
    SLIDESPARSE_HEADER,
    VENOM,
    VENOM_HEADER,
    VIDUR,
    VIDUR_FILE,
    VIDUR_HEADER,
    slidesparse_file,
    slidesparse_text,
)

ROW = Row(
    arch="a100", gpu="A100", sparsity="2:4", library="cuSPARSELt", dtype="fp16", out_dtype="fp16", m=4096, n=2048, k=1024,
    time_us=50.0, timing="stream", grade="A", suite="tiny", weight_copies=1, launches=50,
)  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(found: Iterable[Row | LeftOut]) -> list[Row]:
    listed = list(found)
    assert all(isinstance(each, Row) for each in listed)
    return [each for each in listed if isinstance(each, Row)]


def test_a_written_row_is_read_back_as_it_was(tmp_path: Path) -> None:
    text = csv_text("slidesparse", [ROW, replace(ROW, weight_copies=None, launches=None, dtype="int8", out_dtype="int32")])
    full, bare = read_measured([written(tmp_path, text)])
    assert (full.arch, full.sparse, full.dtype, full.out_dtype) == ("a100", True, "fp16", "fp16")
    assert (full.m, full.n, full.k, full.batch, full.time_us) == (4096, 2048, 1024, 1, 50.0)
    assert (full.timing, full.weight_copies, full.launches, full.grade, full.data) == ("stream", 1, 50, "A", "randn")
    assert full.launches_before == 25 + SEARCH_LAUNCHES  # it warms up, and it searched
    assert tuple(full.record) == COLUMNS and full.record["source"] == "slidesparse" and full.record["acc_dtype"] == "fp32"
    assert (bare.weight_copies, bare.launches, bare.record["weight_copies"]) == (0, 100, "")  # what read_measured takes
    assert bare.record["acc_dtype"] == "int32"


def test_copies_that_are_launched_in_turn_are_read_back(tmp_path: Path) -> None:
    text = csv_text("aiconfigurator", [replace(ROW, library="cuBLAS (torch)", weight_copies=copies) for copies in (5, 2, 1)])
    found = read_measured([written(tmp_path, text)])
    assert [(row.weight_copies, row.record["weights_in_l2"]) for row in found] == [(5, "False"), (2, "False"), (1, "True")]
    assert {row.launches_before for row in found} == {25}  # heuristics search nothing


def test_what_a_gpu_cannot_have_done_is_left_out() -> None:
    peak_us = 2e-6 * ROW.m * ROW.n * ROW.k / load_arch("a100").peak_tops("fp16", False)  # type: ignore[operator]
    dense = replace(ROW, sparsity="dense")
    cases = (
        (replace(dense, time_us=peak_us / 1.14), ""),
        (replace(dense, time_us=peak_us / 1.16), "faster than 1.15 dense peaks (dense)"),
        (replace(ROW, time_us=peak_us / 2.19), ""),
        (replace(ROW, time_us=peak_us / 2.21), "faster than 2.2 dense peaks (2:4)"),
        (replace(ROW, time_us=0.0), "without a time (not run)"),
        (replace(ROW, time_us=float("nan")), "without a time (not run)"),
        (replace(ROW, arch="rtx5080"), "of rtx5080 (no such GPU file)"),
        (replace(ROW, dtype="fp8e4m3"), "of fp8e4m3 2:4 on a100 (stcsim does not simulate it there)"),
        (replace(ROW, dtype="fp3"), "of fp3 2:4 on a100 (stcsim does not simulate it there)"),
        (replace(ROW, arch="t4"), "of fp16 2:4 on t4 (stcsim does not simulate it there)"),
    )
    for row, reason in cases:
        assert reason_against(row) == reason
    found = Sorted()
    found.add([row for row, _ in cases])
    found.add([LeftOut("of FP4 (K is counted twice)", 7)])
    assert {name: len(rows) for name, rows in found.rows.items()} == {"a100": 2}
    assert found.left_out["without a time (not run)"] == 2 and found.left_out["of FP4 (K is counted twice)"] == 7


def test_vidur_splits_each_layer_among_its_gpus(tmp_path: Path) -> None:
    rows = rows_of(vidur.convert(written(tmp_path, VIDUR), VIDUR_FILE))
    # heads of 4096 / 32 = 128; (32 + 2 * 8) * 128 / 2 = 3072; gated: 2 * 11008 / 2, else 11008 / 2
    sizes = [(3072, 512, 4096), (4096, 512, 2048), (11008, 512, 4096), (4096, 512, 5504)]
    sizes += [(3072, 8, 4096), (4096, 8, 2048), (5504, 8, 4096), (4096, 8, 5504)]
    assert [(row.m, row.n, row.k) for row in rows] == sizes
    assert [row.time_us for row in rows] == pytest.approx([200, 100, 500, 20, 0, 25, 30, 60])
    assert "".join(row.grade for row in rows) == "AAABBBAA"  # whole microseconds: trusted from 30 on
    assert {(row.arch, row.dtype, row.timing, row.suite) for row in rows} == {("a40", "fp16", "kernel", "org/model-7b")}


def test_layers_of_vidur_that_do_not_divide_are_left_out(tmp_path: Path) -> None:
    text = f"{VIDUR_HEADER}\n512,3,4096,11008,32,8,False,1,1,1,1\n"
    found = list(vidur.convert(written(tmp_path, text), VIDUR_FILE))
    assert isinstance(found[0], Row) and (found[0].m, found[0].k) == (2048, 4096)  # 48 heads on 3 GPUs
    assert found[1:] == [LeftOut("of layers that do not divide among their GPUs")] * 3


def test_venom_has_one_dense_and_one_sparse_row_a_shape(tmp_path: Path) -> None:
    text = f"{VENOM}9,512,768,256,0.5,0.0,0.2\n"
    dense, sparse, not_run = rows_of(venom.convert(written(tmp_path, text), "result/baseline_a.csv"))
    assert (dense.m, dense.n, dense.k) == (sparse.m, sparse.n, sparse.k) == (1024, 4096, 2048)
    assert dense.time_us == pytest.approx(450) and dense.sparsity == "dense"  # of 400, 500 and 450
    assert sparse.time_us == pytest.approx(260) and sparse.sparsity == "2:4"  # of algo 3 only: 250 and 270
    assert {(row.arch, row.grade, row.suite) for row in (dense, sparse)} == {("rtx3090", "B", "baseline_a")}
    assert dense.library == "cuBLAS" and sparse.library == "cuSPARSELt 0.3" and not_run.time_us == 0


@pytest.mark.parametrize(
    ("library", "folder", "kind", "said", "expected"),
    [
        ("cuBLASLt", "A100_cc80_py312", "BF16", "BF16 -> BF16", ("a100-pcie", "dense", "bf16", "bf16", "A")),
        ("cuSPARSELt", "H100_cc90_py312", "FP8", "FP8 -> BF16", ("h100-pcie", "2:4", "fp8e4m3", "bf16", "A")),
        ("cuBLASLt", "RTX4090_cc89_py312", "FP16", "float16 -> CUDA_R_16F", ("rtx4090", "dense", "fp16", "fp16", "A")),
        ("cuBLASLt", "A100_cc80_py312", "INT8", "INT8 -> INT32", ("a100-pcie", "dense", "int8", "int32", "B")),
        ("cuSPARSELt", "A100_cc80_py312", "INT8", "INT8 -> BF16", ("a100-pcie", "2:4", "int8", "bf16", "B")),
        ("cuBLASLt", "B200_cc100_py312", "INT8", "INT8 -> INT32", ("b200", "dense", "int8", "int32", "C")),
        ("cuSPARSELt", "RTX5080_cc120_py312", "INT8", "INT8 -> BF16", ("rtx5080", "2:4", "int8", "bf16", "B")),
        ("cuBLASLt", "GB10_cc121_py312", "FP16", "FP16 -> FP16", ("gb10", "dense", "fp16", "fp16", "A")),
    ],
)
def test_slidesparse_folders_say_gpu_and_type(
    library: str, folder: str, kind: str, said: str, expected: Sequence[str], tmp_path: Path
) -> None:
    stem = "Tiny-1B" if library == "cuBLASLt" else "Tiny-1B_2_4"
    text = slidesparse_text(said, "512,4096,1024,40.5", "1,4096,1024,6", factor="1.00" if library == "cuSPARSELt" else "")
    large, small = rows_of(slidesparse.convert(written(tmp_path, text), slidesparse_file(library, folder, kind, stem)))
    assert (large.arch, large.sparsity, large.dtype, large.out_dtype, large.grade) == tuple(expected)
    assert (large.m, large.n, large.k, large.time_us) == (4096, 512, 1024, 40.5)
    assert (large.timing, large.weight_copies, large.launches, large.suite) == ("stream", 1, 40, "Tiny-1B")
    assert large.gpu == "NVIDIA A100 80GB PCIe" and small.grade == "C"  # 8.4 million operations: launch-bound


def test_slidesparse_files_without_comments_use_what_is_known(tmp_path: Path) -> None:
    text = "M,N,K,lat_us,best_alg_id,split_k\n512,4096,1024,40.5,3,1\n512,4096,2048,0,3,1\n"
    dense, not_run = rows_of(slidesparse.convert(written(tmp_path, text), slidesparse_file(kind="INT8")))
    assert (dense.out_dtype, dense.time_us, dense.launches, dense.suite) == ("int32", 40.5, 50, "Tiny-1B")
    assert not_run.time_us == 0 and dense.gpu == "A100"
    path = slidesparse_file("cuSPARSELt", kind="INT8", stem="Tiny-1B_2_4")
    assert next(iter(rows_of(slidesparse.convert(written(tmp_path, text), path)))).out_dtype == "bf16"


@pytest.mark.parametrize(
    ("library", "kind", "stem", "factor", "why"),
    [
        ("cuSPARSELt", "FP16", "Tiny-1B_2_8", "1.50", "of patterns other than 2:4 (run as 2:4 at a stretched K)"),
        ("cuSPARSELt", "FP16", "Tiny-1B_2_inf", "2.00", "of patterns other than 2:4 (run as 2:4 at a stretched K)"),
        ("cuSPARSELt", "FP16", "Tiny-1B_2_4", "1.33", "of patterns other than 2:4 (run as 2:4 at a stretched K)"),
        ("cuBLASLt", "FP4", "Tiny-1B", "", "of FP4 (K is counted twice)"),
        ("cuBLASLt", "FP6", "Tiny-1B", "", "of FP6 (a type that stcsim does not read)"),
    ],
)
def test_slidesparse_rows_that_are_no_plain_gemm_are_counted(
    library: str, kind: str, stem: str, factor: str, why: str, tmp_path: Path
) -> None:
    text = slidesparse_text(f"{kind} -> FP16", "512,4096,1024,40", "1,4096,1024,6", factor=factor)
    path = slidesparse_file(library, kind=kind, stem=stem)
    assert list(slidesparse.convert(written(tmp_path, text), path)) == [LeftOut(why, 2)]


@pytest.mark.parametrize(
    ("module", "name", "text", "sentence"),
    [
        (vidur, VIDUR_FILE, VIDUR.replace("n_head,", "n_heads,"),
         f"{VIDUR_FILE}: header: expected a column 'n_head', found num_tokens, num_tensor_parallel_workers, n_embd, "),
        (vidur, VIDUR_FILE, VIDUR.replace("512,2", "512,two"),
         f"{VIDUR_FILE}:2: num_tensor_parallel_workers: expected a number, found 'two'"),
        (vidur, VIDUR_FILE, VIDUR.replace("8,2,4096", "0,2,4096"),
         f"{VIDUR_FILE}:3: num_tokens: expected a whole number above 0, found '0'"),
        (venom, "result/ablation1.csv", "", "result/ablation1.csv: header: expected a column 'm', found an empty file"),
        (venom, "result/ablation1.csv", f"{VENOM_HEADER}\n3,8,8\n", "result/ablation1.csv:2: n: expected a whole number above 0"),
        (slidesparse, slidesparse_file(), slidesparse_text("BF16 -> FP12", "512,4096,1024,40"),
         f"{slidesparse_file()}: dtype: expected IN -> one of fp16, bf16, fp32, int32, int8, fp8e4m3, found 'BF16 -> FP12'"),
        (slidesparse, slidesparse_file(), slidesparse_text("BF16 -> BF16", header=SLIDESPARSE_HEADER.replace("lat_us_1", "us")),
         f"{slidesparse_file()}: header: expected a column 'lat_us_1', found M, N, K, "),
        (slidesparse, slidesparse_file(), slidesparse_text("BF16 -> BF16", "512,4096,1024,fast"),
         f"{slidesparse_file()}:6: lat_us_1: expected a number, found 'fast'"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_their_lines(module: object, name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError) as error:
        list(module.convert(written(tmp_path, text), name))  # type: ignore[attr-defined]
    assert str(error.value).startswith(sentence)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"m,k,n\n\xff\xfe\n")
    with pytest.raises(TraceError, match="^result/ablation1.csv: expected a UTF-8 CSV table, found "):
        list(venom.convert(tmp_path / "table.csv", "result/ablation1.csv"))


AIC_FILE = "aic-core/src/aiconfigurator_core/systems/data/{gpu}/gemm/trtllm/{release}/gemm_perf.parquet"
AIC_ROW = {
    "framework": "TRTLLM", "version": "1.3.0rc20", "device": "NVIDIA L40S", "op_name": "gemm", "kernel_source": "torch_flow",
    "gemm_dtype": "bfloat16", "m": 512, "n": 4096, "k": 1024, "latency": 0.0405,
}  # fmt: skip


def parquet_rows(folder: Path, *changes: dict[str, object], gpu: str = "l40s", release: str = "1.3.0rc20") -> list[Row | LeftOut]:
    pyarrow = pytest.importorskip("pyarrow", reason="aiconfigurator's tables are parquet")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([AIC_ROW | change for change in changes]), folder / "gemm.parquet")
    return list(aiconfigurator.convert(folder / "gemm.parquet", AIC_FILE.format(gpu=gpu, release=release)))


def test_aiconfigurator_types_have_grades(tmp_path: Path) -> None:
    types = ("bfloat16", "fp8", "nvfp4", "sq", "w4a16")
    *rows, left_out = parquet_rows(tmp_path, *({"gemm_dtype": name} for name in types))
    plain = rows_of(rows)
    assert [(row.dtype, row.out_dtype, row.grade) for row in plain] == [
        ("bf16", "bf16", "A"), ("fp8e4m3", "bf16", "B"), ("nvfp4", "bf16", "B"), ("int8", "bf16", "B"),
    ]  # fmt: skip
    assert left_out == LeftOut("of w4a16 (not a GEMM of two plain types)")
    first = plain[0]
    assert (first.arch, first.gpu, first.sparsity, first.timing, first.data) == ("l40s", "NVIDIA L40S", "dense", "graph", "randn")
    assert (first.m, first.n, first.k) == (4096, 512, 1024) and first.time_us == pytest.approx(40.5)
    assert first.suite == "TensorRT-LLM 1.3.0rc20" and first.library.startswith("cuBLAS ")


def test_aiconfigurator_launches_as_many_copies_as_overflow_the_l2(tmp_path: Path) -> None:
    sizes = ((4096, 1024), (8192, 4096), (16384, 8192))  # weights of 8, 64 and 256 MiB beside an L2 of 96
    rows = rows_of(parquet_rows(tmp_path, *({"n": n, "k": k} for n, k in sizes)))
    assert [(row.weight_copies, row.launches) for row in rows] == [(5, 30), (2, 12), (1, 6)]
    (old,) = rows_of(parquet_rows(tmp_path, {"n": 16384, "k": 8192}, gpu="a100_sxm", release="1.0.0"))
    assert (old.arch, old.weight_copies, old.launches, old.data) == ("a100", 5, 30, "randn")
    (unknown,) = rows_of(parquet_rows(tmp_path, {"gemm_dtype": "sq"}, gpu="a100_sxm", release="1.0.0"))
    assert unknown.data == ""


def test_aiconfigurator_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="aiconfigurator's tables are parquet")
    from pyarrow import parquet

    path, file = AIC_FILE.format(gpu="l40s", release="1.3.0rc20"), tmp_path / "gemm.parquet"
    file.write_bytes(b"not parquet at all")
    with pytest.raises(TraceError, match="gemm_perf.parquet: expected a parquet file, found "):
        list(aiconfigurator.convert(file, path))
    parquet.write_table(pyarrow.table({"m": [1], "n": [1], "k": [1]}), file)
    with pytest.raises(TraceError, match="header: expected a column 'device', found m, n, k"):
        list(aiconfigurator.convert(file, path))
    with pytest.raises(TraceError, match="row 0: m: expected a whole number above 0, found '0'"):
        parquet_rows(tmp_path, {"m": 0})
    with pytest.raises(TraceError, match="row 0: latency: expected a number, found 'slow'"):
        parquet_rows(tmp_path, {"latency": "slow"})
    with pytest.raises(TraceError, match="expected a folder of one of a100_sxm, "):
        parquet_rows(tmp_path, {}, gpu="gb200")


def test_without_pyarrow_the_pip_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(StcsimError, match=r"^aiconfigurator: expected the pyarrow package \(pip install 'stcsim\[data\]'\)"):
        aiconfigurator.require_pyarrow()
