"""Networks that find objects in images, without what selects boxes by their values (top-k, NMS, clustering)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stcsim.capture.networks.inputs import images
from stcsim.capture.networks.network import IMAGE, OURS, Network

if TYPE_CHECKING:
    from torch import nn

PROPOSALS = 1000
DETECTIONS = 100


def _mask_rcnn() -> nn.Module:
    from stcsim.capture.zoo.pyramid import MaskRCNN

    return MaskRCNN(PROPOSALS, DETECTIONS)


def _retinanet() -> nn.Module:
    from stcsim.capture.zoo.pyramid import RetinaNet

    return RetinaNet()


def _detectnet() -> nn.Module:
    from stcsim.capture.zoo.detectnet import DetectNet

    return DetectNet()


#: The shorter side of 800 and at most 1333 pixels of the papers, padded to a multiple of 32.
_COCO = (3, 800, 1344)

DETECTORS: dict[str, Network] = {
    "mask-rcnn-r50-fpn": Network(
        title="Mask R-CNN, ResNet-50 FPN, {}x{}x{}",
        library=OURS,
        model="zoo.pyramid.MaskRCNN",
        notes=f"body v1.5, 80 classes; box head on {PROPOSALS} regions, mask head on {DETECTIONS}; top-k and NMS left out",
        input_names=IMAGE,
        input_shape=_COCO,
        build=_mask_rcnn,
        inputs=images,
    ),
    "retinanet-r50-fpn": Network(
        title="RetinaNet, ResNet-50 FPN, {}x{}x{}",
        library=OURS,
        model="zoo.pyramid.RetinaNet",
        notes="body v1.5, 80 classes, 9 anchors, levels 3 to 7, level 6 from stage 5; heads shared by all levels; NMS left out",
        input_names=IMAGE,
        input_shape=_COCO,
        build=_retinanet,
        inputs=images,
    ),
    "detectnet-v2-resnet34": Network(
        title="DetectNet_v2-like, ResNet-34, {}x{}x{}",
        library=OURS,
        model="zoo.detectnet.DetectNet",
        notes="stride 16 without pooling, 3 classes as in PeopleNet, not pruned, after NVIDIA/tao_tensorflow1_backend; "
        "assumed: projections only where the shape changes, padding on both sides",
        input_names=IMAGE,
        input_shape=(3, 544, 960),
        build=_detectnet,
        inputs=images,
    ),
}
