"""ONNX files as checkpoints: initialisers, external data memory-mapped."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from stcsim.checkpoint.stored import StoredTensor
from stcsim.errors import StcsimError


def read_onnx(path: Path, stack: ExitStack) -> tuple[dict[str, StoredTensor], tuple[Path, ...], frozenset[str]]:
    """Return the initialisers by name, the files beside the model, and which of two dimensions lie as (inputs, outputs)."""
    raise StcsimError(str(path), "a reader of ONNX", "none yet")
