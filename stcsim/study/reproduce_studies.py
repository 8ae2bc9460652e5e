"""All published case studies that stcsim reproduces."""

from __future__ import annotations

from stcsim.study.reproduce_hardware import HARDWARE
from stcsim.study.reproduce_pytorch import PYTORCH
from stcsim.study.reproduce_tensorrt import TENSORRT

STUDIES = (*HARDWARE, *TENSORRT, *PYTORCH)
