"""What a tensor of a checkpoint is to a GEMM: which dimensions are outputs, which the reduction, or why it is no weight of one.

An ONNX file says so by its graph. Everywhere else names, ranks and the shape of the bias beside a weight decide, by the rules
below; a tensor that no rule is sure of is no weight, and the reason is reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod

from stcsim.checkpoint import Checkpoint, StoredTensor
from stcsim.checkpoint.element_types import STORAGE_TYPES
from stcsim.checkpoint.layouts import ASYMMETRIC
from stcsim.checkpoint.use import Order


class Kind(StrEnum):
    """What a tensor is."""

    LINEAR = "linear"
    CONV = "convolution"
    EXPERTS = "experts"
    EMBEDDING = "embedding"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Along:
    """A direction in which groups of a weight may lie.

    Attributes:
        name: ``"k"``, ``"m"``, ``"r,s,c"`` or ``"c,r,s"``: which dimensions of the GEMM, the slowest first.
        first: the first of the dimensions that are flattened to the direction.
        last: the one behind them.
        channels_last: whether dimension 1 is moved to the end before.
    """

    name: str
    first: int
    last: int
    channels_last: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """A tensor as the sparse operand of a GEMM.

    Attributes:
        kind: what it is.
        m: outputs.
        k: the reduction.
        batch: independent GEMMs (experts, directions of a recurrent layer).
        along: directions of groups; the first is the one in which a GEMM adds up.
        is_tied: an embedding that is the output layer too.
        why: why it is no weight of a GEMM; empty where it is.
    """

    kind: Kind
    m: int = 0
    k: int = 0
    batch: int = 1
    along: tuple[Along, ...] = ()
    is_tied: bool = False
    why: str = ""


_WEIGHT_TYPES = {row.name for row in STORAGE_TYPES if row.is_weight and row.name != "int32"}
_SCALE = re.compile(r"(scale|scales|scale_inv|zero_point|zeros|qzeros|g_idx|absmax|quant_map|scale_packed|amax)$")
_NORM = re.compile(r"(^|[._/])(\w*norm\w*|ln_\w+|ln\d*|bn\d*|layernorm\w*|batchnorm\w*)([._/]\w+)?$", re.IGNORECASE)
_TABLE = re.compile(r"^(\w*embed(ding)?s?|\w*embeddings|embed_\w+|\w+_embed(ding)?s?|wte|wpe|shared|relative_attention_bias)$")
_TABLE_PARAMETER = re.compile(r"(pos_embed\w*|position_embeddings?|class_embedding|cls_token|mask_token|\w*bias_table)$")
_CONV1D = re.compile(r"(^|\.)(c_attn|c_proj|c_fc|q_attn)\.weight$")
_CONV1D_MODELS = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_NUMBER_OF_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_EXPERTS = re.compile(r"experts?\b|experts?\.")
_TRANSPOSED = re.compile(r"deconv|conv_?transpose|upconv|up_?conv|transposed", re.IGNORECASE)
_WIDEST_FILTER = 31
"""A last dimension up to this is taken for the taps of a filter over one dimension."""
_LANGUAGE_MODEL = ("LM", "LMHeadModel", "ForConditionalGeneration")


class Roles:
    """Gives the roles of one checkpoint's tensors."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Look at what decides for the whole file: its configuration, and how GPT-2's layers lie in it."""
        self._checkpoint, self._config = checkpoint, checkpoint.config
        self._is_conv1d = self._conv1d()

    def of(self, name: str) -> Role:
        """Return the role of the tensor called ``name``."""
        tensor = self._checkpoint[name]
        if why := _no_weight(name, tensor):
            return Role(Kind.OTHER, why=why)
        if self._checkpoint.uses or self._checkpoint.path.suffix.lower() == ".onnx":
            return self._by_graph(name, tensor)
        if tensor.dtype.startswith("uint") or name.endswith("_blocks"):
            return Role(Kind.OTHER, why=f"{tensor.dtype}, of which the file does not say what stands for 0")
        if len(tensor.shape) == 2:
            return self._matrix(name, tensor)
        if len(tensor.shape) == 3:
            return self._three(name, tensor)
        if len(tensor.shape) > 5:
            return Role(Kind.OTHER, why=f"{len(tensor.shape)} dimensions, which no layer known here has")
        return conv(tensor.shape, bool(_TRANSPOSED.search(name)))

    def _by_graph(self, name: str, tensor: StoredTensor) -> Role:
        use = self._checkpoint.uses.get(name)
        if use is None:
            return Role(Kind.OTHER, why="no product of the graph uses it")
        if use.order is Order.LOOK_UP:
            return _table(tensor)
        if use.order is Order.PACKED:
            return Role(Kind.OTHER, why=f"packed for {use.operator}, a layout that is not read")
        if use.zero_point:
            return Role(Kind.OTHER, why="quantised with zero points: its code 0 does not stand for 0")
        if use.order in (Order.CONV, Order.CONV_TRANSPOSED):
            return conv(tensor.shape, use.order is Order.CONV_TRANSPOSED, use.groups)
        return matrix(tensor.shape, use.order is Order.KM)

    def _matrix(self, name: str, tensor: StoredTensor) -> Role:
        if _TABLE_PARAMETER.search(name):
            return _table(tensor)
        if _TABLE.match(_module(name)):
            tied = self._is_tied() and _is_words(name, tensor, self._checkpoint)
            return replace(matrix(tensor.shape), kind=Kind.EMBEDDING, is_tied=True) if tied else _table(tensor)
        return matrix(tensor.shape, self._is_turned(name, tensor))

    def _three(self, name: str, tensor: StoredTensor) -> Role:
        if _TABLE_PARAMETER.search(name) or 1 in tensor.shape[:1] and not name.endswith("weight"):
            return Role(Kind.OTHER, why="a parameter that is added, not multiplied with")
        experts = tensor.shape[0] in [self._config.get(key) for key in _NUMBER_OF_EXPERTS]
        if _EXPERTS.search(name) or experts and tensor.shape[2] > _WIDEST_FILTER:
            return replace(matrix(tensor.shape, self._is_turned_expert(name, tensor.shape)), kind=Kind.EXPERTS)
        if tensor.shape[2] > _WIDEST_FILTER and "conv" not in name.lower():
            return Role(Kind.OTHER, why="three dimensions, none of which is known to be a reduction")
        return conv(tensor.shape, bool(_TRANSPOSED.search(name)))

    def _is_turned(self, name: str, tensor: StoredTensor) -> bool:
        """Whether a matrix lies as (inputs, outputs): GPT-2's layers do, and where the bias has as many outputs as columns."""
        if _CONV1D.search(name):
            return self._is_conv1d
        outputs = self._bias(name)
        return outputs == tensor.shape[1] != tensor.shape[0]

    def _is_turned_expert(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether matrices of experts lie as (inputs, outputs), by the one width that the configuration tells."""
        hidden = self._config.get("hidden_size")
        return shape[1] != shape[2] and (shape[2] if "down" in name else shape[1]) == hidden

    def _conv1d(self) -> bool:
        if self._config.get("model_type") in _CONV1D_MODELS:
            return True
        return any(
            self._bias(name) == tensor.shape[1] != tensor.shape[0]
            for name, tensor in self._checkpoint.items()
            if len(tensor.shape) == 2 and _CONV1D.search(name)
        )

    def _bias(self, name: str) -> int:
        bias = self._checkpoint.get(f"{name.removesuffix('weight')}bias") if name.endswith(".weight") else None
        return bias.shape[0] if bias is not None and len(bias.shape) == 1 else 0

    def _is_tied(self) -> bool:
        """Whether the embedding of words is the output layer too: a language model without one of its own."""
        if any(_module(name) in ("lm_head", "embed_out", "output") for name in self._checkpoint):
            return False
        said = self._config.get("tie_word_embeddings")
        models = self._config.get("architectures") or ()
        return bool(said) if said is not None else any(str(each).endswith(_LANGUAGE_MODEL) for each in models)


def matrix(shape: tuple[int, ...], turned: bool = False) -> Role:
    """Return the role of the last two dimensions of ``shape`` as (m, k), or (k, m) where ``turned``."""
    rank = len(shape)
    rows, columns = Along("m", rank - 2, rank - 1), Along("k", rank - 1, rank)
    if turned:
        return Role(Kind.LINEAR, shape[-1], shape[-2], prod(shape[:-2]), (replace(rows, name="k"), replace(columns, name="m")))
    return Role(Kind.LINEAR, shape[-2], shape[-1], prod(shape[:-2]), (columns, rows))


def conv(shape: tuple[int, ...], transposed: bool = False, groups: int = 1) -> Role:
    """Return the role of filters (K, C / groups, taps…), or (C, K / groups, taps…) where ``transposed``."""
    rank, taps = len(shape), prod(shape[2:])
    if transposed:  # each tap is a GEMM of its own over the inputs
        return Role(Kind.CONV, shape[1] * taps, shape[0] // groups, groups, (Along("c", 0, 1), Along("m", 1, 2)))
    filters, inputs = shape[0], shape[1]
    if taps == 1:
        return Role(Kind.CONV, filters // groups, inputs, groups, (Along("k", 1, rank), Along("m", 0, 1)))
    within = Along("r,s,c", 1, 2) if inputs % 4 == 0 else Along("r,s,c", 1, rank, channels_last=True)
    along = within, Along("c,r,s", 1, rank), Along("m", 0, 1)
    return Role(Kind.CONV, filters // groups, inputs * taps, groups, along)


def _no_weight(name: str, tensor: StoredTensor) -> str:
    """Return why a tensor is no weight, whatever layer it is of; empty where it may be one."""
    ending = re.split(r"[._/]", name)[-1]
    if name.endswith(("qweight", "qzeros")):
        return "packed by GPTQ or AWQ, a layout that is not read"
    if _SCALE.search(name):
        return "a scale or zero point of a quantiser"
    if tensor.layout == ASYMMETRIC:
        return "quantised with zero points: its code 0 does not stand for 0"
    if len(tensor.shape) < 2 or 1 in tensor.shape and max(tensor.shape, default=0) == tensor.size and len(tensor.shape) < 3:
        return "a bias" if ending == "bias" else "a norm" if _NORM.search(name) else "one dimension"
    if not tensor.size:
        return "no elements"
    if tensor.dtype not in _WEIGHT_TYPES:
        return f"{tensor.dtype}, in which no tensor core multiplies"
    return ""


def _table(tensor: StoredTensor) -> Role:
    return Role(Kind.EMBEDDING, along=matrix(tensor.shape).along, why="an embedding: rows are looked up, not multiplied")


def _module(name: str) -> str:
    """Return the name of the module that a parameter is of: the last part before ``.weight``."""
    return name.removesuffix(".weight").rpartition(".")[2]


def _is_words(name: str, tensor: StoredTensor, checkpoint: Mapping[str, StoredTensor]) -> bool:
    """Whether an embedding is that of words: the one with most rows."""
    tables = [other for key, other in checkpoint.items() if len(other.shape) == 2 and _TABLE.match(_module(key))]
    return tensor.shape[0] == max(other.shape[0] for other in tables) and not re.search(r"pos", name)
