"""Do the recipes that ship show what they must, by the figures that were kept, and are these of the recipes of today?"""

from __future__ import annotations

import pytest

from tests.docs.measured import stored
from tests.docs.pages import short
from tests.docs.workflows import WORKFLOWS, kept_recipe, made_with, row_of

AGAIN = "python -m tests.docs.write --workflows DIR makes it anew"


def test_figures_of_recipes_are_those_of_these_recipes_and_this_model() -> None:
    known, now = stored(WORKFLOWS)["made_with"], made_with()
    changed = [name for part in now for name in now[part] if known.get(part, {}).get(name) != now[part][name]]
    assert not changed, f"{short(WORKFLOWS)} was made with other recipes or another model ({', '.join(changed)}); {AGAIN}"


def fp32(name: str, stage: str) -> float:
    value: float = row_of(kept_recipe(name), stage, "fp16", "")["fp32"]["value"]
    return value


def on_datapath(name: str, stage: str) -> dict[str, float]:
    """Return the scores of a stage on the datapath, under both assumptions, by type."""
    rows = {dtype: row_of(kept_recipe(name), stage, dtype, "" if dtype == "fp16" else "max") for dtype in ("fp16", "int8", "fp8")}
    return {
        f"{dtype} {side}": row[side]["value"] for dtype, row in rows.items() for side in ("simulated", "expanded") if row[side]
    }


def test_mnist1d_shows_what_it_must() -> None:
    assert fp32("mnist1d", "dense") >= 92
    assert fp32("mnist1d", "one-shot") <= fp32("mnist1d", "trained") - 5
    for stage in ("retrained", "progressive", "permuted"):
        assert fp32("mnist1d", stage) >= fp32("mnist1d", "dense") - 1, stage
    for cell, score in on_datapath("mnist1d", "retrained").items():
        assert abs(score - fp32("mnist1d", "retrained")) <= 1, cell


def test_text_shows_what_it_must() -> None:
    assert fp32("text", "one-shot") >= fp32("text", "trained") + 0.2
    assert fp32("text", "retrained") <= fp32("text", "dense") + 0.05
    for cell, score in on_datapath("text", "retrained").items():
        assert abs(score - fp32("text", "retrained")) <= 0.05, cell


def test_digits_show_what_they_must() -> None:
    for stage in ("retrained", "progressive", "permuted"):
        assert fp32("digits", stage) >= fp32("digits", "dense") - 1, stage
    for cell, score in on_datapath("digits", "retrained").items():
        assert abs(score - fp32("digits", "retrained")) <= 1, cell


@pytest.mark.parametrize("name", ["mnist1d", "digits", "text"])
def test_every_pruned_cell_has_both_assumptions_and_no_score_depends_on_them(name: str) -> None:
    recipe = kept_recipe(name)
    room = 0.5 if recipe["metric"] == "accuracy" else 0.005
    for row in recipe["rows"]:
        assert (row["expanded"] is not None) == row["pruned"]
        if row["pruned"]:
            assert abs(row["simulated"]["value"] - row["expanded"]["value"]) <= room
            assert row["differing"] == 0 or row["dtype"] != "int8"
