"""DenseNet-121 (arXiv 1608.06993): every layer reads what all before it in its block wrote."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROWTH = 32
DEPTHS = (6, 12, 24, 16)


def norm_conv(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """Return batch norm, ReLU and convolution, in this order (pre-activation)."""
    conv = nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), conv)


class DenseBlock(nn.Module):
    """``depth`` layers of 1x1 to 4 x ``GROWTH`` and 3x3 to ``GROWTH`` channels."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        inputs = range(channels, channels + depth * GROWTH, GROWTH)
        layers = [nn.Sequential(norm_conv(each, 4 * GROWTH, 1), norm_conv(4 * GROWTH, GROWTH, 3)) for each in inputs]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and the outputs of all layers, side by side."""
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


class DenseNet121(nn.Module):
    """Four dense blocks with halving transitions between them; 1000 logits."""

    def __init__(self) -> None:
        super().__init__()
        channels = 2 * GROWTH
        stem = [nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        self.stem = nn.Sequential(*stem)
        parts: list[nn.Module] = []
        for index, depth in enumerate(DEPTHS):
            if index:
                parts.append(nn.Sequential(norm_conv(channels, channels // 2, 1), nn.AvgPool2d(2)))
                channels //= 2
            parts.append(DenseBlock(channels, depth))
            channels += depth * GROWTH
        self.blocks = nn.Sequential(*parts)
        self.head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.head(self.blocks(self.stem(x))))
        return logits
