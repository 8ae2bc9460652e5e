"""One fit for several boards: shared and own leaves are found again, bounds hold, and what no row shows is named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stcsim.arch import load_arch
from stcsim.errors import StcsimError
from stcsim.study.calibration.joint import Leaf, archs_with, fit_jointly
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import predict

BOARDS = ("a100", "a100-pcie")
PROLOGUE = Leaf("kernel.prologue_cycles", BOARDS, 2000.0, 500.0, 6000.0)
OWN = tuple(Leaf("dram.achieved_fraction", (board,), 0.75, 0.3, 0.98) for board in BOARDS)
IDLE = Leaf("launch.stream_us", ("a100",), 3.0, 0.5, 12.0)
TRUTH = {PROLOGUE: 3000.0, OWN[0]: 0.6, OWN[1]: 0.9}


@pytest.fixture
def rows(tmp_path: Path) -> list[Measured]:
    """Times of a few GEMMs in CUDA graphs on two boards, as ``TRUTH`` has them."""
    lines = [f"{gpu},dense,fp16,{m},{n},2048,1.0,graph" for gpu in BOARDS for m in (256, 1024, 4096) for n in (16, 64, 256)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["arch,sparsity,dtype,m,n,k,time_us,timing", *lines]) + "\n", encoding="utf-8")
    archs = archs_with({board: load_arch(board) for board in BOARDS}, TRUTH)
    return [replace(row, time_us=predict(row, archs[row.arch]).predicted_us) for row in read_measured([path])]


def test_what_boards_share_and_what_each_has_are_found_again(rows: list[Measured]) -> None:
    pytest.importorskip("scipy")
    seen: list[tuple[int, float]] = []
    archs = {board: load_arch(board) for board in BOARDS}
    found = fit_jointly(archs, [PROLOGUE, *OWN, IDLE], rows, 12, lambda *each: seen.append(each), jobs=1)
    assert {leaf: found.values[leaf] for leaf in TRUTH} == pytest.approx(TRUTH, rel=0.1)
    assert found.idle == (IDLE,) and found.values[IDLE] == IDLE.start
    assert seen[-1][0] == found.evaluations and min(error for _, error in seen) < seen[0][1] / 5


def test_values_stay_inside_their_bounds(rows: list[Measured]) -> None:
    pytest.importorskip("scipy")
    low = Leaf("kernel.prologue_cycles", BOARDS, 2000.0, 500.0, 2200.0)
    found = fit_jointly({board: load_arch(board) for board in BOARDS}, [low], rows, 6, jobs=1)
    assert 2100 < found.values[low] <= 2200  # as near to 3,000 as it may go


def test_a_board_keeps_what_other_boards_have() -> None:
    archs = archs_with({board: load_arch(board) for board in BOARDS}, TRUTH)
    assert [arch.dram.achieved_fraction for arch in archs.values()] == [0.6, 0.9]
    assert {arch.kernel.prologue_cycles for arch in archs.values()} == {3000.0}
    assert archs["a100"].sources["dram.achieved_fraction"].kind == "fitted"


def test_without_scipy_one_sentence_says_so(rows: list[Measured], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(StcsimError, match="expected the scipy package"):
        fit_jointly({board: load_arch(board) for board in BOARDS}, [PROLOGUE], rows, 2, jobs=1)
