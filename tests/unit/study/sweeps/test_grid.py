"""The cells of a study: which there are, in which order, and what decides their keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.study.sweeps import key
from stcsim.study.sweeps.grid import Cell, Grid
from stcsim.study.sweeps.reading import read_study

BANDWIDTH = "l2.bandwidth_bytes_per_clk"


def grid(folder: Path = Path(), **fields: object) -> Grid:
    return Grid(read_study({"arch": "a100", "gemm": "64x64x64", **fields}, folder))


def only(**fields: object) -> Cell:
    (cell,) = grid(**fields)
    return cell


def test_cells_come_gpu_by_gpu_with_options_innermost() -> None:
    cells = list(grid(arch=["a100", "h100"], axes={"sm.count": ["x1", "120"]}, dtype=["fp16", "int8"], marks="l40s"))
    assert [(each.hardware.arch, each.hardware.value("sm.count"), each.options["dtype"]) for each in cells] == [
        *[("a100", 108, "fp16"), ("a100", 108, "int8"), ("a100", 120, "fp16"), ("a100", 120, "int8")],
        *[("h100", 132, "fp16"), ("h100", 132, "int8"), ("h100", 120, "fp16"), ("h100", 120, "int8")],
        *[("l40s", 142, "fp16"), ("l40s", 142, "int8")],
    ]


def test_a_gpu_that_is_not_changed_is_itself_however_that_is_said() -> None:
    plain = only()
    assert plain.key == only(axes={"sm.count": "x1"}).key == only(axes={"sm.count": 108}).key
    assert plain.key == only(variants={"as it is": {}}).key == only(pattern="2:4").key
    assert plain.hardware.settings == only(axes={"sm.count": "x1"}).hardware.settings == ()


def test_relative_and_absolute_values_that_are_equal_are_one_cell() -> None:
    factor, total = only(axes={"sm.count": "x1.5"}), only(axes={"sm.count": 162})
    assert factor.key == total.key and factor.hardware.changed["sm.count"] == 162
    assert factor.hardware.changed["sm.sms_per_gpc"] == total.hardware.changed["sm.sms_per_gpc"]


@pytest.mark.parametrize(
    "fields",
    [
        {"arch": "h100"},
        {"gemm": "64x64x128"},
        {"dtype": "bf16"},
        {"library": "cutlass"},
        {"duration": "burst"},
        {"axes": {BANDWIDTH: "x1.5"}},
        {"pattern": "1:4"},
    ],
)
def test_whatever_decides_the_answer_decides_the_key(fields: dict[str, object]) -> None:
    assert only(**fields).key != only().key


def test_defaults_and_what_a_gemm_does_not_know_decide_nothing() -> None:
    assert only().key == only(dtype="fp16", library="cusparselt", duration="sustained").key
    assert only().key == only(fusion="none").key  # one GEMM has nothing to fuse
    network = next(iter(grid(trace="resnet34")))
    assert network.key != next(iter(grid(trace="resnet34", fusion="none"))).key


def test_titles_and_sources_decide_nothing(tmp_path: Path) -> None:
    keys = []
    for note in ("one source", "another"):
        (tmp_path / "big.yaml").write_text(
            f"base: a100\ntitle: {note}\nl2:\n  capacity_mib: {{value: 80, kind: assumed, from: {note}}}\n", encoding="utf-8"
        )
        (cell,) = grid(tmp_path, arch="big.yaml")
        keys.append(cell.key)
    assert keys[0] == keys[1] != only().key


def test_another_model_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = only().key
    monkeypatch.setattr("stcsim.study.sweeps.grid.model", lambda: "0.0.0 0123456789abcdef")
    assert only().key != before


def test_the_model_is_told_by_its_version_and_its_source() -> None:
    version, source = key.model().split(" ")
    assert version == key.__version__ and len(source) == 16 and int(source, 16) >= 0


def test_constraints_on_gpus_leave_cells_out_before_they_run() -> None:
    study = grid(axes={"power.board_limit_w": [300, 400, 500]}, constraints=["power.board_limit_w <= 400", "sm.count > 100"])
    assert len(study) == 3 and [each.hardware.value("power.board_limit_w") for each in study] == [300, 400]


def test_a_place_that_one_gpu_cannot_take_is_the_error_of_its_cells() -> None:
    cells = list(grid(arch=["a100", "t4"], axes={"tensor_core.sparse_kept": "x0.5"}))
    assert [each.error is None for each in cells] == [True, False]
    assert "there is no number beneath to change" in str(cells[1].error)


def test_a_place_that_no_gpu_can_take_is_a_mistake_in_the_study() -> None:
    with pytest.raises(StcsimError, match="axes: sm.count: expected an integer from 1 to 1000000, found 0"):
        grid(axes={"sm.count": [108, 0]})


def test_a_network_that_cannot_be_rescaled_is_the_error_of_its_cells() -> None:
    cells = list(grid(trace=["resnet34", "bert-base"], seq=[128, 64]))
    networks = [each for each in cells if "trace" in each.source.columns]
    assert [each.error is None for each in networks] == [False, False, True, True]
    assert "input_shape has tokens" in str(networks[0].error)


def test_gpus_and_networks_of_a_study_have_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "big.yaml").write_text("base: a100\n", encoding="utf-8")
    with pytest.raises(StcsimError, match="arch: expected each value once, found 'big' twice"):
        grid(tmp_path, arch=["one/big.yaml", "two/big.yaml"])
    with pytest.raises(StcsimError, match="trace: expected each value once, found 'resnet34' twice"):
        grid(trace=["resnet34", "ResNet34"])


def test_a_study_names_gpus_and_networks_that_exist() -> None:
    with pytest.raises(StcsimError, match="did you mean 'a100'"):
        grid(arch="a1000")
    with pytest.raises(StcsimError, match="resnet43"):
        grid(trace="resnet43")
