"""What the operators of aten are to a recorder: which stay whole, what they return without data, what their results are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.jit import ScriptModule

from stcsim.capture.attention import attention_output
from stcsim.capture.drafts import Call, Draft
from stcsim.capture.products import READERS
from stcsim.capture.recurrent import recurrent_outputs
from stcsim.capture.steps import LOOKUPS
from stcsim.capture.storages import Role, is_float
from stcsim.trace import Conv2d, Gemm, Memory, Op

KINDS: dict[str, type[Op]] = {"gemm": Gemm, "conv2d": Conv2d, "memory": Memory}

#: Operators made of others that stay whole, beside those of ``products``.
WHOLE = (
    "layer_norm",
    "rms_norm",
    "group_norm",
    "instance_norm",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
)


def operation_of(draft: Draft, name: str) -> Op:
    """Return one launch of a draft."""
    return KINDS[draft.kind](name=name, **draft.fields)


def own_weights(ops: Sequence[Op]) -> list[Op]:
    """Return the operations with each weight owned by the first that has it; its owner may have been left out."""
    names, owners, owned = {op.name for op in ops}, dict[str, str](), list[Op]()
    for op in ops:
        owner = "" if isinstance(op, Memory) else op.weight_of
        if owner and owner not in names:
            first = owners.setdefault(owner, op.name)
            op = op.changed(weight_of="" if first == op.name else first)
        owned.append(op)
    return owned


def stays_whole(namespace: str, operator: str) -> bool:
    """Whether an operator made of others is recorded as it is."""
    return namespace == "aten" and (operator in READERS or operator in WHOLE or operator.startswith("upsample_"))


def outputs_of(func: Any, operator: str, *args: Any, **kwargs: Any) -> Any:
    """Run one operator on tensors without data, unseen by the mode."""
    if operator == "scaled_dot_product_attention":
        return attention_output(args[0], args[2])
    if operator in ("lstm", "gru", "rnn_tanh", "rnn_relu") and isinstance(args[3], bool):
        return recurrent_outputs(operator, args)
    if operator == "_grouped_mm":  # its own shape function refuses types in which GPUs do not run it
        left, right = args[:2]
        return left.new_empty(left.shape[0] if left.dim() == 2 else left.shape[1], right.shape[-1])
    return func(*args, **kwargs)


def baked(module: ScriptModule) -> list[torch.Tensor]:
    """Return the matrices that a scripted module holds as constants: weights, where it is frozen."""
    if not hasattr(module, "inlined_graph"):
        return []
    graph = module.inlined_graph  # kept, for its nodes do not
    values = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    return [value for value in values if isinstance(value, torch.Tensor) and is_float(value) and value.dim() > 1]


def reads_shape(operator: str) -> bool:
    """Whether an operator makes a tensor of which only the shape is that of another."""
    return operator.endswith("_like") or operator.startswith("new_")


def result_role(call: Call, inputs: Sequence[torch.Tensor]) -> tuple[Role, bool]:
    """Return what the results of an operator that does not multiply depend on, and whether they are a weight."""
    if reads_shape(call.operator):
        return "constant", False
    roles = {call.storages.role(tensor) for tensor in inputs}
    lookup = call.operator in LOOKUPS
    if "activation" in roles or (lookup and "index" in roles and is_float(inputs[0])):
        return "activation", False
    weight = not lookup and roles == {"constant"} and any(map(call.storages.is_weight, inputs))
    return ("index" if "index" in roles else "constant"), weight
