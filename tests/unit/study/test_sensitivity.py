"""A sensitivity: every number of a GPU made smaller and larger, each a run of the GPU so changed, in every form alike."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import stcsim
from stcsim.arch.tree import NUMBERS, RANGES
from stcsim.errors import StcsimError, UnsupportedError
from stcsim.report.figures.sensitivity import write_tornado
from stcsim.report.terminal.sensitivity import idle_text, odd_steps_text
from stcsim.study.whatif.sensitivity import NAMES, Sensitivity, sensitivity_of
from stcsim.study.whatif.work import work_of

GEMM = "1024x512x768"
A100 = stcsim.load_arch("a100")


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return sensitivity_of(work_of(GEMM), A100)


def test_every_number_of_the_gpu_is_looked_at(found: Sensitivity) -> None:
    numbers = {path for path in NUMBERS if isinstance(A100.value(path), int | float)} - set(NAMES)
    assert {leaf.path for leaf in found.leaves} == numbers
    assert all(leaf.value == A100.value(leaf.path) for leaf in found.leaves)
    assert {leaf.path for leaf in found.movers} | set(found.idle) <= numbers


def test_a_step_is_a_run_of_the_gpu_so_changed(found: Sensitivity) -> None:
    for leaf in found.movers[:3]:
        for step in leaf.steps:
            totals = stcsim.gemm(1024, 512, 768, stcsim.load_arch("a100", {leaf.path: step.value})).totals
            assert step.figures is not None
            assert (step.figures.dense, step.figures.sparse, step.figures.speedup) == (
                totals.dense_us, totals.sparse_us, totals.sparse_speedup
            )  # fmt: skip
            assert step.effects["dense"] == step.figures.dense / found.base.dense - 1


def test_a_slower_clock_takes_longer_and_the_largest_effect_comes_first(found: Sensitivity) -> None:
    effects = [leaf.largest() for leaf in found.leaves]
    assert effects == sorted(effects, reverse=True) and effects[0] > 0.02
    clock = next(leaf for leaf in found.leaves if leaf.path == "clock.sustained_mhz")
    assert clock.less is not None and clock.more is not None
    assert (clock.less.effects["dense"] or 0) > 0 > (clock.more.effects["dense"] or 0)


def test_a_number_goes_by_a_tenth_an_integer_by_at_least_one_and_none_beyond_its_range(found: Sensitivity) -> None:
    leaves = {leaf.path: leaf for leaf in found.leaves}
    for path, leaf in leaves.items():
        least, most = RANGES[path]
        for step in leaf.steps:
            away = abs(step.value - leaf.value)
            assert least <= step.value <= most and away > 0
            if NUMBERS[path] is int:
                assert away == max(round(0.1 * leaf.value), 1) and isinstance(step.value, int)
            else:
                assert away <= 0.1 * leaf.value * (1 + 1e-6)
    assert leaves["tensor_core.mma_sync_efficiency"].more is None  # it is 1 already
    assert [step.value for step in leaves["l2.partitions"].steps] == [1, 3]


def test_what_would_contradict_itself_is_no_step_and_says_why(found: Sensitivity) -> None:
    capacity = next(leaf for leaf in found.leaves if leaf.path == "shared_memory.capacity_kib")
    assert capacity.less is not None and capacity.less.figures is None and capacity.less.effects["dense"] is None
    assert capacity.less.refused in found.refused
    assert str(capacity.less.refused).startswith(
        "a100: shared_memory.max_per_cta_kib: expected at most shared_memory.capacity_kib"
    )


def test_numbers_that_move_nothing_are_counted(found: Sensitivity) -> None:
    assert "tensor_core.fma_per_clk_per_sm.int8" in found.idle and "dram.capacity_gib" in found.idle
    assert idle_text(found).startswith(f"{len(found.idle)} of {len(found.leaves)} numbers move nothing: ")
    assert idle_text(replace(found, leaves=found.movers)) == ""


def test_steps_of_another_size_are_named() -> None:
    found = sensitivity_of(work_of(GEMM), stcsim.load_arch("a100", {"tensor_core.issue_efficiency": 0.95}))
    assert "tensor_core.issue_efficiency to 1 (+5.3 %)" in odd_steps_text(found)


def test_a_gpu_without_sparse_tensor_cores_has_one_quantity(tmp_path: Path, ran: Callable[..., str]) -> None:
    printed = ran("sensitivity", GEMM, "--arch", "t4", "--figure", tmp_path / "t4.svg")
    assert "dense time" in printed and "speedup" not in printed
    assert "2:4" not in (tmp_path / "t4.svg").read_text(encoding="utf-8")


def test_processes_do_not_change_the_answer(found: Sensitivity) -> None:
    assert sensitivity_of(work_of(GEMM), A100, jobs=2) == found


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_is_between_nothing_and_all(share: float) -> None:
    with pytest.raises(StcsimError, match=r"^by: expected percent above 0 and below 100, found "):
        sensitivity_of(work_of(GEMM), A100, share)


def test_what_cannot_be_asked_is_refused_in_one_sentence(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("sensitivity", GEMM, "--arch", "a100", "--by", 0) == "--by: expected percent above 0 and below 100, found 0"
    assert refused("sensitivity", "64x64xk", "--arch", "a100") == (
        "gemm: expected a size in each place, e.g. 4096x4096x4096, found '64x64xk'"
    )
    assert refused("sensitivity", GEMM, "--arch", "a100", "--batch", 8) == (
        "--batch: expected a network, whose batch can be another, found 8 beside a GEMM"
    )
    assert refused("sensitivity", GEMM, "--arch", "a100", "--dtype", "fp8").startswith(
        "a100: expected a type of its tensor cores"
    )
    assert refused("sensitivity", "resnet35", "--arch", "a100").startswith("trace: expected ")


def test_a_type_that_the_gpu_lacks_is_refused_before_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: pytest.fail("a run began"))
    with pytest.raises(UnsupportedError):
        sensitivity_of(work_of(GEMM, "fp8"), A100)


def test_all_forms_have_the_same_figures(ran: Callable[..., str], tmp_path: Path, found: Sensitivity) -> None:
    lines = tmp_path / "all.csv"
    printed = ran("sensitivity", GEMM, "--arch", "a100", "--json", "-", "--csv", lines, "--figure", tmp_path / "tornado.svg")
    document = json.loads(printed)
    assert document["schema"] == "stcsim/sensitivity-1" and document["inputs"]["share"] == 0.1
    assert document["base"]["dense"] == found.base.dense and document["idle"] == list(found.idle)
    rows = {row["path"]: row for row in csv.DictReader(lines.read_text(encoding="utf-8").splitlines())}
    for leaf in document["leaves"]:
        for side in ("less", "more"):
            if leaf[side] is not None and leaf[side]["figures"]:
                assert float(rows[leaf["path"]][f"{side}.effects.dense"]) == leaf[side]["effects"]["dense"]
    drawn = (tmp_path / "tornado.svg").read_text(encoding="utf-8")
    assert all(leaf.path in drawn for leaf in found.movers[:15])


def test_there_is_no_tornado_of_nothing(found: Sensitivity, tmp_path: Path) -> None:
    still = replace(found, leaves=tuple(leaf for leaf in found.leaves if not leaf.moves))
    with pytest.raises(StcsimError, match=r"^--figure: expected a number of the GPU that moves something, found none at ±10 %$"):
        write_tornado(still, tmp_path / "none.svg")


def test_a_network_is_asked_too(toy: Path, ran: Callable[..., str]) -> None:
    printed = ran("sensitivity", toy, "--arch", "a100", "--variant", "more:sm.count=+8", "--by", 20)
    assert "on a100:more" in printed and "±20 %" in printed
