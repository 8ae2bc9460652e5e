"""Leaving a board out: no parameter that its rows decided stands in what predicts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.arch import load_arch
from stcsim.errors import TraceError
from stcsim.study.error_model.file import read_predicted
from stcsim.study.evidence.leave_one_out import (
    ASSUMED,
    FROM_MICROBENCHMARKS,
    QUICK_EVALUATIONS,
    QUICK_ROWS,
    SIBLINGS,
    LeftOut,
    leave_out,
    neutral,
    transferred,
)
from stcsim.study.measured import read_measured
from stcsim.study.validate import predict, spread

SHAPES = [(m, n, k) for m in (512, 4096) for n in (1, 64, 1024) for k in (512, 4096)]


@pytest.mark.parametrize(("board", "sibling"), SIBLINGS)
def test_a_sibling_keeps_vendors_figures_and_microbenchmarks_only(board: str, sibling: str) -> None:
    shipped, start = load_arch(sibling), load_arch(board, neutral(board))
    blind = transferred(start, sibling)

    assert (blind.name, blind.sm, blind.dram.bandwidth_gb_per_s) == (sibling, shipped.sm, shipped.dram.bandwidth_gb_per_s)
    assert blind.power.board_limit_w == shipped.power.board_limit_w < start.power.board_limit_w
    assert blind.l2.near_latency_cycles == shipped.l2.near_latency_cycles
    assert blind.launch.stream_us == load_arch(board).launch.stream_us
    assert blind.clock.sustained_mhz / blind.clock.boost_mhz == pytest.approx(start.clock.sustained_mhz / start.clock.boost_mhz)
    for leaf in shipped.leaves():
        if leaf.kind in ("fitted", "assumed") and leaf.path not in {"clock.sustained_mhz", "sm.sms_per_gpc"}:
            assert blind.value(leaf.path) == start.value(leaf.path), leaf.path


@pytest.mark.parametrize("board", [pair[0] for pair in SIBLINGS])
def test_neutral_values_cover_all_that_was_fitted_and_nothing_else(board: str) -> None:
    start = neutral(board)
    fitted = {leaf.path for leaf in load_arch(board).leaves() if leaf.kind == "fitted"}
    assert set(start) == fitted - FROM_MICROBENCHMARKS
    assert all(start[path] == value for path, value in ASSUMED.items() if path in start)


def timed_on(gpu: str, folder: Path) -> None:
    """Write the table that the shipped ``gpu`` itself would measure."""
    table_of = folder / f"{gpu}.csv"
    for times_us in ([1.0] * len(SHAPES), None):
        if times_us is None:
            times_us = [predict(row, load_arch(gpu)).predicted_us for row in read_measured([table_of])]
        lines = [f"{gpu},dense,bf16,{m},{n},{k},{us!r}" for (m, n, k), us in zip(SHAPES, times_us, strict=True)]
        table_of.write_text("\n".join(["arch,sparsity,dtype,m,n,k,time_us", *lines]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> LeftOut:
    """The A100 left alone with a few rows of its own, and its sibling predicted."""
    pytest.importorskip("scipy")
    folder = tmp_path_factory.mktemp("tables")
    for gpu in ("a100", "a100-pcie"):
        timed_on(gpu, folder)
    return leave_out("a100", "a100-pcie", [folder], rows=6, evaluations=20, jobs=1)


def test_one_board_is_fitted_and_the_other_predicted(result: LeftOut) -> None:
    assert [part.role for part in result.parts] == ["fitted", "held out", "never seen"]
    assert all(row.error == 0 for part in result.parts for row in part.shipped)  # their own times
    before, after = (spread([row.error for row in side[0]])[0] for side in (result.fit.before, result.fit.after))
    assert after < before and {row.measured.arch for row in result.unseen} == {"a100-pcie"}
    assert [(cell.gpu, cell.role, cell.rows) for cell in result.cells] == [
        ("a100", "fitted", 6), ("a100", "held out", 6), ("a100-pcie", "never seen", 12),
    ]  # fmt: skip
    assert [value.path for value in result.parameters] == list(neutral("a100"))


def test_the_command_prints_and_writes_what_was_found(
    result: LeftOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def leave(*given: object) -> LeftOut:
        asked.extend(given[:5])
        return result

    monkeypatch.setattr("stcsim.study.evidence.leave_one_out.leave_out", leave)
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}
    written = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    with pytest.raises(SystemExit):
        cli.main(["evidence", "leave-one-out", str(tmp_path), "--quick", *written])

    assert asked == ["a100", "a100-pcie", [tmp_path], QUICK_ROWS, QUICK_EVALUATIONS]
    shown = capsys.readouterr().out
    assert f"({QUICK_ROWS} rows, {QUICK_EVALUATIONS} evaluations, seed 4)" in shown and "never seen" in shown
    assert "parameters of a100\n" in shown and "power.sparse_mac_ratio" in shown
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    assert [cell["role"] for cell in document["cells"]] == ["fitted", "held out", "never seen"]
    assert len(document["parameters"]["a100"]) == len(neutral("a100"))
    assert [row.predicted_us for row in read_predicted(files["csv"])] == [row.predicted_us for row in result.unseen]


def test_a_sibling_without_rows_is_refused_before_the_fit(tmp_path: Path) -> None:
    timed_on("a100", tmp_path)
    with pytest.raises(TraceError, match="expected rows of grade A of a100-pcie, found none"):
        leave_out("a100", "a100-pcie", [tmp_path])
