"""Transformer encoders: BERT, vision transformers, and the encoder of SAM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stcsim.capture.networks.inputs import images, tokens
from stcsim.capture.networks.network import IMAGE, Network

if TYPE_CHECKING:
    from torch import nn

Sizes = dict[str, Any]

_BERT_LARGE: Sizes = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}

_VIT_LARGE: Sizes = dict(_BERT_LARGE)

#: config.json of facebook/sam-vit-huge, vision part.
_SAM_HUGE: Sizes = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "mlp_dim": 5120,
    "global_attn_indexes": [7, 15, 23, 31],
    "image_size": 1024,
    "window_size": 14,
}


def _bert(sizes: Sizes) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import BertConfig, BertModel

        model: nn.Module = BertModel(BertConfig(**sizes))
        return model

    return build


def _vit(sizes: Sizes) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import ViTConfig, ViTForImageClassification

        model: nn.Module = ViTForImageClassification(ViTConfig(num_labels=1000, **sizes))
        return model

    return build


def _sam() -> nn.Module:
    from transformers import SamVisionConfig, SamVisionModel

    model: nn.Module = SamVisionModel(SamVisionConfig(**_SAM_HUGE))
    return model


def _known_bert(size: str, notes: str, sizes: Sizes, length: int) -> Network:
    return Network(
        title=f"BERT-{size} encoder with pooler, {{}} tokens",
        library="transformers",
        model="BertModel",
        notes=notes + "; query, key and value are separate GEMMs",
        input_names=("tokens",),
        input_shape=(length,),
        build=_bert(sizes),
        inputs=tokens,
    )


def _known_vit(title: str, notes: str, sizes: Sizes) -> Network:
    return Network(
        title=title + ", {}x{}x{}",
        library="transformers",
        model="ViTForImageClassification",
        notes=f"image classification, {notes}, patches of 16x16, 1000 classes; query, key and value are separate GEMMs",
        input_names=IMAGE,
        input_shape=(3, 224, 224),
        build=_vit(sizes),
        inputs=images,
    )


_BASE = "default BertConfig: 12 layers, 768 wide, 12 heads"
_LARGE = "24 layers, 1024 wide, 16 heads"

ENCODERS: dict[str, Network] = {
    "bert-base": _known_bert("base", _BASE, {}, 128),
    "bert-base-384": _known_bert("base", _BASE, {}, 384),
    "bert-large": _known_bert("large", _LARGE, _BERT_LARGE, 128),
    "bert-large-384": _known_bert("large", _LARGE, _BERT_LARGE, 384),
    "vit-b-16": _known_vit("ViT-B/16", "default ViTConfig: 12 layers, 768 wide, 12 heads", {}),
    "vit-l-16": _known_vit("ViT-L/16", _LARGE, _VIT_LARGE),
    "sam-vit-h": Network(
        title="SAM ViT-H image encoder, {}x{}x{}",
        library="transformers",
        model="SamVisionModel",
        notes="sizes of facebook/sam-vit-huge: 32 layers, 1280 wide, 16 heads, windows of 14x14 but in layers 8, 16, 24, 32",
        input_names=IMAGE,
        input_shape=(3, 1024, 1024),
        build=_sam,
        inputs=images,
    ),
}
