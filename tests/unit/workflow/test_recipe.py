"""Recipes: is what is wrong with one said in one sentence, and is the small version a smaller one?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stcsim.errors import StcsimError
from stcsim.workflow import load_recipe, recipe_names
from stcsim.workflow.reading import read_recipe
from stcsim.workflow.recipe import Train
from tests.unit.workflow.recipes import tiny

Fields = dict[str, Any]
Change = Callable[[Fields], object]

TRANSFORMER = {"kind": "transformer", "channels": 32, "heads": 2, "hidden": 64, "layers": 1, "length": 16}
MISTAKES: dict[str, tuple[Change, str]] = {
    "a field that is no field": (
        lambda r: r.update(batchs=3),
        "batchs: expected one of .*, found 'batchs' (did you mean 'batch'?)",
    ),
    "a field that is missing": (lambda r: r.pop("batch"), "batch: expected a value, found no such field"),
    "a data set that is none": (
        lambda r: r["data"].update(set="mnist"),
        "data: set: expected one of mnist1d, digits, text, found 'mnist'",
    ),
    "a network that is none": (
        lambda r: r["model"].update(kind="conv"),
        "model: kind: expected one of conv1d, conv2d, transformer, found 'conv'",
    ),
    "a size of another network": (
        lambda r: r["model"].update(heads=2),
        "model: heads: expected no such size for conv2d, found a number",
    ),
    "heads that do not divide": (
        lambda r: r.update(data={"set": "text"}, model={**TRANSFORMER, "heads": 3}),
        "model: heads: expected a divisor of 32 channels, found 3",
    ),
    "a sample of text that is too long": (
        lambda r: r.update(data={"set": "text"}, model={**TRANSFORMER, "length": 10**6}),
        "model: length: expected at most 1,024 characters, found 1,000,000",
    ),
    "channels that cannot be pruned": (
        lambda r: r["model"].update(channels=24),
        "model: channels: expected a multiple of 16, which can be pruned, found 24",
    ),
    "a network for other data": (
        lambda r: r["data"].update(set="mnist1d"),
        "model: kind: expected conv1d, the network for mnist1d, found 'conv2d'",
    ),
    "digits that are augmented": (
        lambda r: r.update(augment=True),
        "augment: expected false, since digits was made by no transformations, found true",
    ),
    "a stage of no kind": (
        lambda r: r["stages"]["one-shot"].update(do="prun"),
        "stages: one-shot: do: expected one of train, prune, calibrate, found 'prun' (did you mean 'prune'?)",
    ),
    "a stage without a kind": (
        lambda r: r["stages"]["one-shot"].pop("do"),
        "stages: one-shot: do: expected one of train, prune, calibrate, found none",
    ),
    "a field that no stage has": (
        lambda r: r["stages"]["trained"].update(stepz=3),
        "stages: trained: stepz: expected one of .*, found 'stepz' (did you mean 'steps'?)",
    ),
    "a stage after one that is none": (
        lambda r: r["stages"]["retrained"].update(after="one-shoot"),
        "stages: retrained: after: expected a stage before it (trained, one-shot), found 'one-shoot' (did you mean 'one-shot'?)",
    ),
    "pruning after nothing": (
        lambda r: r["stages"]["one-shot"].pop("after"),
        "stages: one-shot: after: expected a stage before it (trained), found none",
    ),
    "steps below one": (
        lambda r: r["stages"]["trained"].update(steps=0),
        "stages: trained: steps: expected a number above 0, found 0",
    ),
    "a teacher that is none": (
        lambda r: r["stages"]["sparse-qat"]["distil"].update(teacher="dense"),
        "stages: sparse-qat: distil: teacher: expected a stage before it (trained, one-shot, retrained), found 'dense'",
    ),
    "relations without attention": (
        lambda r: r["stages"]["sparse-qat"]["distil"].update(relations=1.0),
        "distil: relations: expected 0, since conv2d has no self-attention, found 1",
    ),
    "a pattern that no kernel takes": (
        lambda r: r["stages"]["one-shot"].update(keep="1:4"),
        "stages: one-shot: keep: expected 2:4 or 3:4, found '1:4'",
    ),
    "sparsegpt of convolutions": (
        lambda r: r["stages"]["one-shot"].update(method="sparsegpt"),
        "stages: one-shot: method: expected magnitude (ModelOpt's sparsegpt cuts groups of four from (c, r, s), .*), found",
    ),
    "entropy of fp8": (
        lambda r: r["stages"].update(scales={"do": "calibrate", "after": "trained", "dtype": "fp8", "methods": ["entropy"]}),
        "stages: scales: methods: expected any of max, percentile, mse for fp8, found 'entropy'",
    ),
    "a stage left out that is none": (
        lambda r: r["quick"].update(leave_out=["retraind"]),
        "quick: leave_out: expected names of stages, found 'retraind' (did you mean 'retrained'?)",
    ),
    "stages as a list": (lambda r: r.update(stages=[]), "stages: expected a mapping of names to values, found []"),
    "no stages": (lambda r: r.update(stages={}), "stages: expected at least one stage, found none"),
}


def pattern(sentence: str) -> str:
    """Return a sentence as a pattern, in which ``.*`` stands for anything."""
    import re

    return ".*".join(re.escape(part) for part in sentence.split(".*"))


@pytest.mark.parametrize(("change", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_recipe_is_one_sentence(change: Change, sentence: str) -> None:
    fields = tiny()
    change(fields)
    with pytest.raises(StcsimError, match=pattern(sentence)) as refusal:
        read_recipe(fields)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("fields", [None, 3, [], {1: 2}])
def test_what_is_no_mapping_is_no_recipe(fields: object) -> None:
    with pytest.raises(StcsimError, match="recipe: expected a mapping with name, title, data"):
        read_recipe(fields)


def test_a_file_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(tiny(batchs=3)), encoding="utf-8")
    with pytest.raises(StcsimError, match="^mine.yaml: recipe 'tiny': batchs|^mine.yaml: batchs"):
        load_recipe(file)
    file.write_text("stages: [", encoding="utf-8")
    with pytest.raises(StcsimError, match="^mine.yaml"):
        load_recipe(file)


def test_a_name_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(StcsimError, match=r"recipe: expected one of the recipes that ship .*found 'mnist1', .*'mnist1d'"):
        load_recipe("mnist1")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_has_dense_beside_pruned_with_the_same_extra_steps(name: str) -> None:
    recipe = load_recipe(name.upper())
    assert recipe.name == name
    stages = {stage: recipe.stages[stage] for stage in ("dense", "retrained", "progressive", "permuted")}
    extra = {stage: steps_since(recipe, stage, "trained") for stage in stages}
    assert len(set(extra.values())) == 1, extra
    assert steps_since(recipe, "dense-qat", "dense") == steps_since(recipe, "sparse-qat", "retrained")
    rates = {each.learning_rate for stage, each in stages.items() if isinstance(each, Train)}
    assert len(rates) == 1


def steps_since(recipe: Any, stage: str, first: str) -> int:
    """Return the steps of training from one stage to another."""
    steps, at = 0, stage
    while at != first:
        steps += getattr(recipe.stages[at], "steps", 0)
        at = recipe.stages[at].after
    return steps


@pytest.mark.parametrize("name", recipe_names())
def test_the_small_version_has_fewer_steps_and_samples(name: str) -> None:
    recipe = load_recipe(name)
    small = recipe.small()
    assert set(small.stages) < set(recipe.stages) and small.sha256 != recipe.sha256
    assert steps_since(small, "retrained", "trained") < steps_since(recipe, "retrained", "trained")
    assert small.data.test_samples and small.small().sha256 != recipe.sha256


def test_a_small_version_whose_stages_lack_what_they_need_is_refused() -> None:
    fields = tiny()
    fields["quick"]["leave_out"] = ["one-shot"]
    with pytest.raises(StcsimError, match="quick: stages: retrained: after: expected a stage before it"):
        read_recipe(fields).small()
