"""Transformer decoders that continue a text: GPT, Transformer-XL, Llama, Mixtral."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stcsim.capture.networks.inputs import cached_tokens, causal_states, causal_tokens, remembered_tokens
from stcsim.capture.networks.network import OURS, Network

if TYPE_CHECKING:
    from torch import nn

Sizes = dict[str, Any]

#: config.json of meta-llama/Meta-Llama-3-8B (sizes only).
_LLAMA_3_8B: Sizes = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}

#: config.json of meta-llama/Meta-Llama-3-70B (sizes only).
_LLAMA_3_70B: Sizes = {
    **_LLAMA_3_8B,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}

#: config.json of mistralai/Mixtral-8x7B-v0.1 (sizes only).
_MIXTRAL_8X7B: Sizes = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}

#: Sizes of the base model in NVIDIA/DeepLearningExamples, whose heads are 64 wide.
_TRANSFORMER_XL: Sizes = {"vocabulary": 267735, "width": 512, "heads": 8, "inner": 2048, "depth": 16}

_GPT3_WIDTH, _GPT3_HEADS = 12288, 96

#: The same function as transformers' own default for GPT-2, but one operator instead of eight.
_GELU = "gelu_pytorch_tanh"


def _gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    model: nn.Module = GPT2LMHeadModel(GPT2Config(activation_function=_GELU, use_cache=False))
    return model


def _gpt3_block() -> nn.Module:
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    sizes: Sizes = {"n_embd": _GPT3_WIDTH, "n_head": _GPT3_HEADS, "n_layer": 1, "attn_implementation": "sdpa"}
    block: nn.Module = GPT2Block(GPT2Config(activation_function=_GELU, **sizes), layer_idx=0)
    return block


def _transformer_xl() -> nn.Module:
    from stcsim.capture.zoo.transformer_xl import TransformerXL

    return TransformerXL(**_TRANSFORMER_XL)


def _llama(sizes: Sizes) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import LlamaConfig, LlamaForCausalLM

        model: nn.Module = LlamaForCausalLM(LlamaConfig(**sizes))
        return model

    return build


def _mixtral() -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM

    model: nn.Module = MixtralForCausalLM(MixtralConfig(**_MIXTRAL_8X7B))
    return model


def _prefill(size: str, sizes: Sizes) -> Network:
    return Network(
        title=f"Llama-3-{size} prefill, {{}} tokens",
        library="transformers",
        model="LlamaForCausalLM",
        notes=f"sizes of meta-llama/Meta-Llama-3-{size}; logits of every token",
        input_names=("tokens",),
        input_shape=(2048,),
        build=_llama(sizes),
        inputs=causal_tokens,
    )


def _decode(size: str, sizes: Sizes) -> Network:
    head_size = sizes["hidden_size"] // sizes["num_attention_heads"]
    return Network(
        title=f"Llama-3-{size} decode, {{}} new after {{}} cached",
        library="transformers",
        model="LlamaForCausalLM",
        notes=f"sizes of meta-llama/Meta-Llama-3-{size}; logits of every token",
        input_names=("tokens", "cached"),
        input_shape=(1, 1024),
        build=_llama(sizes),
        inputs=cached_tokens(sizes["num_hidden_layers"], sizes["num_key_value_heads"], head_size),
        batch=8,
    )


DECODERS: dict[str, Network] = {
    "transformer-xl": Network(
        title="Transformer-XL, {} tokens, {} remembered",
        library=OURS,
        model="zoo.transformer_xl.TransformerXL",
        notes="sizes of base in NVIDIA/DeepLearningExamples: 16 layers, 512 wide, 8 heads; without the adaptive softmax",
        input_names=("tokens", "memory"),
        input_shape=(192, 192),
        build=_transformer_xl,
        inputs=remembered_tokens(_TRANSFORMER_XL["width"], _TRANSFORMER_XL["depth"]),
    ),
    "gpt2": Network(
        title="GPT-2, {} tokens",
        library="transformers",
        model="GPT2LMHeadModel",
        notes="default GPT2Config: 12 layers, 768 wide, 12 heads; logits of every token",
        input_names=("tokens",),
        input_shape=(1024,),
        build=_gpt2,
        inputs=causal_tokens,
    ),
    "gpt3-175b-block": Network(
        title="a block of GPT-3 175B, {} tokens",
        library="transformers",
        model="GPT2Block",
        notes="sizes of arXiv 2005.14165: one block of 96: 12288 wide, 96 heads of 128; dense attention",
        input_names=("tokens",),
        input_shape=(2048,),
        build=_gpt3_block,
        inputs=causal_states(_GPT3_WIDTH),
    ),
    "llama-3-8b-prefill": _prefill("8B", _LLAMA_3_8B),
    "llama-3-8b-decode": _decode("8B", _LLAMA_3_8B),
    "llama-3-70b-prefill": _prefill("70B", _LLAMA_3_70B),
    "llama-3-70b-decode": _decode("70B", _LLAMA_3_70B),
    "mixtral-8x7b-prefill": Network(
        title="Mixtral 8x7B prefill, {} tokens",
        library="transformers",
        model="MixtralForCausalLM",
        notes="sizes of mistralai/Mixtral-8x7B-v0.1; two experts for each token, spread evenly; logits of every token",
        input_names=("tokens",),
        input_shape=(512,),
        build=_mixtral,
        inputs=causal_tokens,
    ),
}
