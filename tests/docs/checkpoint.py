"""The checkpoint that the documents look at and prune: a folder as Hugging Face's, of a BERT with two small layers.

Weights are seeded random numbers in fp16, whose channels differ in size as those of trained networks do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stcsim.checkpoint.writing import Planned, writing_safetensors

HIDDEN, INNER, LAYERS, HEADS, WORDS = 128, 512, 2, 2, 500


def make_checkpoint(folder: Path) -> None:
    """Write ``model.safetensors`` and ``config.json`` into a new folder."""
    folder.mkdir()
    shapes = dict(_shapes())
    config = {"model_type": "bert", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    path, planned = folder / "model.safetensors", [Planned(name, "fp16", shape) for name, shape in shapes.items()]
    random = np.random.default_rng(0)
    with writing_safetensors(path, path, planned, {"format": "pt"}) as writer:
        for name, shape in shapes.items():
            numbers = random.standard_normal(shape) * np.exp(random.standard_normal(shape[-1]) / 2) / 16
            writer.write(name, iter([numbers.astype(np.float16)]))


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "bert.embeddings.word_embeddings.weight", (WORDS, HIDDEN)
    for at in range(LAYERS):
        layer = f"bert.encoder.layer.{at}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _linear(f"{layer}.attention.{name}", HIDDEN, HIDDEN)
        yield from _linear(f"{layer}.intermediate.dense", INNER, HIDDEN)
        yield from _linear(f"{layer}.output.dense", HIDDEN, INNER)
        yield from ((f"{layer}.{norm}.{part}", (HIDDEN,)) for norm in _NORMS for part in ("weight", "bias"))
    yield from _linear("classifier", 3, HIDDEN)


_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)
