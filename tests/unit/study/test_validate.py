"""Validation: reading measured tables, grouping errors, honouring a row's launch, output type and warm weights."""

from __future__ import annotations

from pathlib import Path

import pytest

import stcsim
from stcsim.arch import load_arch
from stcsim.errors import TraceError
from stcsim.report.terminal.validation import document, row_lines
from stcsim.study.measured import read_measured
from stcsim.study.validate import Predicted, predict, summarise, validate

HEADER = "arch,sparsity,dtype,out_dtype,m,n,k,batch,time_us,timing,weights_in_l2,grade"
ROWS = (
    "a100,dense,fp16,fp16,1024,512,1024,1,20.0,graph,False,A",
    "a100,2:4,fp16,fp16,1024,512,1024,1,15.0,graph,False,A",
    "a100,dense,int8,int32,1024,512,1024,1,12.0,stream,True,C",
)


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "a100.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_rows_are_read_and_predicted(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = validate([table(tmp_path, *ROWS)], progress=lambda done, total: steps.append((done, total)), jobs=1)

    assert [cell.label for cell in report.cells] == [
        ("a100", "2:4", "fp16", "A"), ("a100", "dense", "fp16", "A"), ("a100", "dense", "int8", "C")
    ]  # fmt: skip
    assert [cell.label for cell in report.sizes] == [("a100", "2:4", "10^9"), ("a100", "dense", "10^9")]
    assert len(report.speedups) == 1 and report.speedups[0].count == 1 and steps[-1] == (3, 3)
    lines = row_lines(report)
    assert [line["m"] for line in lines] == ["1024"] * 3 and {"predicted_us", "error", "kernel", "most_time"} <= set(lines[0])
    assert document(report)["cells"][0]["count"] == 1


def test_rows_carry_the_interval_that_a_gemm_prints(tmp_path: Path) -> None:
    report = validate([table(tmp_path, *ROWS[:2])], jobs=1)
    row = stcsim.gemm(1024, 512, 1024, load_arch("a100")).rows[0]
    for line, kernel in zip(row_lines(report), (row.dense, row.sparse), strict=True):
        assert kernel is not None and kernel.time_us_interval is not None
        for name, bound_us in (("low", kernel.time_us_interval.low), ("high", kernel.time_us_interval.high)):
            assert line[f"predicted_{name}_us"] / line["predicted_us"] == pytest.approx(bound_us / kernel.time_us)  # type: ignore[operator]
    changed = validate([table(tmp_path, *ROWS[:1])], load_arch("a100", ["l2.near_latency_cycles=201"]), jobs=1).rows[0]
    assert changed.likely and report.rows[0].likely  # no longer a board that was measured
    assert changed.likely.high / changed.predicted_us > report.rows[0].likely.high / report.rows[0].predicted_us


def test_the_row_says_how_it_was_launched_and_what_was_warm(tmp_path: Path) -> None:
    base = "a100,dense,fp16,fp16,2048,16,2048,1,10.0,{timing},{warm},A"
    texts = [base.format(timing=timing, warm=warm) for timing, warm in (("kernel", False), ("graph", False), ("stream", False))]
    kernel, graph, stream = (predict(row, load_arch("a100")) for row in read_measured([table(tmp_path, *texts)]))
    launch = load_arch("a100").launch
    assert graph.predicted_us - kernel.predicted_us == pytest.approx(launch.graph_us)
    assert stream.predicted_us - kernel.predicted_us == pytest.approx(launch.stream_us)

    cold, warm = read_measured([table(tmp_path, *(base.format(timing="graph", warm=warm) for warm in (False, True)))])
    assert predict(warm, load_arch("a100")).predicted_us < predict(cold, load_arch("a100")).predicted_us


@pytest.mark.parametrize(
    ("library", "by_heuristic"),
    [("", False), ("cublasLt", False), ("cusparselt", False), ("cublas", True), ("cuBLAS (torch linear)", True)],
)
def test_cublas_without_lt_is_taken_to_have_picked_unmeasured(library: str, by_heuristic: bool, tmp_path: Path) -> None:
    row = "a100,dense,bf16,bf16,2048,2048,2048,1,108.5,graph,False,A"
    [read] = read_measured([table(tmp_path, f"{row},{library}", header=f"{HEADER},library")])
    assert read.by_heuristic == by_heuristic
    waves_of_large_tiles = "sm80_256x128x" in predict(read, load_arch("a100")).kernel
    assert waves_of_large_tiles == by_heuristic


def test_errors_are_summed_as_stated(tmp_path: Path) -> None:
    measured = read_measured([table(tmp_path, *[ROWS[0]] * 3)])
    rows = [Predicted(row, time_us, 10.0, "k", "l2") for row, time_us in zip(measured, (18.0, 21.0, 26.0), strict=True)]
    (cell,) = summarise(rows).cells

    # errors -10 %, +5 %, +30 %; 90th percentile between the sorted sizes 5, 10, 30 at place 1.8
    assert (cell.mean_abs, cell.median, cell.p90_abs) == pytest.approx((0.15, 0.05, 0.10 + 0.8 * 0.20))
    assert (cell.roofline_mean_abs, cell.roofline_median) == pytest.approx((0.5, -0.5))


def test_processes_do_not_change_the_answer(tmp_path: Path) -> None:
    path = table(tmp_path, *[f"a100,dense,fp16,fp16,{64 * i},64,256,1,10.0,graph,False,A" for i in range(1, 70)])
    alone, together = (validate([path], jobs=jobs) for jobs in (1, 2))
    assert alone == together


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a100,dense,fp16,fp16,0,1,1,1,5,graph,True,A", "a100.csv:2: m: expected a whole number above 0, found '0'"),
        ("a100,dense,fp16,fp16,8,1,x,1,5,graph,True,A", "a100.csv:2: k: expected a whole number above 0, found 'x'"),
        ("a100,dense,fp16,fp16,8,1,8,1,-5,graph,True,A", "a100.csv:2: time_us: expected a time above 0 in"),
        ("a100,dense,fp16,fp16,8,1,8,1,,graph,True,A", "a100.csv:2: time_us: expected a value, found an empty field"),
        ("a100,3:4,fp16,fp16,8,1,8,1,5,graph,True,A", "a100.csv:2: sparsity: expected one of dense, 2:4, found '3:4'"),
        ("a100,dense,fp12,fp16,8,1,8,1,5,graph,True,A", "a100.csv:2: dtype: expected one of fp16, bf16,"),
        ("a100,dense,fp16,fp16,8,1,8,1,5,wall,True,A", "a100.csv:2: timing: expected one of graph, stream, kernel, found 'wall'"),
        ("a100,dense,fp8,bf16,8,1,8,1,5,graph,True,A", "a100.csv:2: expected "),
        ("a999,dense,fp16,fp16,8,1,8,1,5,graph,True,A", "a100.csv:2: arch: expected one of "),
    ],
)  # fmt: skip
def test_bad_rows_are_named(row: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError) as error:
        validate([table(tmp_path, row)], jobs=1)
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(sentence)


def test_bad_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file or folder"):
        read_measured([tmp_path / "none.csv"])
    with pytest.raises(TraceError, match="expected a folder with .csv files"):
        read_measured([tmp_path])
    with pytest.raises(TraceError, match="header: expected a column 'time_us'"):
        read_measured([table(tmp_path, header="arch,sparsity,dtype,m,n,k,time")])
    with pytest.raises(TraceError, match="expected rows of a known GPU, found none"):
        validate([table(tmp_path)], jobs=1)
