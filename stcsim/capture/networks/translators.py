"""Encoder-decoder networks that turn text or speech into text; the decoder sees its whole target at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stcsim.capture.networks.inputs import source_target_tokens, speech, tokens
from stcsim.capture.networks.network import OURS, Network

if TYPE_CHECKING:
    from torch import nn

_LENGTHS = ("tokens", "target_tokens")

#: config.json of openai/whisper-small (sizes only).
_WHISPER_SMALL: dict[str, Any] = {
    "vocab_size": 51865,
    "d_model": 768,
    "num_mel_bins": 80,
    **{f"{part}_layers": 12 for part in ("encoder", "decoder")},
    **{f"{part}_attention_heads": 12 for part in ("encoder", "decoder")},
    **{f"{part}_ffn_dim": 3072 for part in ("encoder", "decoder")},
}


def _gnmt() -> nn.Module:
    from stcsim.capture.zoo.gnmt import GNMT

    return GNMT()


def _transformer(width: int, heads: int) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import MarianConfig, MarianMTModel

        sizes: dict[str, Any] = {"vocab_size": 37000, "d_model": width, "activation_function": "relu"}
        sizes |= {"pad_token_id": 0, "decoder_start_token_id": 0}
        for part in ("encoder", "decoder"):
            sizes |= {f"{part}_layers": 6, f"{part}_ffn_dim": 4 * width, f"{part}_attention_heads": heads}
        model: nn.Module = MarianMTModel(MarianConfig(scale_embedding=True, **sizes))
        return model

    return build


def _t5_small() -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    model: nn.Module = T5ForConditionalGeneration(T5Config())
    return model


def _whisper_small() -> nn.Module:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    model: nn.Module = WhisperForConditionalGeneration(WhisperConfig(**_WHISPER_SMALL))
    return model


def _known_transformer(size: str, width: int, heads: int) -> Network:
    return Network(
        title=f"Transformer {size}, en-de, {{}} + {{}} tokens",
        library="transformers",
        model="MarianMTModel",
        notes=f"sizes of arXiv 1706.03762: 6 + 6 layers, {width} wide, {heads} heads, 37000 words shared; logits of every token",
        input_names=_LENGTHS,
        input_shape=(30, 30),
        build=_transformer(width, heads),
        inputs=source_target_tokens,
    )


TRANSLATORS: dict[str, Network] = {
    "gnmt": Network(
        title="GNMT-like, 8 + 8 LSTM layers, {} + {} tokens",
        library=OURS,
        model="zoo.gnmt.GNMT",
        notes="as NVIDIA/DeepLearningExamples runs it, with 8 + 8 layers; 1024 wide, 32000 words, the lowest encoder layer "
        "in both directions; targets known; logits of every token",
        input_names=_LENGTHS,
        input_shape=(50, 50),
        build=_gnmt,
        inputs=tokens,
    ),
    "transformer-base": _known_transformer("base", 512, 8),
    "transformer-big": _known_transformer("big", 1024, 16),
    "t5-small": Network(
        title="T5-small, {} source and {} target tokens",
        library="transformers",
        model="T5ForConditionalGeneration",
        notes="default T5Config: 6 + 6 layers, 512 wide, 8 heads; logits of every target token",
        input_names=_LENGTHS,
        input_shape=(512, 128),
        build=_t5_small,
        inputs=source_target_tokens,
    ),
    "whisper-small": Network(
        title="Whisper small, {} frames and {} tokens",
        library="transformers",
        model="WhisperForConditionalGeneration",
        notes="sizes of openai/whisper-small: 12 + 12 layers, 768 wide, 12 heads; 3000 frames are 30 s; logits of every token",
        input_names=("frames", "tokens"),
        input_shape=(3000, 128),
        build=_whisper_small,
        inputs=speech(_WHISPER_SMALL["num_mel_bins"]),
    ),
}
