"""What recipes must show, on their small versions: the same claims as the full ones, with room for few steps and samples.

The full versions take a quarter of an hour; what they came to stands in docs/workflow.md and is held there
(``tests/docs/test_workflows.py``).
"""

from __future__ import annotations

import pytest

pytest.importorskip("modelopt", reason="needs nvidia-modelopt")
pytest.importorskip("sklearn")

from stcsim.workflow import WorkflowResult, workflow


def run(name: str, tmp_path_factory: pytest.TempPathFactory) -> WorkflowResult:
    return workflow(name, "a100,h100", quick=True, out=tmp_path_factory.mktemp(name) / "out")


@pytest.fixture(scope="module")
def mnist1d(tmp_path_factory: pytest.TempPathFactory) -> WorkflowResult:
    return run("mnist1d", tmp_path_factory)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> WorkflowResult:
    return run("digits", tmp_path_factory)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> WorkflowResult:
    return run("text", tmp_path_factory)


def fp32(result: WorkflowResult, stage: str) -> float:
    return result.row(stage, "fp16" if stage not in ("dense-qat", "sparse-qat") else "int8").fp32.value


def worst_on_the_datapath(result: WorkflowResult, stage: str) -> float:
    """Return the largest distance, in any type and under either assumption, between the datapath and fp32."""
    rows = [row for row in result.rows if row.stage == stage]
    assert {row.dtype for row in rows} == {"fp16", "int8", "fp8"}
    scores = [score for row in rows for score in (row.simulated, row.expanded) if score]
    return max(abs(score.value - fp32(result, stage)) for score in scores)


def test_mnist1d_pruned_at_once_loses_much_and_training_again_brings_it_back(mnist1d: WorkflowResult) -> None:
    assert fp32(mnist1d, "dense") > 88
    assert fp32(mnist1d, "one-shot") < fp32(mnist1d, "trained") - 5
    for stage in ("retrained", "progressive"):
        assert fp32(mnist1d, stage) > fp32(mnist1d, "dense") - 4, stage
    assert fp32(mnist1d, "permuted-one-shot") > fp32(mnist1d, "one-shot")


def test_mnist1d_on_the_datapath_is_within_two_points_of_fp32(mnist1d: WorkflowResult) -> None:
    assert worst_on_the_datapath(mnist1d, "dense") <= 2 and worst_on_the_datapath(mnist1d, "retrained") <= 2


def test_digits_lose_nothing_to_speak_of(digits: WorkflowResult) -> None:
    assert fp32(digits, "dense") > 95
    for stage in ("retrained", "progressive", "sparse-qat"):
        assert fp32(digits, stage) > fp32(digits, "dense") - 2.5, stage
    assert worst_on_the_datapath(digits, "retrained") <= 1.5


def test_text_pruned_at_once_is_worse_and_training_again_brings_most_of_it_back(text: WorkflowResult) -> None:
    lost = fp32(text, "one-shot") - fp32(text, "trained")
    assert lost > 0.1 and fp32(text, "retrained") < fp32(text, "one-shot") - 0.3
    assert abs(fp32(text, "retrained") - fp32(text, "dense")) < 0.3


def test_text_on_the_datapath_is_within_a_hundredth_of_a_bit(text: WorkflowResult) -> None:
    assert worst_on_the_datapath(text, "dense") < 0.01 and worst_on_the_datapath(text, "retrained") < 0.01


def test_both_assumptions_about_sparse_instructions_change_bits_and_no_score(
    mnist1d: WorkflowResult, digits: WorkflowResult, text: WorkflowResult
) -> None:
    for result, room in ((mnist1d, 0.5), (digits, 0.5), (text, 0.002)):
        pairs = [(row, row.expanded) for row in result.rows if row.expanded is not None]
        assert pairs and all(abs(row.simulated.value - expanded.value) <= room for row, expanded in pairs)
        assert any(row.differing for row, _ in pairs if row.dtype != "int8")
        assert not any(row.differing for row, _ in pairs if row.dtype == "int8")
