"""Files of folds for ``prune``: damaged trees and texts; a permuted network must compute what it did."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case
from tests.fuzz.kinds.checkpoint_files import Whole, written

_FOLDS: list[Any] = [
    {"makers": ["one"], "vectors": ["norm.scale"], "takers": ["two"]},
    {"makers": ["conv1"], "vectors": [], "takers": ["conv2"]},
    {"makers": ["l.0.gate_proj", "l.0.up_proj"], "takers": ["l.0.down_proj"]},
]
_SHAPES = {
    "one.weight": (16, 12), "one.bias": (16,), "norm.scale": (16,), "two.weight": (8, 16), "conv1.weight": (8, 4, 3, 3),
    "conv2.weight": (4, 8, 1, 1), "l.0.gate_proj.weight": (16, 8), "l.0.up_proj.weight": (16, 8), "l.0.down_proj.weight": (8, 16),
}  # fmt: skip


def setup() -> dict[str, bytes]:
    """Make the network, of whole numbers, whose sums are exact in any order."""
    import numpy as np

    drawn = np.random.default_rng(0)
    arrays = {name: drawn.integers(-8, 9, shape).astype(np.float32) for name, shape in _SHAPES.items()}
    return written(Whole({"x.safetensors": arrays}, {}))


def make(state: dict[str, bytes], rng: random.Random, index: int) -> Case:
    """Damage a file of folds, and permute with it."""
    import yaml

    folds = rng.sample(_FOLDS, rng.randint(1, len(_FOLDS)))
    part = rng.choices(("as it is", "tree", "names", "text"), (10, 45, 25, 20))[0]
    if part == "tree":
        data = _dumped(yaml, rng, damage.tree(rng, folds))
    elif part == "names":
        data = _dumped(yaml, rng, _renamed(rng, json.loads(json.dumps(folds))))
    elif part == "text":
        data = damage.text(rng, yaml.safe_dump(folds))
    else:
        data = _dumped(yaml, rng, folds)
    permute = rng.choice((True, "only"))

    def call() -> Any:
        import stcsim

        return stcsim.prune_checkpoint("x.safetensors", "out.safetensors", permute=permute, fold="f.yaml")

    def check(report: Any) -> list[str]:
        return _same_network() if permute == "only" and part == "as it is" else []

    return Case(part, f"permute={permute} {damage.shown(data)}", call, check, {**state, "f.yaml": data}, spotless=True)


def _dumped(yaml: Any, rng: random.Random, tree: Any) -> bytes:
    try:
        text = json.dumps(tree) if rng.random() < 0.5 else yaml.safe_dump(tree, allow_unicode=True)
    except (yaml.YAMLError, RecursionError, ValueError):
        text = "[]"
    return str(text).encode("utf-8", "surrogatepass")


def _renamed(rng: random.Random, folds: list[Any]) -> list[Any]:
    """Exchange names for others that the network has."""
    known = [*_SHAPES, *(name.removesuffix(".weight") for name in _SHAPES)]
    for _ in range(rng.randint(1, 3)):
        rng.choice(folds)[rng.choice(("makers", "vectors", "takers"))] = rng.sample(known, rng.randint(0, 3))
    return folds


def _same_network() -> list[str]:
    """Two layers after each other must compute what they did before their channels were permuted."""
    import numpy as np

    from stcsim.checkpoint import open_checkpoint

    with open_checkpoint("x.safetensors") as before, open_checkpoint("out.safetensors") as after:

        def product(one: Any) -> Any:
            return one["two.weight"].codes() @ (one["norm.scale"].codes()[:, None] * one["one.weight"].codes())

        def gated(one: Any) -> Any:
            made = one["l.0.gate_proj.weight"].codes().sum(axis=1) * one["l.0.up_proj.weight"].codes().sum(axis=1)
            return one["l.0.down_proj.weight"].codes() @ made

        same = np.array_equal(product(before), product(after)) and np.array_equal(gated(before), gated(after))
    return [] if same else ["a permuted network computes something else | "]
