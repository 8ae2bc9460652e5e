"""What is fed to the networks: tensors without data, made inside a capture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stcsim.capture.networks.network import Shape


def images(batch: int, shape: Shape) -> tuple[Any, ...]:
    """Return images, (batch, channels, height, width)."""
    import torch

    return (torch.zeros(batch, *shape),)


def tokens(batch: int, shape: Shape) -> tuple[Any, ...]:
    """Return token ids, (batch, length), one tensor for each length."""
    import torch

    return tuple(torch.zeros(batch, length, dtype=torch.long) for length in shape)


def source_target_tokens(batch: int, shape: Shape) -> dict[str, Any]:
    """Return token ids of an encoder and a decoder, with a ready causal mask for the decoder."""
    import torch

    source, target = tokens(batch, shape)
    mask = torch.ones(batch, 1, shape[1], shape[1], dtype=torch.bool)
    return {"input_ids": source, "decoder_input_ids": target, "decoder_attention_mask": mask, "use_cache": False}


def speech(bins: int) -> Callable[[int, Shape], dict[str, Any]]:
    """Return the inputs of a speech recogniser: ``bins`` mel bins for each frame, and the tokens so far."""

    def inputs(batch: int, shape: Shape) -> dict[str, Any]:
        import torch

        frames, length = shape
        mask = torch.ones(batch, 1, length, length, dtype=torch.bool)
        ids = torch.zeros(batch, length, dtype=torch.long)
        sound = torch.zeros(batch, bins, frames)
        return {"input_features": sound, "decoder_input_ids": ids, "decoder_attention_mask": mask, "use_cache": False}

    return inputs


def causal_tokens(batch: int, shape: Shape) -> dict[str, Any]:
    """Return token ids and a ready 4-D mask; without one transformers looks for packed sequences in values meta tensors lack."""
    import torch

    length = shape[0]
    mask = torch.ones(batch, 1, length, length, dtype=torch.bool)
    return {"input_ids": torch.zeros(batch, length, dtype=torch.long), "attention_mask": mask}


def causal_states(width: int) -> Callable[[int, Shape], dict[str, Any]]:
    """Return the inputs of one block alone: states of ``width`` for each token, and a ready mask."""

    def inputs(batch: int, shape: Shape) -> dict[str, Any]:
        import torch

        length = shape[0]
        mask = torch.ones(batch, 1, length, length, dtype=torch.bool)
        return {"hidden_states": torch.zeros(batch, length, width), "attention_mask": mask}

    return inputs


def remembered_tokens(width: int, depth: int) -> Callable[[int, Shape], tuple[Any, ...]]:
    """Return the inputs of Transformer-XL: token ids, what each layer remembers, and an encoding of every distance."""

    def inputs(batch: int, shape: Shape) -> tuple[Any, ...]:
        import torch

        length, memory = shape
        ids = torch.zeros(batch, length, dtype=torch.long)
        return ids, torch.zeros(depth, batch, memory, width), torch.zeros(length + memory, width)

    return inputs


def cached_tokens(layers: int, heads: int, head_size: int) -> Callable[[int, Shape], dict[str, Any]]:
    """Return the inputs of a decoding step: new token ids, and keys and values of the cached ones."""

    def inputs(batch: int, shape: Shape) -> dict[str, Any]:
        import torch
        from transformers import DynamicCache

        new, cached = shape
        cache = DynamicCache()
        for layer in range(layers):
            keys = torch.zeros(batch, heads, cached, head_size)
            cache.update(keys, keys.clone(), layer)
        mask = torch.ones(batch, 1, new, cached + new, dtype=torch.bool)
        ids = torch.zeros(batch, new, dtype=torch.long)
        return {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}

    return inputs
