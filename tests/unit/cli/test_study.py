"""`stcsim study`: one study run, looked at, exported and drawn; and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim.study.sweeps.reading import load_study
from stcsim.study.sweeps.rows import columns_of
from stcsim.study.sweeps.store import WritableStore

Ran = Callable[..., str]
Refused = Callable[..., str]

STUDY = """
title: A small study
arch: a100
marks: h100
gemm: [256x64x256, 512x512x512]
axes: {sm.count: [x1, x1.5], l2.bandwidth_bytes_per_clk: [x1, x2]}
constraints: [best_watts <= 10000]
objectives: [min best_us, min best_uj]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run."""
    from stcsim.study.sweeps.crews import crew_of
    from stcsim.study.sweeps.grid import Grid
    from stcsim.study.sweeps.run import run_study

    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(STUDY, encoding="utf-8")
    with WritableStore(path.with_suffix(".sqlite")) as store, crew_of() as crew:
        run_study(Grid(load_study(path)), store, crew)
    return path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A study that was not."""
    path = tmp_path / "s.yaml"
    path.write_text(STUDY + "dtype: [fp16, fp8]\n", encoding="utf-8")
    return path


def test_a_study_is_run_and_says_how_it_went(fresh: Path, capsys: pytest.CaptureFixture[str], ran: Ran) -> None:
    assert counts(ran("study", "status", fresh, "--format", "json")) == {"done": 0, "waiting": 20}
    with pytest.raises(SystemExit) as stop:
        from stcsim import cli

        cli.main(["study", "run", str(fresh), "--format", "json"])
    printed = capsys.readouterr()
    assert stop.value.code == 0 and counts(printed.out) == {"done": 12, "error": 8}
    assert "20 cells were run, 8 of them into an error, in " in printed.err
    table = ran("study", "status", fresh)
    assert table.startswith("A small study\n") and "a100: expected a type of its tensor cores" in table
    ran("study", "run", fresh)
    ran("study", "run", fresh, "--retry")


def counts(printed: str) -> dict[str, int]:
    document = json.loads(printed)
    assert document["schema"] == "stcsim/study-status-1" and document["inputs"]["study"].endswith(".yaml")
    return {row["state"]: row["cells"] for row in document["rows"]}


def test_a_study_that_is_done_has_nothing_left_to_run(finished: Path, capsys: pytest.CaptureFixture[str], ran: Ran) -> None:
    from stcsim import cli

    with pytest.raises(SystemExit):
        cli.main(["study", "run", str(finished)])
    assert capsys.readouterr().err == "stcsim: nothing was left to run\n"


def test_an_export_has_one_line_for_each_cell(finished: Path, tmp_path: Path, ran: Ran) -> None:
    printed = ran("study", "export", finished)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) == 10 and tuple(rows[0]) == columns_of(load_study(finished))
    assert [row["arch"] for row in rows] == ["a100"] * 8 + ["h100"] * 2
    assert (rows[2]["given.l2.bandwidth_bytes_per_clk"], rows[2]["m"], rows[2]["state"], rows[2]["feasible"]) == (
        *("x2", "256", "done", "True"),
    )
    assert float(rows[2]["l2.bandwidth_bytes_per_clk"]) == 2 * float(rows[0]["l2.bandwidth_bytes_per_clk"])
    ran("study", "export", finished, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json")
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == printed
    document = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert document["schema"] == "stcsim/study-1" and len(document["rows"]) == 10
    assert str(document["rows"][3]["best_us"]) == rows[3]["best_us"]


def test_an_export_is_what_a_run_of_the_same_cell_says(finished: Path, ran: Ran) -> None:
    row = list(csv.DictReader(io.StringIO(ran("study", "export", finished, "--where", "arch=h100", "--where", "m=512"))))[0]
    single = json.loads(ran("gemm", "512x512x512", "--arch", "h100", "--format", "json"))
    totals, trust = single["totals"], single["trust"]
    assert {name: str(totals[name]) for name in ("dense_us", "sparse_us", "best_us", "best_uj", "macs")}.items() <= row.items()
    assert (row["speedup_low"], row["verdict"]) == (str(totals["speedup_interval"]["low"]), trust["verdict"])


def test_an_export_in_parquet_has_types_and_always_the_same_bytes(finished: Path, tmp_path: Path, ran: Ran) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("a", "b"):
        ran("study", "export", finished, "--parquet", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    table = parquet.read_table(tmp_path / "a")
    assert table.num_rows == 10 and tuple(table.column_names) == columns_of(load_study(finished))
    kinds = {name: str(table.schema.field(name).type) for name in ("arch", "m", "sm.count", "fusion", "fits", "error", "best_us")}
    assert kinds == {
        "arch": "string",
        "m": "int64",
        "sm.count": "int64",
        "fusion": "string",
        "fits": "bool",
        "error": "string",
        "best_us": "double",
    }


def test_without_pyarrow_parquet_is_one_sentence(finished: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setattr("stcsim.study.sweeps.parquet.find_spec", lambda name: None)
    sentence = refused("study", "export", finished, "--parquet", "out.parquet")
    assert sentence == "--parquet: expected pyarrow (pip install 'stcsim[data]'), found none"


def test_a_table_shows_what_tells_cells_apart_and_what_is_asked_for(finished: Path, ran: Ran, refused: Refused) -> None:
    words = ("study", "table", finished, "--columns", "best_us,speedup", "--where", "m=512")
    document = json.loads(ran(*words, "--format", "json"))
    assert document["schema"] == "stcsim/study-table-1"
    assert list(document["rows"][0]) == ["arch", "sm.count", "l2.bandwidth_bytes_per_clk", "best_us", "speedup"]
    assert len(document["rows"]) == 5 and ran(*words).splitlines()[0] == "A small study"
    assert "--columns: expected a column of stcsim study export, found 'speed'" in refused(*words[:3], "--columns", "speed")


def test_a_front_is_a_table_and_a_figure(finished: Path, tmp_path: Path, ran: Ran) -> None:
    table = ran("study", "pareto", finished, "--figure", tmp_path / "front.svg")
    assert table.splitlines()[-1].endswith("of 8 cells, min best_us, min best_uj") and "h100" not in table
    drawn = (tmp_path / "front.svg").read_text(encoding="utf-8")
    for text in ("A small study", "a100", "h100", "256×64×256", "GPUs as they are", "time, best of both (µs)"):
        assert text in drawn
    document = json.loads(ran("study", "pareto", finished, "--objective", "max best_tops", "--format", "json"))
    assert document["schema"] == "stcsim/study-pareto-1" and len(document["rows"]) >= 2


def test_a_plane_is_drawn_for_each_network(finished: Path, tmp_path: Path, ran: Ran) -> None:
    words = ["study", "plot", finished, "--x", "sm.count", "--y", "l2.bandwidth_bytes_per_clk", "--value", "best_us"]
    ran(*words, "--figure", tmp_path / "plane.svg")
    drawn = (tmp_path / "plane.svg").read_text(encoding="utf-8")
    for text in ("A small study", "sm.count", "x1.5", "512×512×512", "80 % of measurements within ±"):
        assert text in drawn
    ran(*words, "--where", "m=512", "--figure", tmp_path / "one.svg")
    assert "512×512×512" not in (tmp_path / "one.svg").read_text(encoding="utf-8")


def test_figures_that_cannot_be_drawn_offer_another_form(tmp_path: Path, finished: Path, refused: Refused) -> None:
    from stcsim.errors import StcsimError
    from stcsim.report.figures.pareto import write_pareto_figure
    from stcsim.report.figures.planes import write_planes_figure
    from stcsim.study.sweeps.criteria import Objective
    from stcsim.study.sweeps.views import Front, Fronts, Plane, Planes

    plane = Plane("", ((1.0,),), ((None,),))
    with pytest.raises(StcsimError, match=r"at most 24 heat maps \(--where .*; stcsim study export has all\), found 25"):
        write_planes_figure(Planes("a", "b", "best_us", ("1",), ("1",), (plane,) * 25), "", tmp_path / "a.png")
    front = Front("", ({"a": 1.0, "b": 1.0, "unchanged": False},), (0,), ())
    two = (Objective("a", "min"), Objective("b", "min"))
    with pytest.raises(StcsimError, match="at most 12 networks or GEMMs .*; the table and --csv have all.*, found 13"):
        write_pareto_figure(Fronts(two, (front,) * 13, ()), "", tmp_path / "a.png")
    sentence = refused("study", "pareto", finished, "--objective", "min best_us", "--figure", tmp_path / "a.png")
    assert sentence == "--figure: expected two objectives to draw (the table and --csv take any number), found 1"


def test_bad_studies_are_one_sentence_each(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "s.yaml"
    for text, sentence in (
        ("{arch: a100, gemm: 64x64x64, axes: {sm.cuont: x2}}", "did you mean 'sm.count'"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: []}}", "s.yaml: axes: sm.count: expected at least one value"),
        (
            "{arch: a100, gemm: {m: '1..1000:1', n: '1..1000:1', k: '1..1000:1'}}",
            "study: expected at most 200,000 cells (fewer values, several studies, or stcsim study search), found 1,000,000,000",
        ),
    ):
        path.write_text(text, encoding="utf-8")
        assert sentence in refused("study", "run", path)
        assert [each.name for each in tmp_path.iterdir()] == ["s.yaml"]


def test_stores_that_cannot_be_used_are_one_sentence_each(fresh: Path, refused: Refused) -> None:
    store = fresh.with_suffix(".sqlite")
    assert "expected a store that stcsim study run has made, found no such file" in refused("study", "export", fresh)
    with WritableStore(store):
        assert "expected a store that no other process writes to" in refused("study", "run", fresh)
    with sqlite3.connect(store) as database:
        database.execute("PRAGMA user_version = 99")
    for command in ("run", "status", "export", "pareto"):
        assert "expected a store of schema 1, which this version of stcsim reads" in refused("study", command, fresh)


def test_a_search_prints_its_front_and_draws_it(tmp_path: Path, finished: Path, ran: Ran) -> None:
    pytest.importorskip("optuna", reason="needs Optuna (pip install 'stcsim[search]')")
    store = tmp_path / "s.sqlite"
    document = json.loads(
        ran("study", "search", finished, "--trials", 6, "--store", store, "--format", "json", "--figure", tmp_path / "f.svg")
    )
    assert document["schema"] == "stcsim/study-pareto-1" and document["inputs"]["trials"] == 6 and document["rows"]
    assert "GPUs as they are" in (tmp_path / "f.svg").read_text(encoding="utf-8")
