"""Training: the same seed gives the same weights, to the bit, on one machine; pruned weights stay zero after every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stcsim.workflow.datasets import Part
from stcsim.workflow.models import Transformer

_WARM_UP = 50
_AT_ONCE = 256
_POINTS = 40
_SHIFT, _STRETCH, _SLOPE = 6, 0.2, 1.0
"""How far MNIST-1D's signals are varied: points, share of the height, height from end to end."""

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Session:
    """How long, how fast and on what a network is trained.

    Attributes:
        steps: of AdamW.
        learning_rate: the highest; there is a short warm-up, then it falls along a cosine.
        batch: samples in a step.
        weight_decay: of AdamW.
        augment: whether signals are varied.
        seed: of the order of samples, and of how they are varied.
    """

    steps: int
    learning_rate: float
    batch: int
    weight_decay: float
    augment: bool
    seed: int


@contextmanager
def deterministic(threads: int = 1) -> Iterator[None]:
    """Let torch compute the same bits each time while the block runs: no choice of algorithms, a fixed number of threads."""
    before, known = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(known)


def train(network: nn.Module, part: Part, session: Session, masks: Mapping[str, Tensor], loss: Loss, advance: Advance) -> float:
    """Train ``network`` in place and return the loss of the last step.

    Args:
        network: what learns.
        part: what it learns.
        session: how.
        masks: by layer, true where a weight stays; those of the others are set to zero after each step.
        loss: of the network on samples and what is to be found.
        advance: called with the number of steps done since the last call.
    """
    draw = torch.Generator().manual_seed(session.seed)
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=session.learning_rate, weight_decay=session.weight_decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, session.steps))
    weights = [(dict(network.named_parameters())[f"{name}.weight"], mask) for name, mask in masks.items()]
    network.train()
    found = torch.zeros(())
    for chosen in _batches(len(x), session, draw):
        samples = _varied(x[chosen], draw) if session.augment else x[chosen]
        found = loss(network, samples, y[chosen])
        optimizer.zero_grad()
        found.backward()  # type: ignore[no-untyped-call, unused-ignore]
        optimizer.step()
        rate.step()
        with torch.no_grad():
            for weight, mask in weights:
                weight.mul_(mask)
        advance(1)
    network.eval()
    return float(found.detach())


def on_data(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of what the network answers."""
    return F.cross_entropy(network(x), y)


@torch.no_grad()
def answers(network: nn.Module, part: Part) -> Tensor:
    """Return what a network says of all samples of a part."""
    network.eval()
    return torch.cat([network(x) for x in torch.from_numpy(part.x).split(_AT_ONCE)])


def _share_of_rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batches(samples: int, session: Session, draw: torch.Generator) -> Iterator[Tensor]:
    """Yield which samples are in each step: all of them in one order, then all in another."""
    batch, waiting = min(session.batch, samples), torch.empty(0, dtype=torch.long)
    for _ in range(session.steps):
        if len(waiting) < batch:
            waiting = torch.randperm(samples, generator=draw)
        yield waiting[:batch]
        waiting = waiting[batch:]


def _varied(x: Tensor, draw: torch.Generator) -> Tensor:
    """Return signals shifted, stretched and tilted at random, as those of the data set were made."""
    many = len(x)
    shift = torch.randint(-_SHIFT, _SHIFT + 1, (many, 1), generator=draw)
    height = 1 + _STRETCH * (torch.rand(many, 1, generator=draw) - 0.5)
    slope = _SLOPE * (torch.rand(many, 1, generator=draw) - 0.5)
    shifted = torch.gather(x[:, 0], 1, (torch.arange(_POINTS) - shift) % _POINTS)
    return (shifted * height + slope * torch.linspace(-0.5, 0.5, _POINTS))[:, None]


class Distillation:
    """The loss of a student beside its teacher: the data, the teacher's answers, and how its attention relates positions.

    The relations are those of MiniLM (W. Wang and others, "MiniLMv2", 2021): of the queries, the keys and the values of the last
    self-attention, each with themselves, as the softmax of scaled products.

    Args:
        teacher: the network that is learned from; it does not change.
        answers: weight of its answers.
        relations: weight of its relations.
        temperature: divides the answers of both.
    """

    def __init__(self, teacher: nn.Module, answers: float, relations: float, temperature: float) -> None:
        self._teacher, self._answers, self._relations, self._temperature = teacher.eval(), answers, relations, temperature

    def __call__(self, student: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss."""
        with torch.no_grad():
            wanted, taught = _with_parts(self._teacher, x)
        given, own = _with_parts(student, x)
        loss = F.cross_entropy(given, y) + self._answers * self._answered(given, wanted)
        return loss + self._relations * _related(own, taught) if self._relations else loss

    def _answered(self, given: Tensor, wanted: Tensor) -> Tensor:
        rows = [each.movedim(1, -1).reshape(-1, each.shape[1]) / self._temperature for each in (given, wanted)]
        return self._temperature**2 * _divergence(*rows)


def _with_parts(network: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return what a network answers, and the queries, keys and values of its last self-attention, by heads, if it has one."""
    if not isinstance(network, Transformer):
        return network(x), []
    attention: Any = network.blocks[-1].attention
    parts: list[Tensor] = []
    layers = (attention.query, attention.key, attention.value)
    hooks = [layer.register_forward_hook(lambda _, __, output: parts.append(output)) for layer in layers]
    try:
        answer = network(x)
        return answer, [part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in parts]
    finally:
        for hook in hooks:
            hook.remove()


def _related(own: list[Tensor], taught: list[Tensor]) -> Tensor:
    return torch.stack([_divergence(_relation(each), _relation(wanted)) for each, wanted in zip(own, taught, strict=True)]).mean()


def _relation(x: Tensor) -> Tensor:
    """Return (samples · heads · length, length) products of each position with each, scaled."""
    products = x @ x.transpose(-1, -2) / math.sqrt(x.shape[-1])
    return products.reshape(-1, products.shape[-1])


def _divergence(given: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of rows of scores."""
    return F.kl_div(given.log_softmax(-1), wanted.log_softmax(-1), reduction="batchmean", log_target=True)
