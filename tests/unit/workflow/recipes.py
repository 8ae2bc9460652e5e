"""Small recipes for tests, as plain values that a test may change."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

_TINY: dict[str, Any] = {
    "name": "tiny",
    "title": "a few steps on digits",
    "data": {"set": "digits", "test_samples": 40},
    "model": {"kind": "conv2d", "channels": 16},
    "batch": 32,
    "stages": {
        "trained": {"do": "train", "steps": 12, "learning_rate": 0.003},
        "one-shot": {"do": "prune", "after": "trained"},
        "retrained": {"do": "train", "after": "one-shot", "steps": 6, "learning_rate": 0.003},
        "sparse-qat": {
            "do": "train", "after": "retrained", "steps": 3, "learning_rate": 0.001, "quantise": "int8",
            "distil": {"teacher": "trained"},
        },
    },
    "quick": {"steps": 0.5, "test_samples": 20},
}  # fmt: skip


def tiny(**changes: Any) -> dict[str, Any]:
    """Return a recipe of some steps, with some of its fields changed."""
    return deepcopy({**_TINY, **changes})


def tiny_text(**stages: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe of a very small transformer."""
    model = {"kind": "transformer", "channels": 32, "heads": 2, "hidden": 64, "layers": 1, "length": 16}
    first = {"trained": {"do": "train", "steps": 4, "learning_rate": 0.003}}
    return tiny(name="tiny-text", data={"set": "text", "test_samples": 8}, model=model, stages={**first, **stages})
