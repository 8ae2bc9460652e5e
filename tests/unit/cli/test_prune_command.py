"""Does ``stcsim prune`` print, in every form, what was pruned and why the rest was not?"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stcsim.cli import entry
from tests.unit.checkpoints import drawn, write, write_raw


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of two MLPs and a head, in a terminal of 130 columns."""
    monkeypatch.setenv("COLUMNS", "130")
    arrays = {f"h.{at}.{name}.weight": drawn(*shape) for at in (0, 1) for name, shape in (("fc1", (64, 16)), ("fc2", (16, 64)))}
    return write(tmp_path / "in.safetensors", {**arrays, "lm_head.weight": drawn(8, 16), "norm.weight": drawn(16)})


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        entry.main(["prune", *map(str, arguments)])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_alike_weights_share_a_line_below_a_sentence_on_all(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, source, "-o", source.with_name("out.safetensors"))
    lines = out.splitlines()
    assert re.fullmatch(
        r"Pruned to 2:4: 4 of 5 weights, of whose magnitude \d\d\.\d % stays; 8\.00 → 4\.50 KiB compressed\.", lines[0]
    )
    assert lines[3].startswith("─") and [line.split()[:4] for line in lines[4:7]] == [
        ["h.*.fc1", "2", "64", "16"], ["h.*.fc2", "2", "16", "64"], ["lm_head", "1", "8", "16"],
    ]  # fmt: skip
    assert lines[6].endswith("head (see only)") and lines[7] == "1 other tensor is as before (embeddings, norms, biases)"


def test_a_permutation_is_shown_beside_what_it_gained(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, source, "-o", source.with_name("out.safetensors"), "--permute", "--ungroup")
    assert re.search(r"of whose magnitude \d\d\.\d % stays \(\d\d\.\d % without the permutation\);", out)
    assert len(re.findall(r"h\.[01]\.fc2 +16 +64 +fp16 +\d\d\.\d % +\d\d\.\d %", out)) == 2
    assert "1 other tensor is as before (embeddings, norms, biases), but for those in the order of permuted channels" in out


def test_a_permutation_alone_says_so(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, source, "-o", source.with_name("out.safetensors"), "--permute-only")
    assert out.startswith("Input channels of 2 of 5 weights were permuted and nothing pruned; the network computes the same.")
    out = printed(capsys, source, "-o", source.with_name("out.safetensors"), "--permute-only", "--only", "*.fc1")
    assert out.startswith("No channels were permuted: none of these layers is known to make another's channels alone (see fold).")


def test_documents_and_lines_have_every_weight(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.with_name("out.safetensors")
    document = json.loads(printed(capsys, source, "-o", out, "--format", "json"))
    assert document["schema"] == "stcsim/prune-1" and document["inputs"]["out"] == str(out)
    assert [row["name"] for row in document["weights"]] == ["h.0.fc1", "h.0.fc2", "h.1.fc1", "h.1.fc2", "lm_head"]
    assert document["verdict"].startswith("Pruned to 2:4: 4 of 5 weights")
    lines = list(csv.DictReader(printed(capsys, source, "-o", out, "--format", "csv").splitlines()))
    assert [line["is_pruned"] for line in lines] == ["True"] * 4 + ["False"]
    assert float(lines[0]["kept_share"]) == document["weights"][0]["kept_share"]
    assert "| h.\\*.fc1 | 2 | 64 | 16 |" in printed(capsys, source, "-o", out, "--format", "markdown")


def test_files_that_were_not_copied_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "model.safetensors", {"a.weight": drawn(16, 16)})
    (tmp_path / "in" / "pytorch_model.bin").touch()
    out = printed(capsys, tmp_path / "in", "-o", tmp_path / "out")
    assert out.endswith("not copied, since they hold dense weights: pytorch_model.bin\n")


def test_a_list_that_run_wrote_names_what_is_pruned(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = source.with_name("list.txt")
    chosen.write_text("h.1.fc2\nh.0.fc1#2\n", encoding="utf-8")
    out = printed(capsys, source, "-o", source.with_name("out.safetensors"), "--prune-list", chosen, "--format", "csv")
    assert [line["name"] for line in csv.DictReader(out.splitlines()) if line["is_pruned"] == "True"] == ["h.0.fc1", "h.1.fc2"]


def test_an_empty_list_is_refused(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = source.with_name("list.txt")
    for content, found in (("\n", "an empty file"), (None, "none")):
        chosen.write_text(content, encoding="utf-8") if content else chosen.unlink()
        with pytest.raises(SystemExit) as stop:
            entry.main(["prune", str(source), "-o", str(source.with_name("out.safetensors")), "--prune-list", str(chosen)])
        assert stop.value.code == 2 and capsys.readouterr().err.endswith(f"found {found}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_large_file_streams_through_little_memory(tmp_path: Path) -> None:
    rows, count = 16384, 12
    each = rows * 1024 * 2
    entries = {
        f"h.{at}.weight": {"dtype": "BF16", "shape": [rows, 1024], "data_offsets": [at * each, (at + 1) * each]}
        for at in range(count)
    }
    source = write_raw(tmp_path / "in.safetensors", entries, b"")
    with source.open("r+b") as file:
        file.truncate(source.stat().st_size + count * each)  # 384 MiB of zeros that take no disk
    program = (
        "import sys, stcsim; stcsim.prune_checkpoint(sys.argv[1], sys.argv[2]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "out.safetensors")]
    peak_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (tmp_path / "out.safetensors").stat().st_size > count * each and peak_kib < 320 * 1024
    assert np.fromfile(tmp_path / "out.safetensors", np.uint8, 64, offset=count * each).max() == 0
