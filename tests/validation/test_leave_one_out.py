"""Leaving a board out: no parameter that its rows decided stands in what predicts it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.arch import load_arch
from stcsim.errors import TraceError
from stcsim.study.error_model.file import read_predicted
from stcsim.study.evidence.die_left_out import DONORS, as_stranger, predict_strangers
from stcsim.study.evidence.leave_one_out import (
    ASSUMED,
    FROM_MICROBENCHMARKS,
    OF_THE_BOARD,
    QUICK_ROWS,
    QUICK_STEPS,
    SIBLINGS,
    LeftOut,
    drawn,
    fit_one,
    leave_out,
    neutral,
    transferred,
)
from stcsim.study.measured import read_measured
from stcsim.study.validate import predict, spread

SHAPES = [(m, n, k) for m in (512, 4096) for n in (1, 64, 1024) for k in (512, 4096)]
PAIRS = [(board, sibling) for board, siblings in SIBLINGS.items() for sibling in siblings]


def test_every_board_of_a_die_with_several_is_left_out_and_answers_for_another() -> None:
    assert {sibling for _, sibling in PAIRS} == set(SIBLINGS)
    assert all(load_arch(board).die == load_arch(sibling).die for board, sibling in PAIRS)


@pytest.mark.parametrize(("board", "sibling"), PAIRS)
def test_a_sibling_keeps_vendors_figures_and_microbenchmarks_only(board: str, sibling: str) -> None:
    shipped, start = load_arch(sibling), load_arch(board, neutral(board))
    blind = transferred(start, sibling)

    assert (blind.name, blind.sm, blind.dram.bandwidth_gb_per_s) == (sibling, shipped.sm, shipped.dram.bandwidth_gb_per_s)
    assert blind.power.board_limit_w == shipped.power.board_limit_w
    assert blind.l2.near_latency_cycles == shipped.l2.near_latency_cycles
    assert blind.clock.sustained_mhz / blind.clock.boost_mhz == pytest.approx(start.clock.sustained_mhz / start.clock.boost_mhz)
    for leaf in shipped.leaves():
        if leaf.kind in ("fitted", "assumed") and leaf.path not in {"clock.sustained_mhz"} | OF_THE_BOARD:
            assert blind.value(leaf.path) == start.value(leaf.path), leaf.path


@pytest.mark.parametrize("board", SIBLINGS)
def test_neutral_values_cover_all_that_was_fitted_and_nothing_else(board: str) -> None:
    start = neutral(board)
    fitted = {leaf.path for leaf in load_arch(board).leaves() if leaf.kind == "fitted"}
    assert set(start) == fitted - FROM_MICROBENCHMARKS
    assert all(start[path] == value for path, value in ASSUMED.items() if path in start)


@pytest.mark.parametrize("board", DONORS)
def test_a_stranger_has_what_fits_decide_from_boards_of_other_dies(board: str) -> None:
    shipped, stranger, donors = load_arch(board), as_stranger(board), DONORS[board]
    kernels, power = load_arch(donors.kernels), load_arch(donors.power)
    assert shipped.die not in (kernels.die, power.die) and stranger.sm == shipped.sm
    assert stranger.kernel.prologue_cycles == kernels.kernel.prologue_cycles
    assert stranger.power.tensor_pj_per_mac == power.power.tensor_pj_per_mac
    assert stranger.power.board_limit_w == shipped.power.board_limit_w
    assert stranger.l2.shared_fraction == shipped.l2.shared_fraction and stranger.kernel.family == shipped.kernel.family
    for leaf in shipped.leaves():
        if leaf.kind in ("vendor", "measured"):
            assert stranger.value(leaf.path) == leaf.value, leaf.path


def timed_on(gpu: str, folder: Path) -> None:
    """Write the table that the shipped ``gpu`` itself would measure."""
    table_of = folder / f"{gpu}.csv"
    for times_us in ([1.0] * len(SHAPES), None):
        if times_us is None:
            times_us = [predict(row, load_arch(gpu)).predicted_us for row in read_measured([table_of])]
        lines = [f"{gpu},dense,bf16,{m},{n},{k},{us!r}" for (m, n, k), us in zip(SHAPES, times_us, strict=True)]
        table_of.write_text("\n".join(["arch,sparsity,dtype,m,n,k,time_us", *lines]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the times that three boards themselves would measure."""
    folder = tmp_path_factory.mktemp("tables")
    for gpu in ("a100", "a100-pcie", "a40"):
        timed_on(gpu, folder)
    return folder


@pytest.fixture(scope="module")
def result(tables: Path) -> LeftOut:
    """The A100 left alone with a few rows of its own, and its sibling predicted."""
    pytest.importorskip("scipy")
    return leave_out("a100", ["a100-pcie"], [tables], rows=6, steps=12, jobs=1)


def test_one_board_is_fitted_and_the_other_predicted(result: LeftOut, tables: Path) -> None:
    assert [part.role for part in result.parts] == ["fitted", "held out", "never seen"]
    assert all(row.error == 0 for part in result.parts for row in part.shipped)  # their own times
    fitted, held_out, never_seen = result.cells
    start = load_arch("a100", neutral("a100"))
    before = spread([predict(row.measured, start).error for row in result.parts[0].alone])[0]
    assert fitted.alone[0] < before / 2 and {row.measured.arch for row in result.unseen} == {"a100-pcie"}
    assert (fitted.gpu, never_seen.gpu, never_seen.rows) == ("a100", "a100-pcie", len(SHAPES))
    may_be_fitted = drawn(read_measured([tables / "a100.csv"]), 100)
    assert [row.measured for row in result.parts[0].alone] == may_be_fitted and held_out.rows == len(SHAPES) - fitted.rows
    assert 0 < fitted.rows < len(SHAPES)
    assert [value.path for value in result.parameters] == list(neutral("a100"))


def test_what_no_row_shows_stays_where_it_began(result: LeftOut) -> None:
    """The A100's rows here are dense bf16 in CUDA graphs."""
    notes = {value.path: value.note for value in result.parameters}
    assert notes["power.sparse_mac_ratio"] == "assumed"
    assert all(value.alone == value.neutral for value in result.parameters if value.path in ASSUMED)


def test_boards_of_another_die_are_predicted_as_strangers(tables: Path) -> None:
    part = predict_strangers([tables], jobs=1)
    assert {row.measured.arch for row in part.alone} == {"a40"} and len(part.alone) == 12
    assert all(row.error == 0 for row in part.shipped) and any(row.error != 0 for row in part.alone)


def test_the_command_prints_and_writes_what_was_found(
    result: LeftOut, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def leave(*given: object) -> LeftOut:
        asked.append(given[:5])
        return result

    monkeypatch.setattr("stcsim.study.evidence.leave_one_out.leave_out", leave)
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}
    written = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    with pytest.raises(SystemExit):
        cli.main(["evidence", "leave-one-out", str(tables), "--quick", *written])

    assert asked == [("a100", SIBLINGS["a100"], [tables], QUICK_ROWS, QUICK_STEPS)]
    shown = capsys.readouterr().out
    assert f"({QUICK_ROWS} rows, {QUICK_STEPS} steps of least squares)" in shown and "never seen" in shown
    assert "parameters of a100\n" in shown and "power.sparse_mac_ratio" in shown
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    assert [cell["role"] for cell in document["cells"]] == ["fitted", "held out", "never seen"]
    assert len(document["parameters"]["a100"]) == len(neutral("a100"))
    assert [row.predicted_us for row in read_predicted(files["csv"])] == [row.predicted_us for row in result.unseen]
    assert {row.measured.record["evidence"] for row in read_predicted(files["csv"])} == {"sibling"}

    asked.clear()
    with pytest.raises(SystemExit):
        cli.main(["evidence", "leave-one-out", str(tables), "--jobs", "1", *written])
    assert [each[0] for each in asked] == list(SIBLINGS)  # type: ignore[index]
    rows = read_predicted(files["csv"])
    assert {(row.measured.arch, row.measured.record["evidence"]) for row in rows} == {
        ("a100-pcie", "sibling"), ("a40", "generation"),
    }  # fmt: skip
    assert "another die" in capsys.readouterr().out


@pytest.mark.parametrize(("gpu", "missing"), [("a100", "a100-pcie"), ("a100-pcie", "a100")])
def test_a_board_without_rows_is_refused_before_the_fit(gpu: str, missing: str, tmp_path: Path) -> None:
    timed_on(gpu, tmp_path)
    with pytest.raises(TraceError, match=f"expected rows of grade A of {missing}, found none"):
        leave_out("a100", ["a100-pcie"], [tmp_path])


def test_a_board_with_two_four_rows_finds_the_energy_of_their_macs(tables: Path) -> None:
    pytest.importorskip("scipy")
    rows = read_measured([tables / "a100-pcie.csv"])[:3]
    both = [*rows, *(replace(row, sparse=True) for row in rows)]
    for given, is_free in ((rows, False), (both, True)):
        fit = fit_one("a100-pcie", given, steps=1, jobs=1)
        assert ("power.sparse_mac_ratio" in {leaf.path for leaf in fit.values}) is is_free
