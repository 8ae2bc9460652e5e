"""Steps that one kernel does and PyTorch has no single operator for; shapes only, they cannot compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

torch.library.define("stcsim::roi_align", "(Tensor[] features, int regions, int size) -> Tensor")

#: Untyped in torch; said here so that it is the same to a type checker where torch is not installed.
_operators: Any = torch.ops.stcsim


@torch.library.register_fake("stcsim::roi_align")
def _roi_align(features: list[Tensor], regions: int, size: int) -> Tensor:
    batch, channels = features[0].shape[:2]
    return features[0].new_empty(batch * regions, channels, size, size)


def roi_align(features: list[Tensor], regions: int, size: int) -> Tensor:
    """Return ``regions`` windows of each image, resampled to ``size`` x ``size``: (batch x regions, channels, size, size)."""
    windows: Tensor = _operators.roi_align(features, regions, size)
    return windows
