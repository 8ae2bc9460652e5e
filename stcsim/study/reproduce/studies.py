"""All published case studies that stcsim reproduces."""

from __future__ import annotations

from stcsim.study.reproduce.hardware import HARDWARE
from stcsim.study.reproduce.pytorch import PYTORCH
from stcsim.study.reproduce.tensorrt import TENSORRT

STUDIES = (*HARDWARE, *TENSORRT, *PYTORCH)
