"""Does a saved result come back, does its schema say what it is, and do its lines have the names of its document?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stcsim
from stcsim.errors import StcsimError
from stcsim.result import Gains, RunResult
from stcsim.result import document as documents
from stcsim.result.run import SCHEMA
from stcsim.result.schema import generate, schema_names, schema_text
from tests.unit.runs import TOYNET
from tests.unit.small_networks import residual_block

FILE = Path(generate.__file__).with_name(f"{SCHEMA}.json")


@pytest.fixture(scope="module")
def block() -> RunResult:
    """A run of a small network, with memory steps, of which one kernel was asked what would help."""
    result = stcsim.run(residual_block(), "a100", dtype="int8", keep_dense="last")
    result.rows[0].chosen.gains.look()
    return result


@pytest.fixture(scope="module")
def one() -> RunResult:
    return stcsim.gemm(256, 128, 512, "t4", out_dtype="fp32")


@pytest.fixture
def valid() -> Callable[[Any], list[str]]:
    """What the schema has against a document."""
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema_text("run")))

    def faults(document: Any) -> list[str]:
        return [error.message for error in validator.iter_errors(json.loads(json.dumps(document)))]

    return faults


def pairs(value: Any, path: str = "") -> dict[str, Any]:
    """Return every figure of a row of a document under its path."""
    if isinstance(value, dict):
        return {name: each for key, part in value.items() for name, each in pairs(part, f"{path}.{key}" if path else key).items()}
    return {path: value}


# --- back again


@pytest.mark.parametrize("name", ["block", "one"])
def test_a_saved_result_is_the_same_when_it_is_loaded(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    result: RunResult = request.getfixturevalue(name)
    result.save(tmp_path / "run.json")
    loaded = RunResult.load(tmp_path / "run.json")
    assert loaded == result and loaded.to_dict() == result.to_dict() and repr(loaded) == repr(result)
    assert stcsim.rerun(loaded.inputs) == result


def test_what_would_help_is_saved_where_it_was_looked_for(block: RunResult, tmp_path: Path) -> None:
    block.save(tmp_path / "run.json")
    first, *_, last = RunResult.load(str(tmp_path / "run.json")).rows
    assert dict(first.chosen.gains) == dict(block.rows[0].chosen.gains) and first.chosen.bound == block.rows[0].chosen.bound
    with pytest.raises(StcsimError, match="^gains: expected a result that was saved after they were looked at"):
        _ = last.chosen.bound


def change(document: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """Return a copy of a document with one value replaced, or left out if it is ``...``."""
    copied = json.loads(json.dumps(document))
    place = copied
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return copied  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "to", "sentence"),
    [
        (("schema",), "stcsim/run-2",
         "result: schema: expected 'stcsim/run-1', the one that this version reads, found 'stcsim/run-2'"),
        (("schema",), ..., "result: expected a result of stcsim run (schema stcsim/run-1), found none"),
        (("rows", 0, "m"), ..., "result: rows[0]: m: expected a value, found no such field"),
        (("rows", 0, "m"), "8", "result: rows[0]: m: expected a whole number, found '8'"),
        (("rows", 0, "dense", "time_us"), None, "result: rows[0]: dense: time_us: expected a number, found None"),
        (("rows", 0, "dense", "breakdown"), [], "result: rows[0]: dense: breakdown: expected an object, found []"),
        (("rows", 0, "fused"), "relu", "result: rows[0]: fused: expected a list, found 'relu'"),
        (("totals", "clock_is_limited"), 1, "result: totals: clock_is_limited: expected true or false, found 1"),
        (("totals", "speedo"), 1,
         "result: totals: speedo: expected a field of a Totals, found 'speedo' (did you mean 'speedup'?)"),
        (("totals",), 7, "result: totals: expected an object with the fields of a Totals, found 7"),
        (("arch",), 7, "result: arch: expected a text, found 7"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_refused(block: RunResult, path: tuple[Any, ...], to: Any, sentence: str) -> None:
    with pytest.raises(StcsimError) as refused:
        RunResult.from_dict(change(block.to_dict(), *path, to=to))
    assert str(refused.value) == sentence


def test_files_that_are_no_results(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(StcsimError, match="expected a file that can be read, found No such file"):
        RunResult.load(path)
    for text, found in (("hello", "expected JSON, found something else"), ("[]", "schema stcsim/run-1., found none")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StcsimError, match=found):
            RunResult.load(path)
    with pytest.raises(StcsimError, match="expected a file that can be written"):
        TOYNET.save(tmp_path / "none" / "run.json")


# --- the schema


def test_the_schema_is_that_of_the_classes() -> None:
    written = json.loads(FILE.read_text(encoding="utf-8"))
    assert generate.run_schema() == written, "python -m stcsim.result.schema.generate writes it anew; does it need a new number?"


def test_every_field_of_the_schema_is_described() -> None:
    schema = json.loads(schema_text("run-1"))
    described = [each for kind in (schema, *schema["$defs"].values()) for each in kind["properties"].items()]
    assert len(described) > 150 and not [name for name, each in described if not each["description"]]


@pytest.mark.parametrize("name", ["block", "one"])
def test_documents_are_what_the_schema_says(name: str, valid: Callable[[Any], list[str]], request: pytest.FixtureRequest) -> None:
    assert valid(request.getfixturevalue(name).to_dict()) == []


def test_the_schema_refuses_what_is_none(block: RunResult, valid: Callable[[Any], list[str]]) -> None:
    document = block.to_dict()
    assert valid(change(document, "rows", 0, "m", to="8")) and valid(change(document, "totals", "best_us", to=...))
    assert valid(change(document, "speedup", to=2)) and valid(change(document, "schema", to="stcsim/run-2"))
    assert valid(change(document, "inputs", "gemm", to={})) == [] and valid(change(document, "inputs", "trace", to=...))


def test_schemas_are_found_with_and_without_their_version() -> None:
    assert SCHEMA in schema_names() and schema_text("run") == schema_text("RUN-1")
    with pytest.raises(StcsimError, match=r"^schema: expected one of run, run-1, found 'ran' \(did you mean 'run'"):
        schema_text("ran")


# --- lines


def test_columns_are_paths_of_the_document(block: RunResult) -> None:
    document = json.loads(block.to_json())
    rows = [pairs(row) for row in (*document["rows"], *document["memory"])]
    for line, row in zip(block.lines(), rows, strict=True):
        texts = {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()}
        assert {name: texts[name] for name in line if name in texts} == {name: line[name] for name in line if name in texts}
        assert [name for name in line if name not in texts] == ["partial"] and line["partial"] is None
    names = set().union(*block.lines())
    assert {"dense.time_us", "sparse.breakdown.tensor", "speedup_interval.low", "chosen.watts", "operator"} <= names


def test_a_side_that_some_rows_lack_is_no_column_itself() -> None:
    lines = TOYNET.lines()
    assert "sparse" in lines[0] and "sparse" not in documents.columns(lines)
    table = list(csv.DictReader(io.StringIO(documents.csv_text(lines))))
    assert table[0]["sparse.time_us"] == "" and table[1]["sparse.time_us"] == "18.0"


def test_lines_become_a_data_frame(block: RunResult) -> None:
    pytest.importorskip("pandas")
    frame = block.to_dataframe()
    assert list(frame["name"]) == [row.name for row in (*block.rows, *block.memory)]
    assert frame["dense.time_us"][0] == block.rows[0].dense.time_us  # type: ignore[union-attr]


def test_without_pandas_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr("stcsim.result.run.find_spec", lambda name: None)
    with pytest.raises(StcsimError) as refused:
        TOYNET.to_dataframe()
    assert str(refused.value) == "to_dataframe: expected pandas (pip install 'stcsim[pandas]'), found none"


# --- one line


def test_a_result_shows_itself_in_one_line() -> None:
    totals = dataclasses.replace(TOYNET.totals, dense_us=1154.25, sparse_us=772.0, best_us=766.0, speedup=1.507)
    shown = repr(dataclasses.replace(TOYNET, totals=totals))
    likely = totals.speedup_interval
    assert likely is not None
    times = "dense 1,154.2 µs, 2:4 772.0 µs, best 766.0 µs"
    assert shown == f"RunResult(toynet on a100, fp16, batch 8: {times}, 1.51× ({likely.low:.2f}–{likely.high:.2f}))"


def test_a_dense_run_shows_no_speedup(one: RunResult) -> None:
    assert repr(one).startswith("RunResult(gemm 256x128x512 on t4, fp16, batch 1: dense ") and "×" not in repr(one)
    assert one.pattern == "2:4" and Gains.saved({"l2": 0.1}, {"l2": 0.2}).bound == "l2"
