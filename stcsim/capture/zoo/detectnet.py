"""A detector like NVIDIA TAO's DetectNet_v2 on ResNet-34, as far as its published templates and model pages say.

Known (NVIDIA/tao_tensorflow1_backend, `core/templates/resnet.py` and `cv/detectnet_v2`; PeopleNet's pages): stride 16 by a
stem of stride 2 without pooling and stages of stride 2, 2, 2, 1; convolutions have a bias and a batch norm; 1x1 heads, sigmoid on
the coverage; three classes on a grid of 34x60 for 544x960 pixels. Assumed: projections only where the shape changes
(`all_projections` false, as NVIDIA's pages ask for with ResNet-34), padding on both sides (Keras pads one side more where a
stride is 2), nothing pruned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stcsim.capture.zoo.resnet import ResNet


class DetectNet(nn.Module):
    """A ResNet-34 body, and two 1x1 convolutions: coverage and boxes of each class at each place of the grid."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = ResNet((3, 4, 6, 3), group_width=0, strides=(2, 2, 2, 1), pool=False, bias=True, classes=0)
        self.coverage = nn.Conv2d(512, classes, 1)
        self.boxes = nn.Conv2d(512, 4 * classes, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return coverage and boxes."""
        x = self.body(images)[-1]
        return torch.sigmoid(self.coverage(x)), self.boxes(x)
