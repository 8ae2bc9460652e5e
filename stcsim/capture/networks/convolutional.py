"""Convolutional networks that classify images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stcsim.capture.networks.inputs import images
from stcsim.capture.networks.network import IMAGE, OURS, Network, Shape

if TYPE_CHECKING:
    from torch import nn

_RESNET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}

#: Widths and heights of the camera images in NVIDIA's ResNet-34 case study on the A40.
_CAMERAS = ((1280, 800), (2048, 1024), (4096, 2048))


def _resnet(depths: Shape, layer_type: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from transformers import ResNetConfig, ResNetForImageClassification

        widths = (64, 128, 256, 512) if layer_type == "basic" else (256, 512, 1024, 2048)
        sizes: dict[str, Any] = {"depths": list(depths), "hidden_sizes": list(widths), "num_labels": 1000}
        model: nn.Module = ResNetForImageClassification(ResNetConfig(layer_type=layer_type, **sizes))
        return model

    return build


def _grouped_resnet(depths: Shape, groups: int, group_width: int) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from stcsim.capture.zoo.resnet import ResNet

        return ResNet(depths, groups, group_width)

    return build


def _vgg16() -> nn.Module:
    from stcsim.capture.zoo.vgg import VGG16

    return VGG16()


def _densenet121() -> nn.Module:
    from stcsim.capture.zoo.densenet import DenseNet121

    return DenseNet121()


def _inception_v3() -> nn.Module:
    from stcsim.capture.zoo.inception import InceptionV3

    return InceptionV3()


def _xception() -> nn.Module:
    from stcsim.capture.zoo.xception import Xception

    return Xception()


def _mobilenet_v2() -> nn.Module:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    model: nn.Module = MobileNetV2ForImageClassification(MobileNetV2Config(tf_padding=False, num_labels=1000))
    return model


def _efficientnet_b0() -> nn.Module:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    sizes: dict[str, Any] = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280, "num_labels": 1000}
    model: nn.Module = EfficientNetForImageClassification(EfficientNetConfig(**sizes))
    return model


def _classifier(
    title: str, library: str, model: str, notes: str, build: Callable[[], nn.Module], shape: Shape = (3, 224, 224)
) -> Network:
    return Network(
        title=title + ", {}x{}x{}",
        library=library,
        model=model,
        notes=f"image classification, {notes}, 1000 classes",
        input_names=IMAGE,
        input_shape=shape,
        build=build,
        inputs=images,
    )


def _known_resnet(depth: int, shape: Shape = (3, 224, 224)) -> Network:
    depths = _RESNET_DEPTHS[depth]
    kind = "basic" if depth < 50 else "bottleneck"
    place = " with the stride in the 3x3 convolution" if kind == "bottleneck" else ""
    title = f"ResNet-{depth} v1.5" if kind == "bottleneck" else f"ResNet-{depth}"
    notes = f"{kind} blocks{place}, depths {'-'.join(map(str, depths))}"
    return _classifier(title, "transformers", "ResNetForImageClassification", notes, _resnet(depths, kind), shape)


def _our_resnet(title: str, depth: int, groups: int, group_width: int) -> Network:
    depths = _RESNET_DEPTHS[depth]
    notes = f"bottleneck blocks of {groups} x {group_width} channels, depths {'-'.join(map(str, depths))}"
    return _classifier(title, OURS, "zoo.resnet.ResNet", notes, _grouped_resnet(depths, groups, group_width))


CONVOLUTIONAL: dict[str, Network] = {
    **{f"resnet{depth}": _known_resnet(depth) for depth in _RESNET_DEPTHS},
    **{f"resnet34-{width}x{height}": _known_resnet(34, (3, height, width)) for width, height in _CAMERAS},
    "resnext50-32x4d": _our_resnet("ResNeXt-50 32x4d", 50, 32, 4),
    "resnext101-32x8d": _our_resnet("ResNeXt-101 32x8d", 101, 32, 8),
    "wide-resnet50-2": _our_resnet("Wide ResNet-50-2", 50, 1, 128),
    "vgg16": _classifier("VGG-16", OURS, "zoo.vgg.VGG16", "configuration D, without batch norm", _vgg16),
    "densenet121": _classifier("DenseNet-121", OURS, "zoo.densenet.DenseNet121", "growth 32, depths 6-12-24-16", _densenet121),
    "inception-v3": _classifier(
        "Inception v3", OURS, "zoo.inception.InceptionV3", "without the auxiliary classifier", _inception_v3, (3, 299, 299)
    ),
    "xception": _classifier("Xception", OURS, "zoo.xception.Xception", "eight middle blocks", _xception, (3, 299, 299)),
    "mobilenet-v2": _classifier(
        "MobileNetV2", "transformers", "MobileNetV2ForImageClassification", "width 1.0, padding on both sides", _mobilenet_v2
    ),
    "efficientnet-b0": _classifier(
        "EfficientNet-B0", "transformers", "EfficientNetForImageClassification", "width and depth 1.0", _efficientnet_b0
    ),
}
