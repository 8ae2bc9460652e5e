"""How good a network is: in PyTorch, with ModelOpt's quantisers, and on the simulated datapath of a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stcsim.numerics import torch as simulated
from stcsim.words import Blocking
from stcsim.workflow.datasets import Part
from stcsim.workflow.models import Transformer, products
from stcsim.workflow.result import Score
from stcsim.workflow.state import Amax
from stcsim.workflow.training import answers

_TYPES = {"fp16": "fp16", "int8": "int8", "fp8": "e4m3"}
"""What the datapath calls the types of a recipe."""
_UNSCALED = "*.attention.attention.*"
"""Products of attention, which have no weights: ModelOpt's quantisers leave them alone, and they run in fp16."""


def score(found: Tensor, part: Part) -> Score:
    """Return how good answers are: percent right, or bits a character where every position has an answer."""
    wanted = torch.from_numpy(part.y)
    if wanted.dim() == 1:
        right = float((found.argmax(1) == wanted).double().mean())
        return Score(100 * right, 100 * math.sqrt(right * (1 - right) / len(wanted)))
    bits = F.cross_entropy(found.double(), wanted, reduction="none").mean(1) / math.log(2)
    return Score(float(bits.mean()), float(bits.std()) / math.sqrt(len(bits)))


@dataclass(frozen=True, slots=True)
class OnDatapath:
    """Scores on the simulated datapath.

    Attributes:
        simulated: of a dense network, or of a pruned one as kept products.
        expanded: of a pruned network as expanded products.
        differing: share of outputs that differ between the two.
        sparse_layers: layers that ran the 2:4 instruction.
    """

    simulated: Score
    expanded: Score | None
    differing: float | None
    sparse_layers: int


def on_datapath(
    network: nn.Module,
    part: Part,
    arch: str,
    dtype: str,
    sparse: tuple[str, ...],
    scales: Mapping[str, Amax],
    advance: Callable[[], None],
    order: str | None = None,
) -> OnDatapath:
    """Run a network on the datapath of a GPU; a pruned one once for each assumption about 2:4 instructions.

    Args:
        network: with its weights, zeros included.
        part: what it is tested on.
        arch: the GPU.
        dtype: ``"fp16"``, ``"int8"`` or ``"fp8"``.
        sparse: layers that run the 2:4 instruction; none of a dense network.
        scales: largest magnitudes by layer, of 8-bit types.
        advance: called after each run.
        order: in which kernels add, as of ``numerics.gemm``; a chain by default.
    """
    options = _options(network, dtype, sparse, scales)
    kept, sparse_layers = _run(network, part, arch, dtype, {**options, "blocking": Blocking.KEPT, "order": order})
    advance()
    if not sparse:
        return OnDatapath(score(kept, part), None, None, 0)
    expanded, _ = _run(network, part, arch, dtype, {**options, "blocking": Blocking.EXPANDED, "order": order})
    advance()
    differing = float((kept != expanded).double().mean())
    return OnDatapath(score(kept, part), score(expanded, part), differing, sparse_layers)


def _options(network: nn.Module, dtype: str, sparse: tuple[str, ...], scales: Mapping[str, Amax]) -> dict[str, Any]:
    given = {
        name: simulated.Scales(float(each.activation), each.weight.numpy().astype(np.float32)) for name, each in scales.items()
    }
    unscaled = {_UNSCALED: {"dtype": "fp16"}} if dtype != "fp16" and isinstance(network, Transformer) else {}
    return {"sparse": sparse or None, "scales": given, "layers": unscaled, "reference": None}


def _run(network: nn.Module, part: Part, arch: str, dtype: str, options: Mapping[str, Any]) -> tuple[Tensor, int]:
    """Return the answers, and how many layers with weights ran the 2:4 instruction."""
    with torch.no_grad(), simulated.datapath(arch, _TYPES[dtype], **options) as record:
        found = answers(network, part)
    names = set(products(network))
    return found, len({each.name.partition("#")[0] for each in record.layers if each.sparse} & names)
