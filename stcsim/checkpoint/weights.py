"""Which tensors of a checkpoint are weights of GEMMs, how each lies, and which of them one would not prune.

A checkpoint has no graph: names and shapes say what a tensor is. The rules are rows below; what no row knows is a weight as
PyTorch stores it, (outputs, inputs) or (filters, channels, taps…).

Sources: the classes of transformers 5.23, torch, torchvision and timm for names; ASP and ModelOpt skip what their kernels cannot
run, llm-compressor's recipes leave ``lm_head`` dense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from stcsim.checkpoint.stored import StoredTensor

Kind = Literal["linear", "conv", "experts"]
Role = Literal["hidden", "head", "router"]

_WEIGHT_TYPES = ("fp64", "fp32", "fp16", "bf16", "e4m3", "e5m2", "int8")
_NO_WEIGHT = re.compile(
    r"(^|[._])(bias|biases|mask|masked_bias|(pos|position|rel_pos|relative_position|class|cls|mask|register|query)\w*"
    r"(token|tokens|embed|embeds|encoding|table|ids|index)|scale|scales|zero_point|running_mean|running_var|inv_freq)$"
    r"|(^|[._])lora_[AB]([._]|$)"
)
"""Tensors of two dimensions and more that no GEMM multiplies as a weight."""
_EMBEDDING = re.compile(
    r"(\w*embeds?|\w*embeddings?|embed_(tokens|positions|in)|tok_embeddings|wte|wpe|shared|relative_attention_bias|\w*_emb)"
)
"""Last word of a module that looks up rows, where its weight has two dimensions."""
_HEAD = re.compile(
    r"(.*\.)?(lm_head|embed_out|classifier(\.\d+)?|score|qa_outputs|cls\.predictions\.decoder|cls\.seq_relationship)|head(\.\w+)?|fc|output"
)
"""A whole module name: what turns features into logits. ``fc``, ``head`` and ``output`` only at the top of a network."""
_ROUTER = re.compile(r"(.*\.)?(gate|router|shared_expert_gate)(\.(classifier|layer|linear))?")
"""A whole module name: what shares tokens out to experts."""
_CONV1D = {"c_attn": True, "c_fc": True, "q_attn": False, "c_proj": False}
"""Modules of GPT-2, which transformers stores as (inputs, outputs) and others as Linear; True: shapes tell, since it widens."""


@dataclass(frozen=True, slots=True)
class GemmWeight:
    """A weight that a GEMM multiplies.

    Attributes:
        tensor: as stored.
        layer: the name without ``.weight``: the module's.
        kind: ``"linear"``, ``"conv"`` (of one to three dimensions of taps) or ``"experts"`` (a matrix for each expert).
        transposed: whether a linear layer lies as (inputs, outputs), so that the reduction is the dimension before the last.
        m: outputs, of one expert or group.
        k: the reduction: inputs, times taps.
        role: ``"hidden"``; or ``"head"`` or ``"router"`` (of experts), which one leaves dense unless asked.
    """

    tensor: StoredTensor
    layer: str
    kind: Kind
    transposed: bool
    m: int
    k: int
    role: Role

    @property
    def channels(self) -> int:
        """Input channels of a filter, else the reduction."""
        return self.tensor.shape[1] if self.kind == "conv" else self.k

    @property
    def taps(self) -> int:
        """Places of a filter; 1 for matrices."""
        return prod(self.tensor.shape[2:]) if self.kind == "conv" else 1


def gemm_weights(tensors: Mapping[str, StoredTensor], transposed: frozenset[str] = frozenset()) -> dict[str, GemmWeight]:
    """Return the weights of GEMMs by name of tensor, in the order of the checkpoint; embeddings and vectors are none.

    Args:
        tensors: of a checkpoint.
        transposed: names that are known to lie as (inputs, outputs).
    """
    found = ((name, _weight(tensor, tensors, name in transposed)) for name, tensor in tensors.items())
    return {name: weight for name, weight in found if weight is not None}


def layer_of(name: str) -> str:
    """Return the name of the module of a tensor: ``conv1.weight`` is ``conv1``'s."""
    return re.sub(r"(?<=.)[._](weight|kernel)$", "", name)


def _weight(tensor: StoredTensor, tensors: Mapping[str, StoredTensor], transposed: bool) -> GemmWeight | None:
    """Return what a tensor is the weight of, or ``None``."""
    name, shape = tensor.name, tensor.shape
    layer = layer_of(name)
    last = layer.rpartition(".")[2]
    if tensor.dtype not in _WEIGHT_TYPES or not 2 <= len(shape) <= 5 or not tensor.size or _NO_WEIGHT.search(name):
        return None
    role: Role = "head" if _HEAD.fullmatch(layer) else "router" if _ROUTER.fullmatch(layer) else "hidden"
    if len(shape) == 2:
        if _EMBEDDING.fullmatch(last):
            return None
        flipped = transposed or _is_conv1d(layer, tensors) or name.endswith("kernel")
        m, k = shape[::-1] if flipped else shape
        return GemmWeight(tensor, layer, "linear", flipped, m, k, role)
    if len(shape) == 3 and "expert" in name:
        flipped = _experts_flipped(name, tensors)
        m, k = (shape[2], shape[1]) if flipped else (shape[1], shape[2])
        return GemmWeight(tensor, layer, "experts", flipped, m, k, role)
    if name.endswith("kernel") or (_EMBEDDING.fullmatch(last) and len(shape) == 3):
        return None  # filters of JAX lie as (taps…, channels, filters); tokens and positions as (1, n, features)
    return GemmWeight(tensor, layer, "conv", False, shape[0], prod(shape[1:]), role)


def _is_conv1d(layer: str, tensors: Mapping[str, StoredTensor]) -> bool:
    """Tell whether a module of GPT-2 lies as (inputs, outputs): those that widen say so, and the others follow them."""
    parent, _, last = layer.rpartition(".")
    if last not in _CONV1D:
        return False
    for sibling in (last, *(name for name, widens in _CONV1D.items() if widens)):
        tensor = tensors.get(f"{parent}.{sibling}.weight" if parent else f"{sibling}.weight")
        if tensor is not None and len(tensor.shape) == 2 and _CONV1D[sibling]:
            return tensor.shape[1] > tensor.shape[0]
    return False


def _experts_flipped(name: str, tensors: Mapping[str, StoredTensor]) -> bool:
    """Tell whether experts lie as (expert, inputs, outputs): what one matrix puts out, the next takes in."""
    up, down = (tensors.get(re.sub(r"(gate_up|down)_proj", f"{word}_proj", name)) for word in ("gate_up", "down"))
    if up is None or down is None or len(up.shape) != 3 or len(down.shape) != 3:
        return False
    return up.shape[2] == 2 * down.shape[1] and up.shape[1] == down.shape[2] and up.shape[1] != 2 * down.shape[2]
