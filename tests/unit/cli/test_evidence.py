"""``stcsim evidence``: the list, the commands, their files, and what they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from stcsim import cli
from stcsim.cli import evidence
from stcsim.numerics.evidence import million
from stcsim.numerics.evidence.million import Million, RuleRow
from stcsim.study.evidence import ablation, advice, anchors, leave_one_out, monotony, reasons
from stcsim.study.evidence.ablation import Ablation, Effect
from stcsim.study.evidence.advice import Advice
from stcsim.study.evidence.index import EVIDENCE
from stcsim.study.evidence.monotony import Monotony, More
from stcsim.study.evidence.reasons import Reason, Reasons

MICROBENCH = (
    "gpu,ab_type,cd_type,shape,instruction_family,warps_per_sm,ilp,fma_per_clk_sm,completion_latency_cycles\n"
    "A100,f16,f32,m16n8k16,dense mma.sync,8,2,1004.2,24.7\n"
    "A100,b1,s32,m16n8k256,dense mma.sync,8,2,1004.2,\n"
)

Printed = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have room for all their columns."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """A call that must succeed; returns what was printed, in one line of single blanks, and what ``--json`` wrote."""

    def call(*arguments: object, code: int = 0) -> tuple[str, dict[str, Any]]:
        monkeypatch.setenv("COLUMNS", "160")
        target = tmp_path / "out.json"
        with pytest.raises(SystemExit) as stop:
            cli.main(["evidence", *map(str, arguments), "--json", str(target)])
        assert (stop.value.code or 0) == code
        return " ".join(capsys.readouterr().out.split()), json.loads(target.read_text(encoding="utf-8"))

    return call


def commands() -> dict[str, typer.models.CommandInfo]:
    found = [(each, each.callback) for each in evidence.app.registered_commands if each.callback]
    return {each.name or callback.__name__: each for each, callback in found}


def test_the_list_has_every_command_with_its_question(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit):
        cli.main(["evidence"])
    shown = capsys.readouterr().out
    assert {each.name for each in EVIDENCE} == set(commands())
    assert all(re.search(rf"^{each.name} +{re.escape(each.question)}", shown, re.MULTILINE) for each in EVIDENCE)
    assert "needs measured tables; takes 20 min, 55 s with --quick" in shown and "\n               takes 4 s" in shown


def test_what_is_quick_says_so_in_the_list() -> None:
    quick = {name for name, each in commands().items() if "quick" in each.callback.__annotations__}  # type: ignore[union-attr]
    assert quick == {each.name for each in EVIDENCE if each.quick_s}
    assert all(each.quick_s < 60 < each.takes_s for each in EVIDENCE if each.quick_s)


def test_help_names_the_defaults_that_hold(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    def said(*words: object) -> str:
        with pytest.raises(SystemExit):
            cli.main(["evidence", *map(str, words), "--help"])
        return " ".join(re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().out).split())

    assert f"[default: ({ablation.ROWS}; {ablation.QUICK_ROWS} with --quick)]" in said("ablation")
    shown = said("leave-one-out")
    for whole, quick in (
        (leave_one_out.ROWS, leave_one_out.QUICK_ROWS),
        (leave_one_out.STEPS, leave_one_out.QUICK_STEPS),
        ("seven", ",".join(leave_one_out.QUICK_BOARDS)),
    ):
        assert f"{whole}; {quick} with --quick" in shown
    assert len(leave_one_out.SIBLINGS) == 7
    assert f"{monotony.GEMMS}; {monotony.QUICK_GEMMS} with --quick" in said("monotony")
    assert f"{reasons.GEMMS}; {reasons.QUICK_GEMMS} with --quick" in said("reasons")
    assert f"{million.COUNT}; {million.QUICK_COUNT} with --quick" in said("million")
    assert f"[default: ({','.join(advice.WHOLE.dtypes)})]" in said("advice") and len(advice.WHOLE.gpus) == 8


def test_ablation_shows_the_cells_that_move_most(monkeypatch: pytest.MonkeyPatch, printed: Printed, tmp_path: Path) -> None:
    seen: list[object] = []

    def ablate(*given: object) -> Ablation:
        seen.extend(given[:5])
        moved = Effect("split-K", "none", "a100 dense bf16", (0.1, -0.1), (0.3, -0.1))
        still = Effect("split-K", "none", "h100 dense bf16", (0.1,), (0.1,))
        idle = Effect("ping-pong", "none", "h100 dense bf16", (0.1,), (0.1,))
        return Ablation(6, 4, (moved, still, idle), ("issue efficiency",))

    monkeypatch.setattr(ablation, "ablation", ablate)
    text, document = printed("ablation", tmp_path, "--quick", "--only", "i", "--gpus", "a100,h100")
    assert seen == [[tmp_path], ablation.QUICK_ROWS, "i", ["a100", "h100"], ()]
    assert "split-K none a100 dense bf16 1 of 2 10.0 → 20.0 % 10.0 → 30.0 % +0.0 → +10.0 %" in text
    assert "ping-pong none none 0 of 1" in text and "needs --rates, since no GEMM shows it: issue efficiency" in text
    assert [each["cost"] for each in document["effects"]] == pytest.approx([0.1, 0, 0]) and document["effects"][0]["moved"] == 1


def test_anchors_stand_beside_predictions(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    monkeypatch.setattr(anchors.compare, "__defaults__", (anchors.ANCHORS[15:18], None))
    monkeypatch.setattr(anchors, "predicted", lambda anchor: 1.1 * (anchor.low or 1.5))
    text, document = printed("anchors")
    assert "a100 linears 768, 3072 fp16 speedup 1.23× 1.35× +10.0 % PyTorch 90119" in text
    assert "speedup rises 1.65× project brief" in text
    assert [each["difference"] for each in document["anchors"]] == [pytest.approx(0.1), pytest.approx(0.1), None]


def test_microbenchmarks_stand_beside_the_model(printed: Printed, tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text(MICROBENCH, encoding="utf-8")
    text, document = printed("microbench", tmp_path)
    assert text.startswith("2 published figures of single instructions, mean error") and "rates.csv 2" in text
    assert "A100 mma.m16n8k16.f32.f16.f16.f32 8 warps FMA/clk/SM" in text and "1 rows not compared, b1:" in text
    assert len(document["compared"]) == 2 and list(document["left_out"].values()) == [1]


def test_advice_that_is_wrong_ends_with_one(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    asked: list[object] = []

    def advise(*given: object) -> Advice:
        asked.extend(given[:3])
        return Advice(3, 40, ("resnet18 a100 fp16 none: a layer saves less than nothing",), 0.0005, 0.012)

    monkeypatch.setattr(advice, "advice", advise)
    text, document = printed("advice", "--quick", "--traces", "resnet18", code=1)
    assert asked == [["resnet18"], advice.QUICK.gpus, advice.QUICK.dtypes]
    assert "1 misses in 40 checks of 3 networks" in text and "at most 0.050 % faster" in text
    assert document["misses"] == ["resnet18 a100 fp16 none: a layer saves less than nothing"]


def test_advice_on_one_small_network_is_right(printed: Printed) -> None:
    text, document = printed("advice", "--traces", "resnet18", "--gpus", "a100", "--types", "fp16", "--jobs", "1")
    assert document["networks"] == 2 and document["checks"] > 6 and not document["misses"] and "0 misses in" in text


def test_monotony_counts_what_is_slower(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    given: list[object] = []

    def count(*options: object) -> Monotony:
        given.extend(options[:3])
        return Monotony(7, 3, ("resnet34",), (More("dram", 8, 2, 0.02, "a100 resnet34 fp16 dense x1.1"),))

    monkeypatch.setattr(monotony, "monotony", count)
    text, document = printed("monotony", "--gemms", 7, "--seed", 3, "--quick")
    assert given == [7, 3, monotony.QUICK_NETWORKS]
    assert "dram 8 2 25.00 % +2.00 % a100 resnet34 fp16 dense x1.1" in text and document["resources"][0]["slower"] == 2


def test_a_wrong_reason_is_shown(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    wrong, right = Reason("a100 fp16 64x64x64 dense", "l2", {"tensor": 0.05, "l2": 0.02}), Reason("x", None, {"tensor": 0.0})
    monkeypatch.setattr(reasons, "examine", lambda *_: Reasons(1, 0, (wrong, right)))
    text, document = printed("reasons")
    assert "a100 fp16 64x64x64 dense: l2, but tensor 5.00 %, l2 2.00 %" in text
    assert "the reason is right for 1 of 2 sides of 1 GEMMs" in text and document["named"] == {"l2": 1, "nothing": 1}


def test_a_few_dot_products_agree_on_every_bit(printed: Printed) -> None:
    text, document = printed("million", "--count", 1, "--rows", "sm_80 mma.m16n8k16.f32.bf16", "--jobs", 1)
    assert "1,008 dot products, fast against reference: 0 differ" in text and document["dot_products"] == 7 * 12 * 12


def test_a_bit_that_differs_ends_with_one(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    monkeypatch.setattr(million, "million", lambda *_: Million((RuleRow("sm_80 mma", 1000, 1),)))
    text, document = printed("million", "--quick", code=1)
    assert "sm_80 mma 1,000 1" in text and document["differing"] == 1


def test_assumptions_say_how_many_results_rest_on_them(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    from stcsim.numerics.evidence import assumptions

    monkeypatch.setattr(assumptions, "CASES", assumptions.CASES[:1])
    monkeypatch.setattr(assumptions.assumptions, "__defaults__", (4, None))
    text, document = printed("assumptions")
    [row] = document["blocking"]
    assert row["difference"]["results"] == 4 * 16 * 8 and 0 < row["difference"]["differing"] < 512
    assert row["kept_ulp"] <= row["expanded_ulp"] and "mma.sp.m16n8k32.f32.f16.f16.f32 sm_80" in text
    assert [each["nan"] > 0 for each in document["infinity"]] == [False, True]


def test_accumulation_prints_draws_and_writes(monkeypatch: pytest.MonkeyPatch, printed: Printed, tmp_path: Path) -> None:
    from stcsim.numerics.evidence import accumulation

    monkeypatch.setattr(accumulation.accumulation, "__defaults__", ((64, 512), None))
    text, document = printed("accumulation", "--figure", tmp_path / "growth.svg")
    assert document["outputs"] == 4096 and document["lengths"] == [64, 512]
    assert document["differing"][0] == 0 and f"{document['differing'][1]:,}" in text
    assert "fp8 wgmma promoted every 4" not in text and "promoted every 4" in text
    drawn = (tmp_path / "growth.svg").read_text(encoding="utf-8")
    assert all(f"{line['what']} ({line['arch']})" in drawn for line in document["lines"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["accumulation", "--figure", "growth.txt"],
            "--figure growth.txt: expected a name that ends in .png, .svg or .pdf, found",
        ),
        (
            ["ablation"],
            "command line: expected the PATH of measured tables, or public ones in the cache (`stcsim data pull` fetches",
        ),
        (["leave-one-out"], "command line: expected the PATH of measured tables"),
        (["ablation", "nowhere.csv"], "nowhere.csv: expected a CSV file or a folder of them"),
        (["ablation", "x.csv", "--gpus", "a101"], "--gpus: expected some of "),
        (["ablation", "x.csv", "--gpus", ","], "--gpus: expected some of "),
        (["leave-one-out", "x.csv", "--gpus", "a40"], "--gpus: expected some of a100, a100-pcie, h100, h200, "),
        (["advice", "--traces", "resnet19"], "--traces: expected some of "),
        (["advice", "--types", "fp32"], "--types: expected some of fp16, int8, fp8, with commas between, found 'fp32'"),
        (["advice", "--gpus", "a100", "--types", "fp8"], "--types: expected some that a100 can run in 2:4, found fp8"),
        (["million", "--rows", "volta"], "--rows: expected a part of the name of a row, e.g. sm_80 or e4m3, found 'volta'"),
        (["microbench", "nowhere"], "nowhere: expected a table of microbenchmarks or a folder of them, found no such file"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_cannot_be_gathered_is_refused(
    arguments: list[str], sentence: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: True)
    monkeypatch.setenv("STCSIM_DATA", "nowhere")
    assert refused("evidence", *arguments).startswith(sentence)


def test_a_table_without_such_rows_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("arch,sparsity,dtype,m,n,k,time_us\na30,dense,fp16,64,64,64,9\n", encoding="utf-8")
    found_none = f"{table}: expected rows of grade A of {', '.join(ablation.GPUS)}, found none"
    assert refused("evidence", "ablation", table) == found_none
    unknown = "--only: expected a part of the name of a mechanism"
    assert refused("evidence", "ablation", table, "--only", "split-L").startswith(unknown)
