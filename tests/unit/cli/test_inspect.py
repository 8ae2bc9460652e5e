"""Does ``stcsim inspect`` print what it found, in every form, and does ``run --pruned-as`` say what it did not match?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stcsim.cli import entry
from tests.unit.checkpoints import drawn, pruned, write, write_raw
from tests.unit.small_networks import network, square


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 160 columns, whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Two blocks, one weight of them 2:4 and one with three groups off, a filter pruned the other way, a NaN, an embedding."""
    nearly = pruned(256, 64)
    nearly[:3, 4:8] = 1
    bad = pruned(32, 64)
    bad[3, 5] = np.nan
    return write(
        tmp_path / "model.safetensors",
        {
            "l.0.up.weight": pruned(256, 64),
            "l.1.up.weight": nearly,
            "l.0.down.weight": drawn(64, 256),
            "l.1.down.weight": drawn(64, 256, seed=1),
            "conv.weight": pruned(8, 144).reshape(8, 16, 3, 3),
            "bad.weight": bad,
            "embed_tokens.weight": drawn(100, 64),
            "norm.weight": drawn(64),
        },
    )


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stop:
        entry.main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    return out, err


def test_the_table_says_what_is_there_and_the_verdict(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "inspect", checkpoint)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert err == "" and lines[0].endswith("8 tensors, 6 weights of GEMMs")
    assert any(line.startswith("l.*.down ×2 64×256 fp16 fp16 dense k 100 % 0 7") for line in lines)
    assert any(line.startswith("l.0.up 256×64 fp16 fp16 2:4 k 0 50 % 100 % 100 % 32.0 → 18.0 KiB") for line in lines)
    assert any(line.startswith("l.1.up 256×64 fp16 fp16 nearly k 3 ") for line in lines)
    assert any(line.startswith("conv 8×144 fp16 fp16 other way c,r,s 0 50 %") for line in lines)
    assert any(line.startswith("bad 32×64") and line.endswith("1 of its elements are NaN") for line in lines)
    assert "l.1.up.weight: 3 of 4,096 groups off, the first at [0, 4]" in lines
    assert "bad.weight: 1 NaN, the first at [3, 5]" in lines
    assert "c,r,s: 2:4 in the order of the file; a kernel adds up r,s,c, channels within each tap, so it cannot use that" in lines
    assert "not weights of GEMMs: 1 (an embedding: rows are looked up, not multiplied): embed_tokens.weight" in lines
    assert lines[-2].startswith(
        "This file is 2:4 in 1 of 6 weight matrices (24 % of their elements), 1 nearly so (3 groups off),"
    )
    assert lines[-1].endswith("--arch and --tokens say what that brings.")
    ungrouped, _ = printed(capsys, "inspect", checkpoint, "--ungroup")
    assert "l.0.down " in ungrouped and "l.*" not in ungrouped


def test_gains_are_printed_for_every_gpu_and_number_of_tokens(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capsys, "inspect", checkpoint, "--arch", "a100,h100", "--tokens", "1,512")
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(("a100 ", "h100 "))]
    assert rows == [["a100", "1"]] * 2 + [["a100", "512"]] * 2 + [["h100", "1"]] * 2 + [["h100", "512"]] * 2
    assert "convolutions as GEMMs of so many output positions: a file does not say how many there are" in out


def test_a_document_holds_every_figure_and_a_line_every_tensor(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capsys, "inspect", checkpoint, "--arch", "a100", "--tokens", "64", "--format", "json", "--permute")
    document = json.loads(out)
    assert document["schema"] == "stcsim/inspect-1" and document["totals"]["weights"] == {"all": 6, "eligible": 5, "pruned": 1}
    assert document["inputs"] == {
        "checkpoint": str(checkpoint), "arch": ["a100"], "tokens": [64], "dtype": None, "permute": True, "weights": [],
    }  # fmt: skip
    assert [gain["what"] for gain in document["gains"]] == ["as it is", "all pruned that may be"]
    weights = {weight["name"]: weight for weight in document["weights"]}
    assert weights["l.0.down.weight"]["kept_permuted"] >= weights["l.0.down.weight"]["kept"]
    assert document["totals"]["nan"] == 1 and document["verdict"].startswith("This file is 2:4 in 1 of 6")
    assert {each["name"] for each in document["others"]} == {"embed_tokens.weight", "norm.weight"}
    out, _ = printed(capsys, "inspect", checkpoint, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 8 and rows[0]["name"] == "l.0.up.weight" and rows[0]["state"] == "2:4"
    out, _ = printed(capsys, "inspect", checkpoint, "--format", "markdown", "--weights", "l.0.*")
    assert "| weight | m×k |" in out and "**This file is 2:4 in 1 of 2 weight matrices" in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.pt", b"\x80\x04K\x01.", "found a pickle ('.pt'), which runs code when it is read; save it with"),
        ("empty.safetensors", b"", "expected a safetensors file, found an empty file"),
        (
            "short.safetensors",
            (500).to_bytes(8, "little") + b"{}",
            "expected a header of 500 bytes, found a file that ends after 2",
        ),
        ("huge.safetensors", (200_000_000).to_bytes(8, "little") + b"{}", "found one that says it has 200,000,000 bytes"),
        ("model.npz", b"PK", "expected an archive of numpy (.npz), found no zip archive"),
        ("model.onnx", b"", "expected an ONNX model, found an empty file"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, refused: Callable[..., str], name: str, content: bytes, message: str
) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
    (tmp_path / name).write_bytes(content)
    assert message in refused("inspect", tmp_path / name)


def test_shapes_and_folders_and_words_that_do_not_fit_are_one_sentence(
    tmp_path: Path, checkpoint: Path, refused: Callable[..., str]
) -> None:
    entries = {"a": {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 30]}}
    wrong = write_raw(tmp_path / "wrong.safetensors", entries, bytes(30))
    assert "a: data_offsets: expected 32 bytes, for F16 of shape (4, 4), found 30" in refused("inspect", wrong)
    (tmp_path / "folder").mkdir()
    assert "expected a folder with model.safetensors" in refused("inspect", tmp_path / "folder")
    assert "found no such file" in refused("inspect", tmp_path / "nowhere.safetensors")
    assert (
        refused("inspect", checkpoint, "--tokens", "0", "--arch", "a100") == "--tokens: expected a whole number above 0, found 0"
    )
    assert "--tokens: expected a whole number above 0, found 'x'" in refused("inspect", checkpoint, "--tokens", "x")
    assert "did you mean 'h100'" in refused("inspect", checkpoint, "--arch", "h10o")
    assert "--weights: expected the name of a tensor" in refused("inspect", checkpoint, "--weights", "nothing")


def test_a_run_says_what_it_did_not_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    trace = tmp_path / "small.json"
    network(square("a"), square("b"), square("c")).save(trace)
    path = write(tmp_path / "w.safetensors", {"a.weight": pruned(64, 64), "b.weight": drawn(64, 64), "z.weight": drawn(64, 64)})
    out, err = printed(capsys, "run", trace, "--arch", "a100", "--pruned-as", path)
    assert err.splitlines() == [
        f"stcsim: 1 layer (c) without a weight in {path}, dense",
        f"stcsim: 1 name (z.weight) of {path} without a layer in small",
    ]
    assert "as pruned" in out and "1 of 3" in out and "2  not among the layers that are pruned" in out
    write(path, {"a.weight": drawn(64, 64), "b.weight": drawn(64, 64), "c.weight": drawn(64, 64)})
    _, err = printed(capsys, "run", trace, "--arch", "a100", "--pruned-as", path)
    assert err == f"stcsim: no layer of small is 2:4 in {path}\n"
    assert "of layer names, found no such file" in refused("run", trace, "--arch", "a100", "--pruned-as", tmp_path / "list")
    (tmp_path / "list").write_text("b\n", encoding="utf-8")
    out, err = printed(capsys, "run", trace, "--arch", "a100", "--pruned-as", tmp_path / "list", "--format", "json")
    assert err == "" and json.loads(out)["inputs"]["pruned_as"] == ["b"]
