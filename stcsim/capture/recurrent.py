"""Reads LSTM, GRU and plain recurrent layers that arrive whole: for each layer one product for all steps, one for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stcsim.capture.drafts import Call, Draft, gemm, memory

#: Gates of a cell, states it reads, states it writes.
CELLS = {"lstm": (4, 1, 2), "gru": (3, 1, 1), "rnn": (1, 0, 1)}


@dataclass(frozen=True, slots=True)
class Layer:
    """One direction of one layer.

    Attributes:
        name: as the parameters of ``torch.nn.LSTM`` end.
        weights: of the inputs, of the state, and of a projection if any.
        steps, batch: of the sequence.
    """

    name: str
    weights: Sequence[torch.Tensor]
    steps: int
    batch: int


def recurrent_layers(call: Call) -> list[Draft] | None:
    """Return the layers of ``aten.lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``; ``None`` for a packed sequence.

    As cuDNN runs it: the inputs of all steps are multiplied at once, the state at every step (``count``), and the gates follow.
    """
    if not isinstance(call.args[3], bool):  # of a packed sequence these are the parameters
        return None
    sequence, _, parameters, _, depth, _, _, bidirectional, batch_first = call.args[:9]
    steps, batch = (sequence.shape[1], sequence.shape[0]) if batch_first else sequence.shape[:2]
    if sequence.numel() == 0:
        return []
    drafts: list[Draft] = []
    reads: list[torch.Tensor | int] = [sequence]
    directions = ("", "_reverse") if bidirectional else ("",)
    each = len(parameters) // (depth * len(directions))
    weights = [
        [part for part in parameters[first : first + each] if part.dim() == 2] for first in range(0, len(parameters), each)
    ]
    for level in range(depth):
        states: list[torch.Tensor | int] = []
        for place, direction in enumerate(directions):
            layer = Layer(f"l{level}{direction}", weights[level * len(directions) + place], steps, batch)
            drafts += _one_direction(call.operator, layer, reads, len(drafts))
            states.append(len(drafts) - 1)
        reads = states
    return drafts


def _one_direction(operator: str, layer: Layer, reads: Sequence[torch.Tensor | int], place: int) -> list[Draft]:
    """Return the products and the gates of one direction; ``place`` is that of the first of them."""
    inputs, state, *projection = layer.weights
    word = operator.partition("_")[0]
    gates, read, written = CELLS[word]
    hidden = inputs.shape[0] // gates * layer.batch
    elements = (hidden * (2 * gates + read), hidden * written)
    drafts = [
        gemm((inputs.shape[0], layer.steps * layer.batch, inputs.shape[1], 1), reads, inputs, f"{layer.name}.input"),
        gemm((state.shape[0], layer.batch, state.shape[1], 1), [], state, f"{layer.name}.recurrent", layer.steps),
        memory(f"{word}_cell", elements, [place + 1, place], f"{layer.name}.cell", layer.steps),
    ]
    for weight in projection:
        sizes = (weight.shape[0], layer.batch, weight.shape[1], 1)
        drafts.append(gemm(sizes, [place + 2], weight, f"{layer.name}.projection", layer.steps))
    return drafts


def recurrent_outputs(operator: str, args: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """Return what a layer returns, without running its steps one by one: the states of all steps, and the last ones."""
    sequence, states, bidirectional = args[0], args[1], args[7]
    first = states[0] if operator == "lstm" else states
    directions = 2 if bidirectional else 1
    out = sequence.new_empty((*sequence.shape[:2], first.shape[-1] * directions))
    return (out, *(state.new_empty(state.shape) for state in (states if operator == "lstm" else (states,))))
