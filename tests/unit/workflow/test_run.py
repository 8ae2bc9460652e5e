"""A recipe run: the same bits twice, from where it stopped, and what stands in the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("modelopt", reason="needs nvidia-modelopt")
pytest.importorskip("sklearn")

import torch

from stcsim.errors import StcsimError
from stcsim.numerics import prune
from stcsim.workflow import WorkflowResult, datasets, workflow
from stcsim.workflow.evaluation import on_datapath, score
from stcsim.workflow.models import build, free_channels, products
from stcsim.workflow.reading import read_recipe
from stcsim.workflow.stages import Stages
from stcsim.workflow.state import Amax, Folder, State
from stcsim.workflow.training import Distillation, answers, deterministic, on_data
from tests.unit.workflow.recipes import tiny, tiny_text


def run(out: Path, fields: dict[str, Any] | None = None, **options: Any) -> WorkflowResult:
    return workflow(read_recipe(tiny() if fields is None else fields), "a100,h100", out=out, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny") / "out"


@pytest.fixture(scope="module")
def result(folder: Path) -> WorkflowResult:
    """The tiny recipe, run once for this module."""
    return run(folder)


def stage_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_two_runs_agree_to_the_bit(result: WorkflowResult, folder: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    assert run(tmp_path / "again") == result
    assert stage_files(tmp_path / "again") == stage_files(folder) and len(stage_files(folder)) == 4
    assert torch.get_num_threads() == threads and not torch.are_deterministic_algorithms_enabled()


def test_what_is_stored_is_not_run_again(result: WorkflowResult, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "masks_of"):
        monkeypatch.setattr(f"stcsim.workflow.stages.{name}", lambda *_: pytest.fail("a stage ran again"))
    monkeypatch.setattr("stcsim.workflow.run.on_datapath", lambda *_: pytest.fail("a cell was counted again"))
    seen: list[tuple[int, int]] = []
    assert run(folder, progress=lambda done, total: seen.append((done, total))) == result
    assert seen and seen[-1][0] == seen[-1][1]


def test_a_run_that_was_stopped_goes_on_and_gives_the_same(
    result: WorkflowResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("stcsim.workflow.stages.masks_of", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out")
    assert set(stage_files(tmp_path / "out")) == {"trained.safetensors"}
    assert run(tmp_path / "out") == result


def test_a_changed_stage_runs_again_with_those_after_it_and_no_other(
    folder: Path, result: WorkflowResult, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    before = stage_files(out)
    fields = tiny()
    fields["stages"]["retrained"]["steps"] = 5
    assert run(out, fields) != result
    changed = {name for name, content in stage_files(out).items() if content != before[name]}
    assert changed == {"retrained.safetensors", "sparse-qat.safetensors"}


def test_every_row_has_both_assumptions_where_weights_are_pruned(result: WorkflowResult) -> None:
    names = [(row.stage, row.dtype, row.method, row.arch) for row in result.rows]
    plain = [("fp16", "", "a100"), ("int8", "max", "a100"), ("fp8", "max", "h100")]
    expected = [(stage, *each) for stage in ("trained", "one-shot", "retrained") for each in plain]
    assert names == [*expected, ("sparse-qat", "int8", "qat", "a100")]
    for row in result.rows:
        assert (row.expanded is not None) == (row.differing is not None) == row.pruned == (row.stage != "trained")
        assert row.trained == (row.stage != "one-shot")
        assert row.sparse_layers == (3 if row.pruned else 0) and row.layers == 4
        if row.dtype == "int8" and row.pruned:
            assert row.differing == 0 and row.expanded == row.simulated, "integers are exact either way"


def test_every_type_of_every_gpu_has_its_predicted_times(result: WorkflowResult) -> None:
    assert [(speed.arch, speed.dtype) for speed in result.speeds] == [
        ("a100", "fp16"), ("a100", "int8"), ("h100", "fp16"), ("h100", "int8"), ("h100", "fp8"),
    ]  # fmt: skip
    for speed in result.speeds:
        assert speed.batch == 64 and speed.dense_us_interval and speed.dense_us_interval.low < speed.dense_us
        assert speed.pruned == 3 and speed.faster <= speed.eligible <= 3 and speed.pruned_bytes < speed.weight_bytes
    assert any("too small to gain" in note for note in result.notes)


def test_pruned_weights_are_zero_after_every_stage(folder: Path, result: WorkflowResult) -> None:
    recipe = read_recipe(tiny())
    stages = Stages(recipe, datasets.load("digits", 0, 1), Folder(folder, "tiny"), lambda steps: None)
    for name in ("one-shot", "retrained", "sparse-qat"):
        state = stages.state(name)
        for layer, mask in state.masks.items():
            weight = state.weights[f"{layer}.weight"]
            assert not weight[~mask].any() and np.array_equal(prune(weight.numpy(), axis=1), weight.numpy())
    moved = stages.state("one-shot").weights["2.weight"] - stages.state("retrained").weights["2.weight"]
    assert moved.abs().max() > 0
    assert set(stages.state("sparse-qat").scales) == {"0", "2", "4", "7"} and stages.state("sparse-qat").dtype == "int8"


def test_a_folder_of_another_recipe_is_refused(folder: Path, result: WorkflowResult, tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match=r"--out .*: expected a folder of recipe 'other', found one of 'tiny'"):
        run(folder, tiny(name="other"))
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(
        StcsimError, match="--out .*: expected a new or empty folder, or one of this recipe, found other files in it"
    ):
        run(tmp_path)
    with pytest.raises(StcsimError, match="--out .*: expected a new or empty folder, or one of this recipe, found a file"):
        run(tmp_path / "letter.txt")


@pytest.mark.parametrize("content", [b"", b"\x10", b"PK\x03\x04 a pickle in an archive", b"\xff" * 64])
def test_a_broken_stage_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    folder = Folder(tmp_path / "out", "tiny")
    folder.keep_state("trained", "key", State({"w": torch.ones(2)}, {"0": torch.ones(2, dtype=torch.bool)}))
    file = tmp_path / "out" / "trained.safetensors"
    file.write_bytes(content)
    with pytest.raises(StcsimError, match="delete it to run the stage again, found .+") as refusal:
        folder.state("trained", "key")
    assert "\n" not in str(refusal.value) and "trained.safetensors" in str(refusal.value)


def test_a_truncated_stage_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out", "tiny")
    folder.keep_state("trained", "key", State({"w": torch.ones(200)}))
    file = tmp_path / "out" / "trained.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(StcsimError, match="delete it to run the stage again"):
        folder.state("trained", "key")


@pytest.mark.parametrize("content", ["", "[]", '{"key": "k"}', "not json"])
def test_broken_figures_are_refused(tmp_path: Path, content: str) -> None:
    folder = Folder(tmp_path / "out", "tiny")
    folder.keep_cell("a", "k", {"x": 1})
    assert folder.cell("a", "k") == {"x": 1} and folder.cell("a", "other") is None and folder.cell("b", "k") is None
    (tmp_path / "out" / "cells" / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(StcsimError, match="delete it to count them again"):
        folder.cell("a", "k")


def test_a_state_comes_back_as_it_went(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out", "tiny")
    scales = {"0": Amax(torch.tensor(3.0), torch.arange(4.0))}
    folder.keep_state("a b/c", "key", State({"0.weight": torch.ones(4, 4)}, {"0": torch.eye(4) > 0}, scales, "int8", 0.5))
    state = folder.state("a b/c", "key")
    assert state and (state.dtype, state.loss) == ("int8", 0.5)
    assert torch.equal(state.masks["0"], torch.eye(4) > 0) and torch.equal(state.scales["0"].weight, torch.arange(4.0))
    assert folder.state("a b/c", "another key") is None and not (tmp_path / "out" / "a b").exists()


def test_gpus_and_orders_that_are_none_are_refused_before_any_work(tmp_path: Path) -> None:
    for options, found in (({"arch": "a1000"}, "'a1000'"), ({"arch": "a100", "order": "promot=4"}, "'promot")):
        with pytest.raises(StcsimError, match=found):
            workflow(read_recipe(tiny()), out=tmp_path / "out", **options)  # type: ignore[arg-type]
    with pytest.raises(StcsimError, match="batch: expected a whole number above 0"):
        workflow(read_recipe(tiny()), out=tmp_path / "out", batch=0)
    assert not (tmp_path / "out").exists()


def test_a_type_that_no_gpu_has_is_left_out_and_said(tmp_path: Path) -> None:
    fields = tiny(stages={"trained": {"do": "train", "steps": 1, "learning_rate": 0.001}})
    found = workflow(read_recipe(fields), "a100", out=tmp_path / "out")
    assert {row.dtype for row in found.rows} == {"fp16", "int8"} and "none of the GPUs has fp8" in found.notes


def test_a_transformer_learns_from_its_teachers_relations(tmp_path: Path) -> None:
    relations = {
        "do": "train", "after": "trained", "steps": 2, "learning_rate": 0.001, "distil": {"teacher": "trained", "relations": 1.0},
    }  # fmt: skip
    found = workflow(
        read_recipe(tiny_text(student=relations, pruned={"do": "prune", "after": "student", "method": "sparsegpt"})),
        "a100,h100", out=tmp_path / "out", order="promote=4",
    )  # fmt: skip
    assert found.metric == "bits" and {row.stage for row in found.rows} == {"trained", "student", "pruned"}
    assert found.row("pruned", "fp16").sparse_layers == 7, "queries, keys, values, output, two of the block, and the head"
    assert any(note.startswith("the text is that of Python") for note in found.notes)
    assert found.order == "promote=4" and "fp8 kernels add in the order promote=4" in found.notes


def test_distillation_of_a_network_by_itself_is_the_loss_on_data_alone() -> None:
    model = build("transformer", 10, {"channels": 32, "heads": 2, "hidden": 64, "layers": 1, "length": 8}, 0)
    x = torch.randint(0, 10, (4, 8), generator=torch.Generator().manual_seed(0))
    alone, together = on_data(model, x, x), Distillation(model, 1.0, 1.0, 2.0)(model, x, x)
    assert torch.allclose(alone, together, atol=1e-6)
    other = build("transformer", 10, {"channels": 32, "heads": 2, "hidden": 64, "layers": 1, "length": 8}, 1)
    answered, related = (Distillation(other, *weights, 2.0)(model, x, x) - alone for weights in ((1.0, 0.0), (0.0, 1.0)))
    assert answered > 1e-4 and related > 1e-4


def test_scores_have_the_standard_error_of_their_samples() -> None:
    found = torch.zeros(100, 2)
    found[:, 0] = 1
    right = score(found, datasets.Part(np.zeros((100, 1)), np.repeat([0, 1], [90, 10])))
    assert right.value == pytest.approx(90) and right.error == pytest.approx(3)  # 100 * sqrt(0.9 * 0.1 / 100)
    bits = score(torch.zeros(4, 8, 5), datasets.Part(np.zeros((4, 5)), np.zeros((4, 5), np.int64)))
    assert bits.value == pytest.approx(3) and bits.error == pytest.approx(0)


def test_a_network_on_the_datapath_says_what_it_says_in_fp32_but_for_rounding() -> None:
    model = build("conv2d", 10, {"channels": 16}, 0).eval()
    part = datasets.Part(np.random.default_rng(0).standard_normal((8, 1, 8, 8)).astype(np.float32), np.zeros(8, np.int64))
    calls: list[int] = []
    with deterministic():
        found = on_datapath(model, part, "a100", "fp16", (), {}, lambda: calls.append(1))
        assert found.expanded is None and found.simulated == score(answers(model, part), part) and calls == [1]


def test_layers_and_channels_are_named_as_tensors_are() -> None:
    for kind, sizes in (("conv1d", {"channels": 16}), ("conv2d", {"channels": 16}),
                        ("transformer", {"channels": 32, "heads": 2, "hidden": 64, "layers": 2, "length": 8})):  # fmt: skip
        model = build(kind, 10, sizes, 0)
        tensors = dict(model.named_parameters())
        for channels in free_channels(model):
            counts = {tensors[name].shape[dimension] for name, dimension in channels.carriers}
            assert len(counts) == 1 and set(channels.readers) <= set(products(model))
