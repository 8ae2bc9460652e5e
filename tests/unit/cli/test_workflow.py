"""`stcsim workflow`: its table, its files, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip("modelopt", reason="needs nvidia-modelopt")
pytest.importorskip("sklearn")

from stcsim import cli
from tests.unit.workflow.recipes import tiny

Refused = Callable[..., str]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A file with a recipe of some steps."""
    path = tmp_path / "tiny.yaml"
    fields = tiny()
    del fields["stages"]["sparse-qat"]
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return path


def test_one_table_shows_scores_beside_times(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv", "png")}
    words = ["--out", tmp_path / "kept", "--json", files["json"], "--csv", files["csv"], "--figure", files["png"]]
    with pytest.raises(SystemExit) as stop:
        cli.main(["workflow", *map(str, [recipe, "--batch", "32", *words])])
    assert stop.value.code == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "tiny: a few steps on digits; accuracy, %, 40 samples tested on"
    for part in ("expanded", "a100, 80 %", "h100", "a pass of 32 samples", "too small to gain from it"):
        assert part in printed.out
    body = [line.split() for line in lines if line.startswith(("trained", "one-shot", "retrained"))]
    assert [tuple(line[:3]) for line in body[3:6]] == [("one-shot", "2:4", each) for each in ("fp16", "int8", "fp8")]
    document = json.loads(files["json"].read_text())
    assert document["schema"] == "stcsim/workflow-1" and len(document["rows"]) == 9 and document["inputs"]["data_sha256"]
    with files["csv"].open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 9 and rows[0]["a100.dense_us"] and rows[0]["fp32.value"]
    assert files["png"].read_bytes().startswith(b"\x89PNG") and printed.err == ""


def test_a_recipe_with_a_typo_is_one_sentence(recipe: Path, refused: Refused) -> None:
    recipe.write_text(recipe.read_text().replace("steps:", "stepz:", 1), encoding="utf-8")
    assert refused("workflow", recipe).startswith("tiny.yaml: stages: trained: ")


def test_what_is_no_recipe_no_gpu_or_no_folder_is_one_sentence(recipe: Path, tmp_path: Path, refused: Refused) -> None:
    assert "did you mean 'mnist1d'?" in refused("workflow", "mnist1")
    assert "did you mean 'a100'?" in refused("workflow", recipe, "--arch", "a1000")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    assert refused("workflow", recipe, "--out", tmp_path / "full").startswith(
        f"--out {tmp_path / 'full'}: expected a new or empty"
    )
    assert refused("workflow", recipe, "--order", "promot=4").startswith("--order: ")


def test_missing_libraries_are_one_sentence(recipe: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.workflow.modelopt.find_spec", lambda name: None)
    assert refused("workflow", recipe) == (
        "stcsim workflow: expected nvidia-modelopt and requests (pip install 'stcsim[workflow]'), found none"
    )


def test_missing_torch_is_one_sentence(recipe: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = "stcsim workflow: expected PyTorch and ModelOpt (pip install 'stcsim[workflow]'), found none"
    assert refused("workflow", recipe) == expected
