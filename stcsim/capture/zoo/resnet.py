"""Residual networks, ResNet (arXiv 1512.03385), ResNeXt (1611.05431), Wide ResNet (1605.07146): classifiers or bodies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stcsim.capture.zoo.conv_norm import conv_norm

FILTERS = (64, 128, 256, 512)


class Block(nn.Module):
    """Adds what ``layers`` make of the input to the input, projected where the shape changes."""

    def __init__(self, layers: nn.Module, channels: int, filters: int, stride: int, bias: bool) -> None:
        super().__init__()
        self.layers = layers
        same = stride == 1 and channels == filters
        self.shortcut = None if same else conv_norm(channels, filters, 1, stride, bias=bias, activation=None)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of ``filters`` channels."""
        kept = x if self.shortcut is None else self.shortcut(x)
        out: Tensor = self.activation(self.layers(x) + kept)
        return out


def basic_block(channels: int, width: int, stride: int, bias: bool = False) -> Block:
    """Return a block of two 3x3 convolutions."""
    layers = nn.Sequential(
        conv_norm(channels, width, 3, stride, bias=bias),
        conv_norm(width, width, 3, bias=bias, activation=None),
    )
    return Block(layers, channels, width, stride, bias)


def bottleneck(channels: int, width: int, stride: int, groups: int = 1, group_width: int = 64) -> Block:
    """Return a block of 1x1, 3x3 (with the stride, as in v1.5) and 1x1 convolutions; 4 x ``width`` channels leave it."""
    inner = width * group_width // 64 * groups
    layers = nn.Sequential(
        conv_norm(channels, inner, 1),
        conv_norm(inner, inner, 3, stride, groups=groups),
        conv_norm(inner, 4 * width, 1, activation=None),
    )
    return Block(layers, channels, 4 * width, stride, bias=False)


class ResNet(nn.Module):
    """A stem, four stages and, with ``classes``, a classifier; without, ``forward`` returns the features of every stage.

    Args:
        depths: blocks in each stage.
        groups, group_width: of bottleneck blocks; a ``group_width`` of 0 asks for basic blocks.
        strides: of the first block of each stage.
        pool: whether a max-pooling layer ends the stem.
        bias: whether convolutions (of basic blocks) have one.
        classes: of the classifier; 0 for none.
    """

    def __init__(
        self,
        depths: Sequence[int],
        groups: int = 1,
        group_width: int = 64,
        strides: Sequence[int] = (1, 2, 2, 2),
        pool: bool = True,
        bias: bool = False,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.stem = conv_norm(3, 64, 7, 2, bias=bias)
        self.pool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        channels, stages = 64, []
        for depth, width, first in zip(depths, FILTERS, strides, strict=True):
            blocks = []
            for stride in (first, *[1] * (depth - 1)):
                if group_width:
                    blocks.append(bottleneck(channels, width, stride, groups, group_width))
                    channels = 4 * width
                else:
                    blocks.append(basic_block(channels, width, stride, bias))
                    channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.classifier = nn.Linear(channels, classes) if classes else None

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits, or the features of the four stages."""
        features, x = [], self.pool(self.stem(x))
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        if self.classifier is None:
            return features
        logits: Tensor = self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))
        return logits
