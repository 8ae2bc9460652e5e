"""The kinds of inputs: a row each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from tests.fuzz.case import Case


class Kind(Protocol):
    """What a module of a kind has."""

    def setup(self) -> Any:
        """Return what all cases share."""

    def make(self, state: Any, rng: random.Random, index: int) -> Case:
        """Return a case, which ``rng`` decides alone."""


@dataclass(frozen=True)
class Row:
    """One kind: its module, what it needs beside the base install, and how many of a thousand inputs are of it."""

    module: str
    share: int
    needs: tuple[str, ...] = ()


KINDS: dict[str, Row] = {
    "traces": Row("traces", 150),
    "archs": Row("archs", 200),
    "gemms": Row("gemms", 20),
    "tables": Row("tables", 100),
    "onnx": Row("onnx_files", 80, ("onnx",)),
    "numerics": Row("numerics", 150, ("ml_dtypes",)),
    "checkpoints": Row("checkpoints", 120),
    "masks": Row("masks", 50),
    "folds": Row("folds", 40),
    "recipes": Row("recipes", 50),
    "studies": Row("studies", 50),
    "scales": Row("scales", 20, ("torch", "safetensors")),
    "lists": Row("lists", 20),
}


def kind_called(name: str) -> Kind:
    """Return the module of a kind: of one that has no row, a module of its own name, which a test of the suite itself has."""
    module: Any = import_module(f"tests.fuzz.kinds.{KINDS[name].module}" if name in KINDS else name)
    return module
