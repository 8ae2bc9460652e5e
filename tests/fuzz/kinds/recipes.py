"""Recipes of workflows (YAML): shipped ones damaged as trees and as texts, or changed gently; they are read, not run."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case

_WORDS = (
    "train",
    "prune",
    "calibrate",
    "int8",
    "fp8",
    "2:4",
    "3:4",
    "sparsegpt",
    "magnitude",
    "max",
    "mse",
    "entropy",
    "text",
    "digits",
)
_NUMBERS = (0, 1, 3, 16, 17, 64, 0.5, 1.0, 1e-9, 10, 1000, 1025, 2**31, -1, True)


def setup() -> dict[str, Any]:
    """Read the recipes that ship."""
    import yaml

    from stcsim.data import data_folder

    texts = [path.read_text(encoding="utf-8") for path in sorted(data_folder("recipes").glob("*.yaml"))]
    return {"texts": texts, "trees": [yaml.safe_load(text) for text in texts]}


def _gentle(rng: random.Random, tree: Any) -> Any:
    """Exchange leaves for others that some leaf may have, and names of stages for each other."""
    import copy

    made = copy.deepcopy(tree)
    stages = list(made["stages"])
    for _ in range(rng.randint(1, 4)):
        node, key = rng.choice([(node, key) for node, key in damage.places(made) if not isinstance(node[key], dict | list)])
        old = node[key]
        if isinstance(old, str):
            node[key] = rng.choice((*_WORDS, *stages))
        elif isinstance(old, bool):
            node[key] = not old
        else:
            node[key] = rng.choice(_NUMBERS)
    return made


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage a recipe, and read it."""
    import yaml

    which = rng.randrange(len(state["texts"]))
    part = rng.choices(("as it is", "gentle", "tree", "text"), (5, 35, 35, 25))[0]
    tree = state["trees"][which]
    if part == "text":
        data = damage.text(rng, state["texts"][which])
    else:
        made = {"tree": damage.tree, "gentle": _gentle, "as it is": lambda _, same: same}[part](rng, tree)
        try:
            data = yaml.safe_dump(made, sort_keys=False, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        except (yaml.YAMLError, RecursionError, ValueError):
            data = b"{}"

    def call() -> Any:
        from stcsim.workflow.reading import load_recipe, read_recipe

        recipe = load_recipe("./r.yaml")
        small = recipe.small()
        return recipe, small, read_recipe(recipe.model_dump(mode="json"))

    def check(found: Any) -> list[str]:
        recipe, small, again = found
        wrong = [] if again == recipe and again.sha256 == recipe.sha256 else ["a recipe as plain values and back is another | "]
        if not set(small.stages) <= set(recipe.stages):
            wrong.append("the quick version has stages of its own | ")
        return wrong

    return Case(part, f"recipe {which}, {damage.shown(data, 1500)}", call, check, {"r.yaml": data})
