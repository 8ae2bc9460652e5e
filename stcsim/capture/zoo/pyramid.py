"""Detectors on a feature pyramid over ResNet-50: Mask R-CNN (arXiv 1703.06870, 1612.03144) and RetinaNet (1708.02002)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stcsim.capture.zoo.operators import roi_align
from stcsim.capture.zoo.resnet import ResNet

WIDTH = 256
STAGES = (256, 512, 1024, 2048)
CLASSES = 80


def conv_relu(channels: int, filters: int = WIDTH, depth: int = 1) -> list[nn.Module]:
    """Return ``depth`` 3x3 convolutions, each with a ReLU."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
        channels = filters
    return layers


class Pyramid(nn.Module):
    """Maps of ``WIDTH`` channels, one for each stage: 1x1 convolutions, sums from the top down, 3x3 convolutions."""

    def __init__(self, stages: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(channels, WIDTH, 1) for channels in stages])
        self.output = nn.ModuleList([nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in stages])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the maps, largest first; a sum follows its own convolution, so that one kernel can do both."""
        maps = [self.lateral[-1](features[-1])]
        for lateral, x in zip(self.lateral[-2::-1], features[-2::-1], strict=True):
            above = nn.functional.interpolate(maps[0], size=tuple(x.shape[2:]), mode="nearest")
            maps.insert(0, lateral(x) + above)
        return [output(x) for output, x in zip(self.output, maps, strict=True)]


class BoxHead(nn.Module):
    """Classes and boxes of regions of 7x7: two linear layers of 1024, then one for each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(WIDTH * 49, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU())
        self.classes = nn.Linear(1024, CLASSES + 1)
        self.boxes = nn.Linear(1024, 4 * CLASSES)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return class probabilities and boxes."""
        x = self.layers(regions)
        return torch.softmax(self.classes(x), -1), self.boxes(x)


class MaskRCNN(nn.Module):
    """Body, pyramid, region proposals, box head and mask head; selecting regions (top-k, NMS) is left out.

    Args:
        proposals: regions of each image that the box head sees.
        detections: regions of each image that the mask head sees.
    """

    def __init__(self, proposals: int, detections: int) -> None:
        super().__init__()
        self.proposals, self.detections = proposals, detections
        self.body = ResNet((3, 4, 6, 3), classes=0)
        self.pyramid = Pyramid(STAGES)
        self.proposal_layer = nn.Sequential(*conv_relu(WIDTH))
        self.proposal_score = nn.Conv2d(WIDTH, 3, 1)
        self.proposal_box = nn.Conv2d(WIDTH, 12, 1)
        self.box_head = BoxHead()
        upsample = [nn.ConvTranspose2d(WIDTH, WIDTH, 2, 2), nn.ReLU(), nn.Conv2d(WIDTH, CLASSES, 1), nn.Sigmoid()]
        self.mask_head = nn.Sequential(*conv_relu(WIDTH, depth=4), *upsample)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return what every head says."""
        maps = self.pyramid(self.body(images))
        answers: list[Tensor] = []
        for x in (*maps, nn.functional.max_pool2d(maps[-1], 1, 2)):
            shared = self.proposal_layer(x)
            answers += [torch.sigmoid(self.proposal_score(shared)), self.proposal_box(shared)]
        answers += self.box_head(roi_align(maps, self.proposals, 7))
        answers.append(self.mask_head(roi_align(maps, self.detections, 14)))
        return answers


class RetinaNet(nn.Module):
    """Body, pyramid of five levels, and two heads of four convolutions that all levels share."""

    def __init__(self) -> None:
        super().__init__()
        self.body = ResNet((3, 4, 6, 3), classes=0)
        self.pyramid = Pyramid(STAGES[1:])
        self.level_6 = nn.Conv2d(STAGES[-1], WIDTH, 3, 2, 1)
        self.level_7 = nn.Sequential(nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1))
        scores = [nn.Conv2d(WIDTH, 9 * CLASSES, 3, padding=1), nn.Sigmoid()]
        self.class_head = nn.Sequential(*conv_relu(WIDTH, depth=4), *scores)
        self.box_head = nn.Sequential(*conv_relu(WIDTH, depth=4), nn.Conv2d(WIDTH, 36, 3, padding=1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return scores and boxes of every level."""
        features = self.body(images)
        maps = self.pyramid(features[1:])
        maps.append(self.level_6(features[-1]))
        maps.append(self.level_7(maps[-1]))
        return [head(x) for x in maps for head in (self.class_head, self.box_head)]
