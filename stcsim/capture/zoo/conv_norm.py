"""The stone most convolutional networks are built of: convolution, batch norm, activation."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

Size = int | tuple[int, int]


def conv_norm(
    channels: int,
    filters: int,
    kernel: Size,
    stride: Size = 1,
    padding: Size | str = "same",
    *,
    groups: int = 1,
    bias: bool = False,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Return convolution, batch norm and, unless ``None``, activation.

    Args:
        channels, filters: of input and output.
        kernel, stride: of the convolution.
        padding: on both sides; ``"same"`` is half of an odd kernel.
        groups: of the convolution.
        bias: whether the convolution has one besides the norm's.
        activation: its class.
    """
    if isinstance(padding, str):
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2, columns // 2)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups, bias=bias)
    parts["norm"] = nn.BatchNorm2d(filters)
    if activation is not None:
        parts["activation"] = activation()
    return nn.Sequential(parts)
