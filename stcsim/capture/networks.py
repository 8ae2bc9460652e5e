"""The networks known by name: which model code, which configuration, which input; built without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]
IMAGE = ("channels", "height", "width")


@dataclass(frozen=True, slots=True)
class Network:
    """One row: a network, how to build it and what to feed it.

    Attributes:
        title: for people, with a place for each number of the input shape.
        model: class in ``library``. notes: its configuration, and the source of it.
        batch: samples in one pass unless a capture asks for another.
        input_names, input_shape: of one sample; a capture may ask for other lengths.
        build: returns the module. inputs: from a batch and an input shape, the arguments of its forward pass.
    """

    title: str
    library: str
    model: str
    notes: str
    batch: int
    input_names: tuple[str, ...]
    input_shape: Shape
    build: Callable[[], nn.Module]
    inputs: Callable[[int, Shape], dict[str, Any]]


def _resnet(layer_type: str, hidden_sizes: Shape) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import ResNetConfig, ResNetForImageClassification

        sizes: dict[str, Any] = {
            "depths": [3, 4, 6, 3],
            "hidden_sizes": list(hidden_sizes),
            "layer_type": layer_type,
            "num_labels": 1000,
        }
        model: nn.Module = ResNetForImageClassification(ResNetConfig(**sizes))
        return model

    return build


def _bert_base() -> nn.Module:
    from transformers import BertConfig, BertModel

    model: nn.Module = BertModel(BertConfig())
    return model


def _llama_3_8b() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    model: nn.Module = LlamaForCausalLM(LlamaConfig(**_LLAMA_3_8B))
    return model


def _image(batch: int, shape: Shape) -> dict[str, Any]:
    import torch

    return {"pixel_values": torch.zeros(batch, *shape)}


def _tokens(batch: int, shape: Shape) -> dict[str, Any]:
    import torch

    return {"input_ids": torch.zeros(batch, shape[0], dtype=torch.long)}


def causal_tokens(batch: int, shape: Shape) -> dict[str, Any]:
    """Return token ids and a ready 4-D mask; without one transformers looks for packed sequences in values meta tensors lack."""
    import torch

    tokens = shape[0]
    mask = torch.ones(batch, 1, tokens, tokens, dtype=torch.bool)
    return {"input_ids": torch.zeros(batch, tokens, dtype=torch.long), "attention_mask": mask}


def _cached_tokens(batch: int, shape: Shape) -> dict[str, Any]:
    import torch
    from transformers import DynamicCache

    tokens, cached = shape
    heads, head_size = _LLAMA_3_8B["num_key_value_heads"], _LLAMA_3_8B["hidden_size"] // _LLAMA_3_8B["num_attention_heads"]
    cache = DynamicCache()
    for layer in range(_LLAMA_3_8B["num_hidden_layers"]):
        keys = torch.zeros(batch, heads, cached, head_size)
        cache.update(keys, keys.clone(), layer)
    mask = torch.ones(batch, 1, tokens, cached + tokens, dtype=torch.bool)
    ids = torch.zeros(batch, tokens, dtype=torch.long)
    return {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}


#: config.json of meta-llama/Meta-Llama-3-8B (sizes only).
_LLAMA_3_8B: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}

_RESNET = "ResNetForImageClassification"
_LLAMA = ("transformers", "LlamaForCausalLM", "sizes of meta-llama/Meta-Llama-3-8B; logits of every token")

NETWORKS: dict[str, Network] = {
    "resnet34": Network(
        "ResNet-34, image classification, {}x{}x{}",
        "transformers",
        _RESNET,
        "basic blocks, depths 3-4-6-3, 1000 classes",
        1,
        IMAGE,
        (3, 224, 224),
        _resnet("basic", (64, 128, 256, 512)),
        _image,
    ),
    "resnet50": Network(
        "ResNet-50 v1.5, image classification, {}x{}x{}",
        "transformers",
        _RESNET,
        "bottleneck blocks with the stride in the 3x3 convolution, depths 3-4-6-3, 1000 classes",
        1,
        IMAGE,
        (3, 224, 224),
        _resnet("bottleneck", (256, 512, 1024, 2048)),
        _image,
    ),
    "bert-base": Network(
        "BERT-base encoder with pooler, {} tokens",
        "transformers",
        "BertModel",
        "default BertConfig: 12 layers, 768 wide, 12 heads; query, key and value are separate GEMMs",
        1,
        ("tokens",),
        (128,),
        _bert_base,
        _tokens,
    ),
    "llama-3-8b-prefill": Network("Llama-3-8B prefill, {} tokens", *_LLAMA, 1, ("tokens",), (2048,), _llama_3_8b, causal_tokens),
    "llama-3-8b-decode": Network(
        "Llama-3-8B decode, {} new after {} cached", *_LLAMA, 8, ("tokens", "cached"), (1, 1024), _llama_3_8b, _cached_tokens
    ),
}
