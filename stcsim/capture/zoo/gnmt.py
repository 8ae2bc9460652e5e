"""A translator like GNMT (arXiv 1609.08144), in one pass over known targets, as NVIDIA/DeepLearningExamples runs it.

There the attention asks with the states of the lowest decoder layer, which itself reads no context, so that each layer can run
over all steps before the next one starts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 1024
DEPTH = 8
VOCABULARY = 32000
FIRST_RESIDUAL = 2


class Layer(nn.Module):
    """An LSTM layer; ``forward`` returns the states of all steps, (batch, steps, WIDTH), or twice as wide in both directions."""

    def __init__(self, inputs: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, WIDTH, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states alone."""
        states: Tensor = self.lstm(x)[0]
        return states


class AdditiveAttention(nn.Module):
    """What the encoder says to each decoder state: weights come from tanh(query + key), summed by a learned vector."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.score = nn.Linear(WIDTH, 1, bias=False)

    def forward(self, states: Tensor, memory: Tensor) -> Tensor:
        """Return a context for each state, (batch, targets, WIDTH)."""
        pairs = torch.tanh(self.query(states).unsqueeze(2) + self.key(memory).unsqueeze(1))
        context: Tensor = torch.softmax(self.score(pairs).squeeze(3), 2) @ memory
        return context


class GNMT(nn.Module):
    """Eight encoder layers, the lowest in both directions, and eight decoder layers; all but the lowest read the context."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, WIDTH)
        self.target = nn.Embedding(VOCABULARY, WIDTH)
        rest = [Layer(WIDTH) for _ in range(DEPTH - 2)]
        self.encoder = nn.ModuleList([Layer(WIDTH, bidirectional=True), Layer(2 * WIDTH), *rest])
        self.lowest = Layer(WIDTH)
        self.attention = AdditiveAttention()
        self.decoder = nn.ModuleList([Layer(2 * WIDTH) for _ in range(DEPTH - 1)])
        self.logits = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits of every target token."""
        memory = self.source(source)
        for depth, layer in enumerate(self.encoder):
            states = layer(memory)
            memory = states + memory if depth >= FIRST_RESIDUAL else states
        x = self.lowest(self.target(target))
        context = self.attention(x, memory)
        for depth, layer in enumerate(self.decoder, 1):
            states = layer(torch.cat([x, context], 2))
            x = states + x if depth >= FIRST_RESIDUAL else states
        logits: Tensor = self.logits(x)
        return logits
