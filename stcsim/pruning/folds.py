"""Folds: channels that one layer makes and the next takes, which may be permuted in both without changing what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint import StoredTensor
from stcsim.checkpoint.weights import GemmWeight
from stcsim.pruning.families import FAMILIES, HEAD_DIMS, HEADS, SECTIONS, WIDTHS, Family

Indices = npt.NDArray[np.int64]
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Member:
    """A tensor that has the channels.

    Attributes:
        tensor: its name.
        axis: the dimension that they lie along.
        places: (copies, channels): where along that dimension each channel lies, once or several times.
    """

    tensor: str
    axis: int
    places: Indices


@dataclass(frozen=True, slots=True)
class Fold:
    """Channels that may be permuted.

    Attributes:
        layer: of the taker.
        makers: the layers whose outputs they are, as people name them.
        channels: how many.
        block: they may be permuted within blocks of so many.
        makes: tensors of the makers, and vectors between.
        takes: the taker's weight.
    """

    layer: str
    makers: str
    channels: int
    block: int
    makes: tuple[Member, ...]
    takes: Member


@dataclass(frozen=True, slots=True)
class Refused:
    """Layers that a family knows, whose channels may not be permuted, and why not."""

    layer: str
    reason: str


class _NotThis(Exception):
    """The channels of a family's layers may not be permuted, for the reason given."""


def find_folds(
    tensors: Mapping[str, StoredTensor], weights: Mapping[str, GemmWeight], config: Mapping[str, Any]
) -> Iterator[Fold | Refused]:
    """Yield what the table of families knows in a checkpoint.

    Args:
        tensors: of the checkpoint.
        weights: those that GEMMs multiply, by name of tensor.
        config: of the network, which says how many channels a head of attention has.
    """
    for family in FAMILIES:
        first = re.compile(r"(?P<scope>(?:.*\.)?)" + _numbered(re.escape(family.makers[0])) + r"\.weight")
        for name in weights:
            if found := first.fullmatch(name):
                number = found.groupdict().get("i")
                makers = [found["scope"] + _at(maker, number) for maker in family.makers]
                taker = found["scope"] + _at(family.taker, number)
                if all(f"{module}.weight" in weights for module in (*makers, taker)):
                    try:
                        yield _fold(family, found["scope"], number, makers, taker, tensors, weights, config)
                    except _NotThis as reason:
                        yield Refused(taker, str(reason))


def _fold(
    family: Family,
    scope: str,
    number: str | None,
    makers: list[str],
    taker: str,
    tensors: Mapping[str, StoredTensor],
    weights: Mapping[str, GemmWeight],
    config: Mapping[str, Any],
) -> Fold:
    """Return the fold of one match of a family."""
    takes = weights[f"{taker}.weight"]
    sizes = _channels(family, weights[f"{makers[0]}.weight"], takes, config)
    norm = scope + _at(family.norm, number) if family.norm else ""
    between = [name for part in _NORM if (name := f"{norm}.{part}") in tensors] if norm else []
    biases = [f"{maker}.bias" for maker in makers if f"{maker}.bias" in tensors]
    _only_known(family, scope, tensors, {*(f"{each}.weight" for each in (*makers, taker)), *biases, f"{taker}.bias", *between})
    if number is not None:
        _ungrouped(scope + _at(family.makers[0], str(int(number) - 1)), makers[0], weights)
    makes = [Member(f"{maker}.weight", output_axis(weights[f"{maker}.weight"]), sizes.made) for maker in makers]
    makes += [Member(name, 0, sizes.made) for name in biases]
    makes += [Member(name, 0, sizes.made[:1]) for name in between]
    for member in makes:
        _fits(member, tensors[member.tensor], sizes.rows if member.tensor not in between else sizes.channels)
    named = ", ".join(maker.removeprefix(scope) for maker in makers)
    return Fold(
        taker, named, sizes.channels, sizes.block, tuple(makes), Member(takes.tensor.name, input_axis(takes), sizes.taken)
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The channels of a fold: how many, in blocks of how many, and where they lie in makers of ``rows`` outputs and the taker."""

    channels: int
    block: int
    rows: int
    made: Indices
    taken: Indices


def _channels(family: Family, maker: GemmWeight, taker: GemmWeight, config: Mapping[str, Any]) -> _Sizes:
    """Return how channels lie; attention's values stay within their head, and several heads of queries may share them."""
    inputs = taker.channels
    if not family.heads:
        made = np.arange(inputs * family.blocks, dtype=np.int64).reshape(family.blocks, inputs)
        return _Sizes(inputs, inputs, inputs * family.blocks, made, np.arange(inputs, dtype=np.int64)[None])
    head = _head_dim(maker.layer, config)
    heads, rest = divmod(inputs, head)
    kv_heads = (maker.m - inputs) // 2 // head if family.fused else maker.m // head
    if rest or kv_heads < 1 or heads % kv_heads:
        raise _NotThis(f"{inputs} inputs and {maker.m} outputs are no heads of {head} channels, as the configuration says")
    channels, offset = kv_heads * head, (heads + kv_heads) * head if family.fused else 0
    made = np.arange(channels, dtype=np.int64)[None] + offset
    shared = np.arange(inputs, dtype=np.int64).reshape(kv_heads, heads // kv_heads, head)  # heads that share values lie together
    return _Sizes(channels, head, channels + offset, made, shared.swapaxes(0, 1).reshape(heads // kv_heads, channels))


def _head_dim(layer: str, config: Mapping[str, Any]) -> int:
    """Return the channels of a head, as the configuration says."""
    words = layer.split(".")
    section = next((key for word, key in SECTIONS if word in words and isinstance(config.get(key), Mapping)), None)
    part = config[section] if section else config
    for keys in HEAD_DIMS:
        if all(type(part.get(key)) is int and part[key] > 0 for key in keys):
            return int(part[keys[0]])
    width = next((part[key] for key in WIDTHS if type(part.get(key)) is int), 0)
    found = {width // part[key] for key in HEADS if type(part.get(key)) is int and part[key] > 0 and width % part[key] == 0}
    if len(found) != 1 or not width:
        raise _NotThis("how many channels a head has is not known: no config.json beside the weights says so")
    return int(found.pop())


def _only_known(family: Family, scope: str, tensors: Mapping[str, StoredTensor], known: set[str]) -> None:
    """Refuse a module that holds what the family does not know: it might read the channels, or need them in order."""
    for name in tensors:
        inside = name.removeprefix(scope)
        counts = family.norm and inside.endswith("num_batches_tracked")
        if name.startswith(scope) and name not in known and not counts and not re.fullmatch(family.beside, inside):
            raise _NotThis(f"{inside} beside them may need the channels in their order")


def _ungrouped(before: str, maker: str, weights: Mapping[str, GemmWeight]) -> None:
    """Refuse a convolution in groups as a maker: each group has its own outputs, which may not change places with others'."""
    made, taken = weights.get(f"{before}.weight"), weights[f"{maker}.weight"]
    if made is not None and made.m != taken.channels:
        raise _NotThis(f"{maker.rpartition('.')[2]} works in groups: it takes {taken.channels} of {made.m} channels")


def _fits(member: Member, tensor: StoredTensor, size: int) -> None:
    if len(tensor.shape) <= member.axis or tensor.shape[member.axis] != size:
        raise _NotThis(f"{tensor.name} has shape {tensor.shape}, and {size} along dimension {member.axis} were to be expected")


def output_axis(weight: GemmWeight) -> int:
    """Return the dimension of a weight's outputs."""
    return 1 if weight.transposed else 0


def input_axis(weight: GemmWeight) -> int:
    """Return the dimension of a weight's inputs."""
    return 0 if weight.transposed else 1


def _numbered(pattern: str) -> str:
    return pattern.replace(r"\{i\}", r"(?P<i>\d+)")


def _at(module: str, number: str | None) -> str:
    return module if number is None else module.format(i=number, j=int(number) + 1)
