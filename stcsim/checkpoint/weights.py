"""Weights of GEMMs as pruning takes them: how each lies in its tensor, and which of them one leaves dense unless asked.

What is a weight, and how it lies, is said by its role (``stcsim.checkpoint.roles``). Heads and routers are known by their names:
recipes for language models leave ``lm_head`` and routers of experts dense (llm-compressor, ModelOpt).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Literal

from stcsim.checkpoint.open import Checkpoint
from stcsim.checkpoint.roles import Kind, Role, Roles
from stcsim.checkpoint.stored import StoredTensor

Place = Literal["hidden", "head", "router"]

_HEAD = re.compile(
    r"(.*\.)?(lm_head|embed_out|classifier(\.\d+)?|score|qa_outputs|cls\.predictions\.decoder|cls\.seq_relationship)"
    r"|head(\.\w+)?|fc|output"
)
"""A whole module name: what turns features into logits. ``fc``, ``head`` and ``output`` only at the top of a network."""
_ROUTER = re.compile(r"(.*\.)?(gate|router|shared_expert_gate)(\.(classifier|layer|linear))?")
"""A whole module name: what shares tokens out to experts."""
_ENDING = re.compile(r"(?<=.)[._](weight|kernel)$")


@dataclass(frozen=True, slots=True)
class GemmWeight:
    """A weight that a GEMM multiplies.

    Attributes:
        tensor: as stored.
        layer: the name without ``.weight``: the module's.
        role: what it is, and which dimensions are outputs and the reduction.
        place: ``"hidden"``; or ``"head"`` or ``"router"`` (of experts), which one leaves dense unless asked.
    """

    tensor: StoredTensor
    layer: str
    role: Role
    place: Place

    @property
    def kind(self) -> Kind:
        """What it is: a linear layer, a convolution, experts."""
        return self.role.kind

    @property
    def m(self) -> int:
        """Outputs of one expert or group."""
        return self.role.m

    @property
    def k(self) -> int:
        """The reduction: inputs, times taps."""
        return self.role.k

    @property
    def transposed(self) -> bool:
        """Whether a matrix lies as (inputs, outputs), or filters of a transposed convolution as (channels, filters, taps…)."""
        first, rank = self.role.along[0], len(self.tensor.shape)
        return first.first == 0 if self.kind is Kind.CONV else first.first == rank - 2

    @property
    def channels(self) -> int:
        """Input channels of a filter, else the reduction."""
        return self.tensor.shape[1] if self.kind is Kind.CONV and not self.transposed else self.k

    @property
    def taps(self) -> int:
        """Places of a filter; 1 for matrices."""
        return prod(self.tensor.shape[2:]) if self.kind is Kind.CONV else 1


def gemm_weights(checkpoint: Checkpoint) -> dict[str, GemmWeight]:
    """Return the weights of GEMMs by name of tensor, in the order of the checkpoint; embeddings and vectors are none."""
    roles, found = Roles(checkpoint), {}
    for name, tensor in checkpoint.items():
        role = roles.of(name)
        if not role.why and role.kind is not Kind.EMBEDDING:
            layer = layer_of(name)
            place: Place = "head" if _HEAD.fullmatch(layer) else "router" if _ROUTER.fullmatch(layer) else "hidden"
            found[name] = GemmWeight(tensor, layer, role, place)
    return found


def layer_of(name: str) -> str:
    """Return the name of the module of a tensor: ``conv1.weight`` is ``conv1``'s."""
    return _ENDING.sub("", name)
