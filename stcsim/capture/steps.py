"""Reads the steps that hardly compute: what the field calls an aten operator, and how many elements it reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from stcsim.capture.drafts import Call
from stcsim.capture.storages import Storages, is_float

#: The field's word for what an operator does, where the operator's name without underscores and axes is not that word.
WORDS = {
    "_to_copy": "cast",
    "_prelu_kernel": "prelu",
    "_native_batch_norm_legit": "batch_norm_training",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "_unsafe_index": "index",
    "_unsafe_index_put": "index_put",
    "clamp_max": "clamp",
    "clamp_min": "clamp",
    "clone": "copy",
    "constant_pad_nd": "pad",
    "conj_physical": "copy",
    "embedding_bag": "embedding",
    "floor_divide": "div",
    "log_sigmoid_forward": "log_sigmoid",
    "max_pool_with_indices": "max_pool",
    "native_batch_norm": "batch_norm_training",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
    "_fused_rms_norm": "rms_norm",
    "_safe_softmax": "softmax",
    "repeat": "copy",
    "rsub": "sub",
    "special_erf": "erf",
    "special_expit": "sigmoid",
    "stack": "cat",
    "true_divide": "div",
    "zero": "fill",
}

#: Families whose members differ by axes, mode or a prefix.
FAMILIES = {
    r"(adaptive_)?max_pool": "max_pool",
    r"(adaptive_)?avg_pool": "avg_pool",
    r"upsample": "upsample",
    r"(reflection|replication)_pad": "pad",
}

#: Look-ups pick elements by data: they read of a table what they return, and that is no weight any more.
LOOKUPS = ("embedding", "index", "_unsafe_index", "index_select", "gather", "take", "take_along_dim")

#: Writes of a source into a part of a tensor, in place; the source is the last tensor of numbers.
PART_WRITES = ("index_put", "_unsafe_index_put", "index_copy", "index_add", "scatter", "scatter_add", "masked_scatter")

#: Operators that overwrite what they are given first without reading it.
OVERWRITES = ("copy", "fill", "zero")

#: Copies hold no more distinct elements than what they copy.
COPIES = ("clone", "_to_copy", "repeat")

#: Steps of which only the first result leaves the kernel; the others are for training.
ONE_RESULT = ("batch_norm", "batch_norm_training", "layer_norm", "rms_norm", "group_norm", "max_pool")


class Step(NamedTuple):
    """What a step is called, and the elements of activations, then of constants, that one launch moves."""

    operator: str
    read: int
    written: int
    constant: int


def word(call: Call) -> str:
    """Return what the field calls an operator: ``native_layer_norm`` is ``layer_norm``; else its name in aten."""
    operator = call.operator
    if operator == "_to_copy" and call.outputs[0].dtype == call.args[0].dtype:
        return "copy"
    if operator == "mean" and call.args[0].dim() == 4 and _axes(call) == {2, 3}:  # what aten makes of global pooling
        return "avg_pool"
    if operator == "hardtanh" and tuple(call.args[1:3]) == (0, 6):
        return "relu6"
    if operator in WORDS:
        return WORDS[operator]
    for pattern, family in FAMILIES.items():
        if re.match(pattern, operator.lstrip("_")):
            return family
    return operator.lstrip("_")


def read_step(call: Call, inputs: Sequence[torch.Tensor], in_place: bool) -> Step:
    """Return what a step is and moves.

    Args:
        call: the operator with its results.
        inputs: its tensors, in operand order.
        in_place: whether it writes into one of them.
    """
    operator, name = word(call), call.operator
    results = [tensor for tensor in call.outputs if is_float(tensor)]
    written = sum(tensor.numel() for tensor in (results[:1] if operator in ONE_RESULT else results))
    if name in LOOKUPS:
        return Step(operator, written, written, 0)
    numbers = [tensor for tensor in inputs if is_float(tensor)]
    if in_place and name in PART_WRITES and len(numbers) > 1:
        source = numbers[-1].numel()
        return Step(operator, source * (2 if name.endswith("add") else 1), source, 0)
    if name in OVERWRITES:
        numbers = numbers[1:]
    read, constant = _elements(call.storages, numbers)
    return Step(operator, read, written, constant)


def _elements(storages: Storages, tensors: Iterable[torch.Tensor]) -> tuple[int, int]:
    """Return the distinct elements of activations (and masks) and of constants; a tensor given twice is read once."""
    read = constant = 0
    for tensor in {storages.place(each): each for each in tensors}.values():
        if storages.role(tensor) == "constant":
            constant += storages.distinct(tensor)
        else:
            read += storages.distinct(tensor)
    return read, constant


def _axes(call: Call) -> set[int]:
    """Return the axes a reduction goes over, counted from the front."""
    axes = call.args[1] if len(call.args) > 1 and call.args[1] is not None else call.kwargs.get("dim") or ()
    return {axis % call.args[0].dim() for axis in ([axes] if isinstance(axes, int) else axes)}
