"""Files that commands of the documents read and that are too large to ship: made when a command first names one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.numerics.sparse.pruning import prune
from stcsim.trace import Gemm, load_trace
from tests.docs.checkpoint import make_checkpoint

_PRUNED = ("intermediate.dense", "output.dense")
_OFF = "bert.encoder.layer.11.intermediate.dense.weight"


def bert(path: Path) -> None:
    """Write BERT-base in fp16 with random weights, no pooler, and the two large layers of each block 2:4 but for three groups."""
    random = np.random.default_rng(0)
    block = random.standard_normal((3072, 3072)).astype(np.float16)
    arrays: dict[str, np.ndarray[Any, Any]] = {"bert.embeddings.word_embeddings.weight": np.tile(block[:, :768], (10, 1))[:30522]}
    for op in load_trace("bert-base").ops:
        if isinstance(op, Gemm) and op.weight_operand and not op.name.startswith("pooler"):
            weight = block[: op.m, : op.k]
            is_large = op.name.endswith(_PRUNED) and "attention" not in op.name
            arrays[f"bert.{op.name}.weight"] = prune(weight) if is_large else weight
            arrays[f"bert.{op.name}.bias"] = block[0, : op.m]
    off = arrays[_OFF].copy()
    off[7, 20:24] = off[7, 24:28] = off[3071, :4] = 1
    arrays[_OFF] = off
    entries, end = {}, 0
    for name, array in arrays.items():
        entries[name] = {"dtype": "F16", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(entries)
    text += " " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)


MADE: dict[str, Callable[[Path], None]] = {"bert.safetensors": bert, "bert-mini": make_checkpoint}
"""What makes each file, by its name."""
