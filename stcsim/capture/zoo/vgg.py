"""VGG-16 (arXiv 1409.1556, configuration D, without batch norm)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

#: Filters of the 3x3 convolutions of each stage; a 2x2 max-pooling layer ends each.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """Thirteen convolutions and three linear layers; an image of 224x224 gives 1000 logits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for filters in stage:
                layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
                channels = filters
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(7)
        head: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((channels * 49, 4096, 4096, 1000)):
            head += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.classifier = nn.Sequential(*head[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits
