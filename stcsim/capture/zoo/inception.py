"""Inception v3 (arXiv 1512.00567) for images of 299x299, without the auxiliary classifier, which only training runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stcsim.capture.zoo.conv_norm import conv_norm

Size = int | tuple[int, int]


class Branches(nn.Module):
    """Runs every branch on the input and puts the results side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels of all branches."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def chain(channels: int, *steps: tuple[int, Size] | tuple[int, Size, int, int]) -> nn.Sequential:
    """Return convolutions one after another, each given as (filters, kernel) or (filters, kernel, stride, padding)."""
    layers = []
    for filters, kernel, *rest in steps:
        layers.append(conv_norm(channels, filters, kernel, *rest))
        channels = filters
    return nn.Sequential(*layers)


def pooled(channels: int, filters: int) -> nn.Sequential:
    """Return average pooling of 3x3 and a 1x1 convolution."""
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), conv_norm(channels, filters, 1))


def block_a(channels: int, pool: int) -> Branches:
    """Return the block on 35x35 pixels (figure 5); ``pool`` filters follow the pooling."""
    double = chain(channels, (64, 1), (96, 3), (96, 3))
    return Branches(chain(channels, (64, 1)), chain(channels, (48, 1), (64, 5)), double, pooled(channels, pool))


def block_c(inner: int) -> Branches:
    """Return the block on 17x17 pixels (figure 6): 7x7 convolutions as 1x7 and 7x1."""
    row, column = (1, 7), (7, 1)
    one = chain(768, (inner, 1), (inner, row), (192, column))
    two = chain(768, (inner, 1), (inner, column), (inner, row), (inner, column), (192, row))
    return Branches(chain(768, (192, 1)), one, two, pooled(768, 192))


def block_e(channels: int) -> Branches:
    """Return the block on 8x8 pixels (figure 7): a 1x3 and a 3x1 convolution side by side."""

    def fork() -> Branches:
        return Branches(conv_norm(384, 384, (1, 3)), conv_norm(384, 384, (3, 1)))

    one = nn.Sequential(chain(channels, (384, 1)), fork())
    two = nn.Sequential(chain(channels, (448, 1), (384, 3)), fork())
    return Branches(chain(channels, (320, 1)), one, two, pooled(channels, 192))


class InceptionV3(nn.Module):
    """A stem, eleven blocks (two of them halve the image) and a classifier; 1000 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            chain(3, (32, 3, 2, 0), (32, 3, 1, 0), (64, 3)),
            nn.MaxPool2d(3, 2),
            chain(64, (80, 1), (192, 3, 1, 0)),
            nn.MaxPool2d(3, 2),
        )
        to_17 = Branches(chain(288, (384, 3, 2, 0)), chain(288, (64, 1), (96, 3), (96, 3, 2, 0)), nn.MaxPool2d(3, 2))
        long = chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0))
        to_8 = Branches(chain(768, (192, 1), (320, 3, 2, 0)), long, nn.MaxPool2d(3, 2))
        self.blocks = nn.Sequential(
            *[block_a(channels, pool) for channels, pool in ((192, 32), (256, 64), (288, 64))],
            to_17,
            *[block_c(inner) for inner in (128, 160, 160, 192)],
            to_8,
            block_e(1280),
            block_e(2048),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.head(self.blocks(self.stem(x))))
        return logits
