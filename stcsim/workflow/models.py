"""The networks of the shipped recipes, small on purpose: a network with weights to spare loses nothing when half of them go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EIGHT = 8
"""A sparse kernel takes output features by eights."""


def rounded_up(classes: int) -> int:
    """Return the outputs of a last layer for so many classes, a multiple of eight; no sample has those beyond."""
    return -(-classes // _EIGHT) * _EIGHT


def conv1d(classes: int, channels: int, **_: int) -> nn.Module:
    """Return three convolutions over 40 points and a linear layer: the shape of MNIST-1D's published ConvNet."""
    return nn.Sequential(
        nn.Conv1d(1, channels, 5, stride=2, padding=1), nn.ReLU(),
        nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(5 * channels, rounded_up(classes)),
    )  # fmt: skip


def conv2d(classes: int, channels: int, **_: int) -> nn.Module:
    """Return three convolutions over 8 x 8 pixels and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * channels, rounded_up(classes)),
    )  # fmt: skip


class Attention(nn.Module):
    """Causal self-attention of several heads."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, length, channels) of the same."""
        batch, length, channels = x.shape
        q, k, v = (layer(x).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, channels))


class Block(nn.Module):
    """Attention and two linear layers, each on what was normalised before and added to what came in."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(channels), Attention(channels, heads)
        self.norm2, self.up, self.down = nn.LayerNorm(channels), nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, length, channels) of the same."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Predicts each next character from those before it."""

    def __init__(self, classes: int, channels: int, heads: int, hidden: int, layers: int, length: int) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(classes, channels), nn.Embedding(length, channels)
        self.blocks = nn.ModuleList(Block(channels, heads, hidden) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(channels), nn.Linear(channels, rounded_up(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, classes, length) scores of (batch, length) characters."""
        y = self.characters(x) + self.places(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y)).transpose(1, 2)


MODELS: Mapping[str, Callable[..., nn.Module]] = {"conv1d": conv1d, "conv2d": conv2d, "transformer": Transformer}


def build(kind: str, classes: int, sizes: Mapping[str, Any], seed: int) -> nn.Module:
    """Return a network with weights drawn from ``seed``."""
    torch.manual_seed(seed)
    return MODELS[kind](classes=classes, **sizes)


class Channels:
    """Channels whose order is free: layers that reduce over them, and all tensors that carry them.

    Attributes:
        readers: layers whose weights reduce over these channels (dimension 1).
        carriers: names of tensors, each with the dimension that the channels are in; those of the readers are among them.
    """

    def __init__(self, readers: tuple[str, ...], carriers: tuple[tuple[str, int], ...]) -> None:
        self.readers = readers
        self.carriers = (*((f"{name}.weight", 1) for name in readers), *carriers)


def free_channels(network: nn.Module) -> list[Channels]:
    """Return the channels of a network that may be put into another order without changing what it computes.

    Those of a flattened picture stay, since groups of four lie across its pixels, and those within a head of attention.
    """
    if isinstance(network, Transformer):
        blocks = [f"blocks.{index}" for index in range(len(network.blocks))]
        return [_residual(blocks), *(Channels((f"{each}.down",), _made_by(f"{each}.up")) for each in blocks)]
    convolutions = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv1d | nn.Conv2d)]
    return [Channels((reader,), _made_by(maker)) for maker, reader in zip(convolutions, convolutions[1:], strict=False)]


def _residual(blocks: list[str]) -> Channels:
    """Return the stream that all blocks read from and add to: it has one order."""
    readers = [f"{each}.{part}" for each in blocks for part in ("attention.query", "attention.key", "attention.value", "up")]
    writers = [pair for each in blocks for part in ("attention.out", "down") for pair in _made_by(f"{each}.{part}")]
    norms = [*(f"{each}.{part}" for each in blocks for part in ("norm1", "norm2")), "norm"]
    carried = [(f"{name}.{tensor}", 0) for name in norms for tensor in ("weight", "bias")]
    tables = [("characters.weight", 1), ("places.weight", 1)]
    return Channels((*readers, "head"), (*writers, *carried, *tables))


def _made_by(layer: str) -> tuple[tuple[str, int], ...]:
    return ((f"{layer}.weight", 0), (f"{layer}.bias", 0))


def products(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers with weights by name, in order."""
    kinds = nn.Linear | nn.Conv1d | nn.Conv2d
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, kinds)}
