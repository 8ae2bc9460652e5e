"""Does the command line do what it says?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim.arch import arch_names
from stcsim.cli import entry
from stcsim.data import data_folder
from tests.unit.runs import layer, run_of


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 160 columns, whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "160")


def succeed(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        entry.main([str(argument) for argument in arguments])
    assert stop.value.code == 0


def test_run_prints_the_table_and_writes_both_files(
    toy: Path, tmp_path: Path, called: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    succeed("run", toy, "--arch", "a100", "--json", tmp_path / "run.json", "--csv", tmp_path / "run.csv", "--top", 2)
    printed = capsys.readouterr()
    assert "the 2 of 6 lines that take longest, 90 % of the time\n" in printed.out and printed.err == ""
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["totals"]["best_us"] == 766.0
    assert len((tmp_path / "run.csv").read_text(encoding="utf-8").splitlines()) == 7


def test_the_prune_list_names_the_pruned_layers_those_that_save_most_first(
    toy: Path, tmp_path: Path, called: dict[str, object]
) -> None:
    succeed("run", toy, "--arch", "a100", "--prune-list", tmp_path / "prune.txt")
    assert (tmp_path / "prune.txt").read_text(encoding="utf-8") == "model.layers.31.mlp.down_proj\nlayer1.0.conv1\n"


def test_an_empty_prune_list_is_said(
    toy: Path, tmp_path: Path, called: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = run_of(layer("fc", (64, 64, 64), 4.0, None), sparsity="dense")
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: dense)
    path = tmp_path / "prune.txt"
    succeed("run", toy, "--arch", "a100", "--prune-list", path)
    assert path.read_text(encoding="utf-8") == ""
    said = f"stcsim: {path} is empty: no layer is faster in 2:4, or none was to be pruned\n"
    assert capsys.readouterr().err == said


def test_two_outputs_do_not_share_a_file(toy: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "out.txt"
    sentence = refused("run", toy, "--arch", "a100", "--csv", path, "--prune-list", tmp_path / "." / "out.txt")
    assert sentence == f"--prune-list {path}: expected another file than that of --csv, found the same"
    nowhere = tmp_path / "none" / "prune.txt"
    assert refused("run", toy, "--arch", "a100", "--prune-list", nowhere).startswith(
        f"--prune-list {nowhere}: expected a file in "
    )


def test_alike_layers_share_a_line_unless_ungrouped(
    toy: Path, called: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = run_of(layer("block.0.fc", (64, 64, 64), 4.0, 3.0), layer("block.1.fc", (64, 64, 64), 4.0, 3.0))
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: alike)

    def names(*options: str) -> list[str]:
        succeed("run", toy, "--arch", "a100", *options)
        table, *_ = capsys.readouterr().out.split("\n\n")
        return [line.split("  ")[0] for line in table.splitlines() if line.startswith("block")]

    assert names() == ["block.*.fc ×2"]
    assert names("--ungroup") == ["block.0.fc", "block.1.fc"]


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_what_would_help_is_looked_for_where_it_is_asked(
    lines: int, toy: Path, tmp_path: Path, called: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    three = run_of(
        *(layer(name, (64, 64, size), time, None) for name, size, time in (("a", 16, 5.0), ("b", 32, 9.0), ("c", 48, 7.0)))
    )
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: three)
    succeed("run", toy, "--arch", "a100", "--why", lines, "--json", tmp_path / "run.json")
    rows = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["rows"]
    assert {row["name"]: row["chosen"]["bound"] for row in rows if row["chosen"]["bound"]} == dict.fromkeys("bca"[:lines], "l2")


def test_run_hands_its_options_on(toy: Path, called: dict[str, object]) -> None:
    succeed(
        "run", toy, "--arch", "a100", "--dtype", "int8", "--batch", 4, "--sparsity", "2:4", "--set", "sm.count=54",
        "--set", "l2.capacity_mib=20", "--kernel", "some", "--engine", "reference", "--timing", "stream",
        "--duration", "burst",
    )  # fmt: skip
    assert (called["dtype"], called["sparsity"], called["engine"], called["kernel"]) == ("int8", "2:4", "reference", "some")
    assert (called["launch"], called["duration"]) == ("stream", "burst")
    assert (called["fusion"], called["keep_dense"], called["dtype_of"]) == ("epilogue", [], {})
    assert called["trace"].ops[0].n == 512 and called["arch"].sm.count == 54  # type: ignore[attr-defined]
    assert called["arch"].l2.capacity_mib == 20  # type: ignore[attr-defined]


def test_run_hands_on_what_is_asked_of_single_layers(toy: Path, called: dict[str, object]) -> None:
    succeed(
        "run", toy, "--arch", "a100", "--fusion", "none", "--keep-dense", "first", "--keep-dense", "f*",
        "--dtype-of", "fc=int8", "--dtype-of", "last=bf16", "--dtype-of", "fc=fp16",
    )  # fmt: skip
    assert (called["fusion"], called["keep_dense"]) == ("none", ["first", "f*"])
    assert list(called["dtype_of"].items()) == [("last", "bf16"), ("fc", "fp16")]  # type: ignore[attr-defined]


def test_gemm_hands_its_options_on(called: dict[str, object]) -> None:
    succeed("gemm", 64, 32, 16, "--arch", "a100", "--batch", 3, "--out-dtype", "int32", "--weights-in-l2", "--dtype", "int8")
    assert (called["trace"], called["batch"], called["out_dtype"]) == ((64, 32, 16), 3, "int32")
    assert (called["weights_in_l2"], called["dtype"], called["sparsity"]) == (True, "int8", None)
    assert (called["weight_copies"], called["duration"]) == (None, "sustained")
    succeed("gemm", 64, 32, 16, "--arch", "a100", "--weight-copies", 3, "--duration", "40ms")
    assert (called["weights_in_l2"], called["weight_copies"], called["duration"]) == (False, 3, "40ms")


@pytest.mark.parametrize(("word", "dtype"), [("Float16", "fp16"), ("e5m2", "fp8"), ("BF16", "bf16")])
def test_a_type_goes_by_any_of_its_names(called: dict[str, object], word: str, dtype: str) -> None:
    succeed("gemm", 64, 32, 16, "--arch", "h100", "--dtype", word)
    assert called["dtype"] == dtype


def test_the_first_use_says_that_it_compiles(
    toy: Path, called: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[bool] = []
    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: False)
    monkeypatch.setattr("stcsim.timing.engine.fast.warm_up", lambda: warmed.append(True))
    succeed("run", toy, "--arch", "a100", "--engine", "reference")  # the fast engine chooses the kernels here too
    assert warmed == [True] and capsys.readouterr().err == "stcsim: compiling the engine, once (about 5 s)…\n"


def test_run_simulates(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("run", toy, "--arch", "a100", "--json", tmp_path / "run.json")
    saved = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    (row,) = saved["rows"]
    assert (row["name"], row["m"], row["n"], row["k"], row["batch"]) == ("fc", 256, 128, 512, 1)
    assert saved["totals"]["dense_us"] == row["dense"]["time_us"] and saved["totals"]["sparse_us"] == row["sparse"]["time_us"]
    assert sum(row["dense"]["breakdown"].values()) == pytest.approx(row["dense"]["time_us"], rel=1e-9)
    assert row["weight_bytes"] == 256 * 512 * 2 and row["compressed_bytes"] == 256 * 512 * 9 // 8


def test_dense_only_gpu_runs_dense_unless_asked(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("run", toy, "--arch", "t4")
    assert "all 2:4" not in capsys.readouterr().out


def test_arch_lists_every_gpu_with_its_peaks(capsys: pytest.CaptureFixture[str]) -> None:
    succeed("arch")
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line} >= set(arch_names())
    (a100,) = [line for line in lines if line.startswith("a100 ")]
    assert {"312/624", "156/312", "624/1,248"} <= set(a100.split())


def test_arch_shows_value_unit_kind_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    succeed("arch", "a100", "--set", "l2.capacity_mib=80")
    lines = capsys.readouterr().out.splitlines()
    (l2,) = [line.split() for line in lines if line.startswith("l2.capacity_mib")]
    (dram,) = [line.split() for line in lines if line.startswith("dram.bandwidth_gb_per_s")]
    assert l2 == ["l2.capacity_mib", "80", "MiB", "assumed", "--set"]
    assert dram[:4] == ["dram.bandwidth_gb_per_s", "2039", "GB/s", "vendor"] and len(dram) > 4


def test_traces_lists_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    succeed("traces")
    printed = capsys.readouterr().out
    assert all(f"\n{path.stem} " in printed for path in data_folder("traces").glob("*.json"))
    assert "resnet34" in printed and "3.66" in printed  # GMAC at batch 1, as published


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    succeed("--version")
    assert capsys.readouterr().out == f"stcsim {stcsim.__version__}\n"
    succeed("--help")
    printed = capsys.readouterr().out
    assert all(f" {command} " in printed for command in ("run", "gemm", "validate", "arch", "traces", "capture"))


def test_public_names_are_loaded_on_use() -> None:
    assert sorted(stcsim.__all__) == dir(stcsim)
    assert all(callable(getattr(stcsim, name)) for name in stcsim.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stcsim.nothing


def test_a_bug_is_called_one(
    toy: Path, called: dict[str, object], monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("stcsim.replay.run", fail)
    said = refused("run", toy, "--arch", "a100")
    assert "no fault of stcsim, which this is (STCSIM_DEBUG=1 shows where; please report it), found ZeroDivisionError" in said


def test_output_nobody_reads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    dropped: list[int] = []
    monkeypatch.setattr(entry, "app", closed)
    monkeypatch.setattr("os.dup2", lambda source, target: dropped.append(target))
    entry.main(["arch"])
    assert dropped == [sys.stdout.fileno()]
