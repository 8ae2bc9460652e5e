"""Xception (arXiv 1610.02357): depthwise separable convolutions with residual connections, for images of 299x299."""

from __future__ import annotations

from torch import Tensor, nn

from stcsim.capture.zoo.conv_norm import conv_norm

MIDDLE_BLOCKS = 8


def separable(channels: int, filters: int) -> nn.Sequential:
    """Return a 3x3 convolution of each channel alone, a 1x1 convolution across them, and batch norm."""
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters))


class Block(nn.Module):
    """Separable convolutions beside a shortcut; with a stride, max pooling ends them and the shortcut is projected."""

    def __init__(self, widths: tuple[int, ...], stride: int = 1, first_activation: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, filters in zip(widths, widths[1:], strict=False):
            layers += [nn.ReLU(), separable(channels, filters)]
        self.layers = nn.Sequential(*layers[0 if first_activation else 1 :])
        self.pool = nn.MaxPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        projected = conv_norm(widths[0], widths[-1], 1, stride, activation=None)
        self.shortcut = projected if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways."""
        out: Tensor = self.pool(self.layers(x)) + self.shortcut(x)
        return out


class Xception(nn.Module):
    """Entry, middle and exit flow; 1000 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, 32, 3, 2, 0), conv_norm(32, 64, 3, 1, 0))
        self.entry = nn.Sequential(
            Block((64, 128, 128), 2, first_activation=False),
            Block((128, 256, 256), 2),
            Block((256, 728, 728), 2),
        )
        self.middle = nn.Sequential(*[Block((728, 728, 728, 728)) for _ in range(MIDDLE_BLOCKS)])
        self.exit = nn.Sequential(
            Block((728, 728, 1024), 2),
            separable(1024, 1536),
            nn.ReLU(),
            separable(1536, 2048),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.exit(self.middle(self.entry(self.stem(x)))))
        return logits
