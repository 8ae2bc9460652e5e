"""Transformer-XL (arXiv 1901.02860): attention over this segment and a memory of the last, with relative positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RelativeAttention(nn.Module):
    """Multi-head attention that adds, to what query and key say, what query and distance say; post-norm and residual.

    Args:
        width: of the model. heads: of ``width / heads`` each.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.distance = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.content_bias = nn.Parameter(torch.zeros(heads, self.size))
        self.distance_bias = nn.Parameter(torch.zeros(heads, self.size))

    def forward(self, x: Tensor, memory: Tensor, distances: Tensor) -> Tensor:
        """Return (batch, tokens, width); ``distances`` are encodings of every distance, (tokens + memory, width)."""
        batch, tokens = x.shape[:2]
        projected = self.query_key_value(torch.cat([memory, x], 1)).unflatten(2, (3, self.heads, self.size))
        query, key, value = (each.transpose(1, 2) for each in projected.unbind(2))
        query = query[:, :, -tokens:]
        by_distance = self.distance(distances).unflatten(1, (self.heads, self.size)).permute(1, 2, 0)
        content = (query + self.content_bias.unsqueeze(1)) @ key.transpose(2, 3)
        position = (query + self.distance_bias.unsqueeze(1)) @ by_distance
        weights = torch.softmax((content + shifted(position)) * self.size**-0.5, -1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, tokens, -1)
        out: Tensor = self.norm(x + self.output(mixed))
        return out


def shifted(scores: Tensor) -> Tensor:
    """Return scores by distance as scores by key: each row one place further left than the row below it."""
    batch, heads, rows, columns = scores.shape
    padded = nn.functional.pad(scores, (1, 0))
    return padded.view(batch, heads, columns + 1, rows)[:, :, 1:].reshape(scores.shape)


class Layer(nn.Module):
    """Attention and two linear layers, each with a residual and a norm."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = RelativeAttention(width, heads)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor, distances: Tensor) -> Tensor:
        """Return (batch, tokens, width)."""
        x = self.attention(x, memory, distances)
        out: Tensor = self.norm(x + self.outer(torch.relu(self.inner(x))))
        return out


class TransformerXL(nn.Module):
    """Embedding and layers; the adaptive softmax is left out, since which clusters it computes depends on the tokens.

    Args:
        vocabulary: rows of the embedding. width, heads, inner, depth: of the layers.
    """

    def __init__(self, vocabulary: int, width: int, heads: int, inner: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList([Layer(width, heads, inner) for _ in range(depth)])

    def forward(self, tokens: Tensor, memory: Tensor, distances: Tensor) -> Tensor:
        """Return the last layer's states; ``memory`` holds every layer's last input, (layers, batch, memory, width)."""
        x: Tensor = self.embedding(tokens)
        for layer, cached in zip(self.layers, memory, strict=True):
            x = layer(x, cached, distances)
        return x
