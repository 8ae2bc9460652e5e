"""Rows of a study as figures and tables show them: planes, Pareto fronts, and cells that are asked for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.report.study import pareto_sheet
from stcsim.study.sweeps.criteria import Objective, front, parse_objective
from stcsim.study.sweeps.grid import Grid
from stcsim.study.sweeps.rows import Row, columns_of, rows_of
from stcsim.study.sweeps.store import WritableStore
from stcsim.study.sweeps.views import Front, Fronts, chosen, fronts_of, planes_of, where_of
from stcsim.study.sweeps.work import Answer
from tests.unit.study.sweeps.studies import figures, grid_in

PLANE = """
arch: [a100, t4]
marks: h100
trace: [resnet34, bert-base]
axes: {sm.count: [x1, x1.5], l2.capacity_mib: [40, 80, 120]}
constraints: [best_watts <= 400]
objectives: [min best_us, min best_uj]
"""
SMS, L2 = "sm.count", "l2.capacity_mib"


def filled(folder: Path, text: str = PLANE) -> tuple[Grid, list[Row]]:
    """Return a study whose cells have times 1000, 1001, … in their order, energies that fall, and its rows."""
    grid, path = grid_in(folder, text), folder / "s.sqlite"
    with WritableStore(path) as store:
        for at, cell in enumerate(grid):
            known = {"best_us": 1000.0 + at, "best_us_low": 900.0 + at, "best_us_high": 1100.0 + at, "best_uj": 5000.0 - at}
            store.add([Answer(cell.key, figures(**known, best_watts=450.0 if at == 2 else 300.0))])
        return grid, list(rows_of(grid, store))


def test_a_row_says_what_a_cell_is_and_whether_it_counts(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    assert len(rows) == (2 * 2 * 3 + 1) * 2 and all(tuple(row) == columns_of(grid.study) for row in rows)
    first, third = rows[0], rows[2]
    assert [first[name] for name in ("arch", SMS, f"given.{SMS}", L2, "trace", "batch", "dtype", "fusion", "unchanged")] == [
        *("a100", 108, "x1", 40.0, "resnet34", 1, "fp16", "epilogue", True)
    ]
    assert "given.l2.capacity_mib" not in first  # the file has nothing else for it than its value
    assert (first["feasible"], third["feasible"], third["unchanged"]) == (True, False, False)
    assert rows[-1]["arch"] == "h100" and rows[-1][f"given.{SMS}"] is None and rows[-1]["unchanged"]


def test_cells_that_are_not_done_have_a_state_and_no_figures(tmp_path: Path) -> None:
    grid = grid_in(tmp_path, "{arch: [a100, t4], gemm: 64x64x64, axes: {tensor_core.sparse_kept: x0.5}}")
    waiting, impossible = rows_of(grid, None)
    assert (waiting["state"], waiting["error"], waiting["best_us"], waiting["feasible"]) == ("waiting", None, None, None)
    assert impossible["state"] == "error" and "no number beneath" in str(impossible["error"])


def test_planes_hold_what_they_do_not_draw(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    planes = planes_of(rows, grid.study, SMS, L2, "best_us")
    assert (planes.xs, planes.ys) == (("x1", "x1.5"), ("40", "80", "120"))
    assert [plane.title for plane in planes.planes] == ["a100, resnet34", "a100, bert-base", "t4, resnet34", "t4, bert-base"]
    # 2 networks innermost, then 3 capacities: x1 is 1000, 1002, 1004 and x1.5 is 1006, …; 1002 draws too much
    assert planes.planes[0].values == ((1000.0, 1006.0), (None, 1008.0), (1004.0, 1010.0))
    assert planes.planes[0].spans[0] == (0.1, 100 / 1006)


def test_sizes_of_gemms_may_be_drawn(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path, "{arch: a100, gemm: {m: [1, 2], n: [3, 4], k: [5, 6]}}")
    planes = planes_of(rows, grid.study, "m", "k", "best_us")
    assert (planes.xs, planes.ys) == (("1", "2"), ("5", "6"))
    assert [plane.title for plane in planes.planes] == ["m×3×k", "m×4×k"]
    assert planes.planes[0].values == ((1000.0, 1004.0), (1001.0, 1005.0))


def test_a_plane_is_refused_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    for words, sentence in (
        ((SMS, L2, "best"), "value: expected a figure such as speedup, best_us or best_uj, found 'best'"),
        ((SMS, SMS, "best_us"), "y: expected another column than --x"),
        (("sm.cuont", L2, "best_us"), "x: expected a column of stcsim study export, found 'sm.cuont' (did you mean 'sm.count'?)"),
        ((SMS, L2, "speedup"), "value: expected a cell that is done and meets the constraints, found none with speedup"),
        ((SMS, "m", "best_us"), "y: expected a column of stcsim study export, found 'm'"),
    ):
        with pytest.raises(StcsimError) as error:
            planes_of(rows, grid.study, *words)
        assert sentence in str(error.value)


def test_cells_are_chosen_by_value_or_by_what_the_file_has(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    for text in ("sm.count=x1.5", "sm.count = 162"):
        found = chosen(rows, where_of([text, "trace=bert-base"], grid.study))
        assert {(row[SMS], row["trace"]) for row in found if row["arch"] == "a100"} == {(162, "bert-base")}
    assert len(chosen(rows, where_of(["l2.capacity_mib=80"], grid.study))) == 8
    with pytest.raises(StcsimError, match="where: expected a column and its value, e.g. trace=bert-large, found 'a100'"):
        where_of(["a100"], grid.study)
    with pytest.raises(StcsimError, match="where: expected a column of stcsim study export, found 'gpu'"):
        where_of(["gpu=a100"], grid.study)
    with pytest.raises(StcsimError, match="where: expected at least one cell, found none with trace=vgg16"):
        chosen(rows, where_of(["trace=vgg16"], grid.study))


def test_fronts_are_of_one_network_each_and_name_gpus_as_they_are(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    resnet, bert = fronts_of(rows, grid.study, grid.study.objectives).fronts
    assert (resnet.title, bert.title) == ("resnet34", "bert-base")
    assert resnet.best == tuple(range(len(resnet.rows) - 1))  # times rise as energies fall; the mark is no part of it
    assert len(resnet.rows) == 12 and len(bert.rows) == 13  # one of ResNet's draws too much
    assert [resnet.rows[at]["arch"] for at in resnet.marks] == ["a100", "h100"]
    (one,) = fronts_of(chosen(rows, {"trace": "bert-base"}), grid.study, [Objective("best_us", "min")]).fronts
    assert one.title == "" and one.best == (0,)


def test_of_cells_that_are_alike_the_table_has_the_first() -> None:
    row: Row = {"arch": "a100", "best_us": 1.0, "mark": False, "unchanged": False}
    rows = (row | {SMS: 80}, row | {SMS: 90}, row | {SMS: 100, "best_us": 2.0})
    fronts = Fronts((Objective("best_us", "min"),), (Front("", rows, (0, 1), ()),), (SMS,))
    sheet = pareto_sheet(fronts, "", {})
    assert [(line[SMS], line["alike"]) for line in sheet.row_lines()] == [(80, 2)] and sheet.foot == "2 of 3 cells, min best_us"


def test_fronts_need_objectives_that_cells_have(tmp_path: Path) -> None:
    grid, rows = filled(tmp_path)
    for objectives, sentence in (
        ([], "objectives: expected at least one, e.g. objectives: [max speedup, min best_uj], found none"),
        (
            [parse_objective("max speedup")],
            "expected cells that are done, meet the constraints and have these figures, found none",
        ),
        ([parse_objective("min dram.capacity_gib")], "objectives: expected a column of stcsim study export"),
    ):
        with pytest.raises(StcsimError) as error:
            fronts_of(rows, grid.study, objectives)
        assert sentence in str(error.value)


def test_the_front_is_what_nothing_beats() -> None:
    objectives = (Objective("a", "min"), Objective("b", "max"))
    rows = [
        {"a": 1, "b": 1},
        {"a": 2, "b": 3},
        {"a": 2, "b": 2},
        {"a": 3, "b": 3},
        {"a": 1, "b": 1},
        {"a": None, "b": 9},
        {"a": 0.5},
    ]
    assert front(rows, objectives) == [0, 1, 4]  # equals stay, both; the last two lack a figure


def test_the_front_is_that_of_the_definition_in_three_directions() -> None:
    dice = random.Random(7)
    objectives = (Objective("a", "min"), Objective("b", "max"), Objective("c", "min"))
    rows = [{name: dice.randrange(6) for name in "abc"} for _ in range(150)]
    costs = [(row["a"], -row["b"], row["c"]) for row in rows]
    beaten = [any(other != own and all(x <= y for x, y in zip(other, own, strict=True)) for other in costs) for own in costs]
    assert front(rows, objectives) == [at for at, lost in enumerate(beaten) if not lost]
