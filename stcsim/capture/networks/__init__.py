"""The networks known by name: which model code, which configuration, which input; built without weights."""

from __future__ import annotations

from stcsim.capture.networks.convolutional import CONVOLUTIONAL
from stcsim.capture.networks.decoders import DECODERS
from stcsim.capture.networks.detectors import DETECTORS
from stcsim.capture.networks.encoders import ENCODERS
from stcsim.capture.networks.inputs import causal_tokens
from stcsim.capture.networks.network import Given, Network, Shape
from stcsim.capture.networks.translators import TRANSLATORS

__all__ = ["NETWORKS", "Given", "Network", "Shape", "causal_tokens"]

NETWORKS: dict[str, Network] = {**CONVOLUTIONAL, **DETECTORS, **ENCODERS, **TRANSLATORS, **DECODERS}
