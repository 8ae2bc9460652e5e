"""Pruning a network for sparse tensor cores: which weights stay, and channels put into the order that keeps most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from stcsim.numerics import keep_mask, permute_channels
from stcsim.workflow import modelopt
from stcsim.workflow.models import free_channels, products
from stcsim.workflow.recipe import Prune

_ESCAPES = 20
"""How often the search for an order of channels leaves a local optimum."""
_CHANNELS = 1
"""The dimension of a weight that four neighbours of a group lie along: input features, or channels at one place of a filter."""


def masks_of(network: nn.Module, stage: Prune, forward: Callable[[nn.Module], None]) -> dict[str, Tensor]:
    """Return the masks of a stage, true where a weight stays, by layer.

    3:4 is ours, since ModelOpt has none: of each group of four that its 2:4 cuts, the smallest magnitude goes.

    Args:
        network: what is pruned.
        stage: how.
        forward: runs samples through a network, for methods that look at activations.
    """
    if stage.method == "sparsegpt":
        return modelopt.sparsegpt_masks(network, forward)
    masks = modelopt.magnitude_masks(network)
    if stage.keep == "2:4":
        return masks
    return {name: _kept(products(network)[name].weight, stage.keep) for name in masks}  # type: ignore[arg-type, unused-ignore]


def _kept(weight: Tensor, pattern: str) -> Tensor:
    return torch.from_numpy(keep_mask(weight.detach().numpy(), pattern, axis=_CHANNELS))


@torch.no_grad()
def permute(network: nn.Module, seed: int) -> dict[str, float]:
    """Put the channels of a network into an order under which 2:4 keeps more, in place; what it computes stays the same.

    Each order is folded into the layers that make these channels, so that nothing is moved when the network runs.

    Args:
        network: what is reordered.
        seed: of the search.

    Returns:
        For each first reader of permuted channels, what 2:4 keeps of the magnitudes after by what it kept before.
    """
    gains = {}
    tensors = dict(network.named_parameters())
    for channels in free_channels(network):
        rows = [tensors[f"{name}.weight"].movedim(_CHANNELS, -1).flatten(0, -2) for name in channels.readers]
        found = permute_channels(torch.cat(rows).numpy(), escapes=_ESCAPES, seed=seed)
        order = torch.from_numpy(np.ascontiguousarray(found.order))
        for name, dimension in channels.carriers:
            tensors[name].copy_(tensors[name].index_select(dimension, order))
        gains[channels.readers[0]] = found.kept_after / found.kept_before
    return gains
