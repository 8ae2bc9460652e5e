"""Do results come out as they are asked for: in four forms, into files, and alone on standard output?"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stcsim
from stcsim import cli
from stcsim.result import RunResult
from tests.unit.runs import TOYNET

MMA = "mma.sp.m16n8k32.f32.f16.f16.f32"
SIZES = ("64", "64", "64", "--arch", "a100")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 160 columns, whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command that succeeds prints on standard output; it says nothing else."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert stop.value.code == 0 and captured.err == ""
        return captured.out

    return call


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A table of two measured GEMMs."""
    path = tmp_path / "measured.csv"
    rows = ("arch,sparsity,dtype,m,n,k,time_us", "a100,dense,fp16,256,128,512,5", "a100,2:4,fp16,256,128,512,4")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


#: A command that prints a result, and the schema of its document.
COMMANDS = {
    "gemm": (("gemm", *SIZES), "run-1"),
    "explain": (("explain", *SIZES), "explain-1"),
    "curve": (("curve", "--gemm", "64x64xk", "--over", "k=64,128", "--arch", "a100"), "curve-1"),
    "compare": (("compare", "64x64x64", "--arch", "a100,h100"), "compare-1"),
    "sensitivity": (("sensitivity", "64x64x64", "--arch", "a100"), "sensitivity-1"),
    "whatif": (
        ("whatif", "64x64x64", "--arch", "a100", "--target", "best_us <= 2", "--vary", "launch,clock"),
        "whatif-1",
    ),
    "arch": (("arch",), "archs-1"),
    "arch a100": (("arch", "a100"), "arch-1"),
    "traces": (("traces",), "traces-1"),
    "kernels": (("kernels", "--arch", "a100"), "kernels-1"),
    "microbench": (("microbench", MMA, "--arch", "a100"), "microbench-1"),
    "mma": (("mma", MMA, "--arch", "a100"), "mma-1"),
    "mma of integers": (("mma", "mma.m16n8k32.s32.s8.s8.s32"), "mma-1"),
    "reproduce": (("reproduce",), "studies-1"),
    "reproduce storage": (("reproduce", "storage"), "reproduce-1"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_result_is_printed_in_four_forms(name: str, printed: Callable[..., str]) -> None:
    command, schema = COMMANDS[name]
    document = json.loads(printed(*command, "--format", "json"))
    assert list(document)[:2] == ["schema", "stcsim"] and document["schema"] == f"stcsim/{schema}"
    assert document["stcsim"] == stcsim.__version__ and ("inputs" in document or "studies" in document)
    table = list(csv.reader(io.StringIO(printed(*command, "-f", "CSV"))))
    assert len(table) > 1 and {len(row) for row in table} == {len(table[0])}
    markdown, shown = printed(*command, "--format", "markdown"), printed(*command)
    assert "\x1b" not in markdown and "─" not in re.sub("```.*?```", "", markdown, flags=re.DOTALL)
    assert shown == printed(*command, "--format", "table") != markdown


@pytest.mark.parametrize("name", ["run", "roofline"])
def test_networks_too(name: str, toy: Path, printed: Callable[..., str]) -> None:
    command = (name, toy, "--arch", "a100")
    assert json.loads(printed(*command, "--json", "-"))["schema"] == f"stcsim/{name}-1"
    assert printed(*command, "--format", "csv") == printed(*command, "--csv", "-")
    assert "| fc |" in printed(*command, "--format", "markdown")


def test_measured_rows_too(measured: Path, tmp_path: Path, printed: Callable[..., str]) -> None:
    document = json.loads(printed("validate", measured, "--format", "json"))
    assert document["schema"] == "stcsim/validate-1" and document["inputs"]["archs"]["a100"]["name"] == "a100"
    lines = list(csv.DictReader(io.StringIO(printed("validate", measured, "--csv", "-"))))
    assert [float(line["predicted_us"]) for line in lines] == [row["predicted_us"] for row in document["rows"]]
    assert "| GPU |" in printed("validate", measured, "--format", "markdown")


def test_the_former_names_of_options_are_understood(measured: Path, tmp_path: Path, printed: Callable[..., str]) -> None:
    printed("validate", measured, "--rows", tmp_path / "old.csv", f"--report={tmp_path / 'old.svg'}")
    printed("validate", measured, "--csv", tmp_path / "new.csv")
    assert (tmp_path / "old.csv").read_text() == (tmp_path / "new.csv").read_text() and (tmp_path / "old.svg").exists()
    stream = json.loads(printed("gemm", *SIZES, "--timing", "STREAM", "--json", "-"))
    assert stream["inputs"]["launch"] == "stream"


def test_json_alone_stands_on_standard_output(toy: Path, called: dict[str, object], printed: Callable[..., str]) -> None:
    assert RunResult.from_dict(json.loads(printed("run", toy, "--arch", "a100", "--json", "-"))) == TOYNET


def test_files_and_a_form_go_together(toy: Path, tmp_path: Path, called: dict[str, object], printed: Callable[..., str]) -> None:
    out = printed("run", toy, "--arch", "a100", "--csv", tmp_path / "run.csv", "--format", "json")
    assert json.loads(out)["trace"] == "toynet" and (tmp_path / "run.csv").read_text().startswith("name,kind,m,n,k,")
    out = printed("run", toy, "--arch", "a100", "--json", tmp_path / "run.json")
    assert "toynet on a100" in out and RunResult.load(tmp_path / "run.json") == TOYNET


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--json", "-", "--csv", "-"), "--json -: expected one thing on standard output, found --csv - beside it"),
        (("--csv", "-", "-f", "json"), "--csv -: expected one thing on standard output, found --format json beside it"),
        (("--format", "yaml"), "--format: expected one of table, json, csv, markdown, found 'yaml'"),
        (("--format", "md"), "--format: expected one of table, json, csv, markdown, found 'md' (did you mean 'markdown'?)"),
    ],
)
def test_one_thing_on_standard_output(options: tuple[str, ...], sentence: str, refused: Callable[..., str]) -> None:
    assert refused("arch", *options) == sentence


def test_a_terminal_of_ascii_gets_json_that_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", latin)
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "--format", "json"])
    latin.flush()
    text = latin.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "\\u" in text and "?" not in json.loads(text)["rows"][0]["claim"]


def test_the_schema_is_printed(printed: Callable[..., str], refused: Callable[..., str]) -> None:
    schema: dict[str, Any] = json.loads(printed("schema", "run"))
    assert schema["$id"] == "urn:stcsim:run-1" and "LayerRow" in schema["$defs"]
    assert refused("schema", "ran") == "schema: expected one of run, run-1, found 'ran' (did you mean 'run'?)"


def test_kernels_are_those_of_the_gpu_and_the_type(printed: Callable[..., str]) -> None:
    command = ("kernels", "--arch", "H100", "--dtype", "fp8", "--sparsity", "2:4", "--csv", "-")
    lines = list(csv.DictReader(io.StringIO(printed(*command))))
    assert {line["side"] for line in lines} == {"2:4"} and all(line["name"].startswith("sm90_sp_") for line in lines)
    assert {"tile_m", "tile_n", "k_bytes", "stages", "warps", "cluster", "max_splits", "swizzle"} <= set(lines[0])
    patches = printed("kernels", "--arch", "a100", "--dtype", "int8", "--conv")
    assert patches.startswith("kernels for convolutions on a100 in int8: ") and "pixels 8x16" in patches
