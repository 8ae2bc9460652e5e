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
        layers: that take them in.
        makers: the layers whose outputs they are, as people name them.
        channels: how many.
        block: they may be permuted within blocks of so many.
        makes: tensors of the makers, and vectors between.
        takes: the takers' weights.
    """

    layers: tuple[str, ...]
    makers: str
    channels: int
    block: int
    makes: tuple[Member, ...]
    takes: tuple[Member, ...]


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
        found = list(_matches(family, weights))
        doubt = _norms_in_doubt(found, tensors, weights) if family.norm_may_precede else ""
        for match in found:
            try:
                yield _fold(match, tensors, weights, config) if not doubt else Refused(match.taker, doubt)
            except _NotThis as reason:
                yield Refused(match.taker, str(reason))


@dataclass(frozen=True, slots=True)
class _Match:
    """Modules that a family's names fit, with their full names."""

    family: Family
    scope: str
    number: str | None
    makers: tuple[str, ...]
    taker: str

    @property
    def norm(self) -> str:
        """The norm between; empty for none."""
        return self.scope + _at(self.family.norm, self.number) if self.family.norm else ""


def _matches(family: Family, weights: Mapping[str, GemmWeight]) -> Iterator[_Match]:
    first = re.compile(r"(?P<scope>(?:.*\.)?)" + _numbered(re.escape(family.makers[0])) + r"\.weight")
    for name in weights:
        if found := first.fullmatch(name):
            scope, number = found["scope"], found.groupdict().get("i")
            makers = tuple(scope + _at(maker, number) for maker in family.makers)
            taker = scope + _at(family.taker, number)
            if all(f"{module}.weight" in weights for module in (*makers, taker)):
                yield _Match(family, scope, number, makers, taker)


def _norms_in_doubt(found: list[_Match], tensors: Mapping[str, StoredTensor], weights: Mapping[str, GemmWeight]) -> str:
    """Return why norms cannot be taken to stand behind the makers of their number; empty where sizes say that they do.

    A convolution that widens or narrows tells: a norm behind it has its outputs, one before it its inputs.
    """
    told = set()
    for match in found:
        maker, norm = weights[f"{match.makers[0]}.weight"], tensors.get(f"{match.norm}.weight")
        if norm is not None and maker.m != maker.channels:
            told.add(norm.shape == (maker.m,))
    if False in told:
        return "batch norms of this network stand before the convolutions of their number"
    return "" if told or not any(f"{match.norm}.weight" in tensors for match in found) else "norms may stand before or behind"


def _fold(
    match: _Match, tensors: Mapping[str, StoredTensor], weights: Mapping[str, GemmWeight], config: Mapping[str, Any]
) -> Fold:
    """Return the fold of one match of a family."""
    scope, makers, takes = match.scope, match.makers, weights[f"{match.taker}.weight"]
    sizes = _channels(match, weights[f"{makers[0]}.weight"], takes, weights, config)
    between = [name for part in _NORM if (name := f"{match.norm}.{part}") in tensors] if match.norm else []
    biases = [f"{maker}.bias" for maker in makers if f"{maker}.bias" in tensors]
    known = {*(f"{each}.weight" for each in (*makers, match.taker)), *biases, f"{match.taker}.bias", *between}
    _only_known(match, tensors, known, sizes.channels)
    if match.number is not None:
        _ungrouped(scope + _at(match.family.makers[0], str(int(match.number) - 1)), makers[0], weights)
    makes = [Member(f"{maker}.weight", output_axis(weights[f"{maker}.weight"]), sizes.made) for maker in makers]
    makes += [Member(name, 0, sizes.made) for name in biases]
    makes += [Member(name, 0, sizes.made[:1]) for name in between]
    for member in makes:
        _fits(member, tensors[member.tensor], sizes.rows if member.tensor not in between else sizes.channels)
    named = ", ".join(maker.removeprefix(scope) for maker in makers)
    takes_in = Member(takes.tensor.name, input_axis(takes), sizes.taken)
    return Fold((match.taker,), named, sizes.channels, sizes.block, tuple(makes), (takes_in,))


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The channels of a fold: how many, in blocks of how many, and where they lie in makers of ``rows`` outputs and the taker."""

    channels: int
    block: int
    rows: int
    made: Indices
    taken: Indices


def _channels(
    match: _Match, maker: GemmWeight, taker: GemmWeight, weights: Mapping[str, GemmWeight], config: Mapping[str, Any]
) -> _Sizes:
    """Return how channels lie; attention's values stay within their head, and several heads of queries may share them."""
    inputs, family = taker.channels, match.family
    if not family.heads:
        made = np.arange(inputs * family.blocks, dtype=np.int64).reshape(family.blocks, inputs)
        return _Sizes(inputs, inputs, inputs * family.blocks, made, np.arange(inputs, dtype=np.int64)[None])
    part = _part(maker.layer, config)
    head, queries = _head_dim(part), weights.get(f"{match.scope}{family.queries}.weight")
    heads, rest = divmod(inputs, head)
    kv_heads = (maker.m - inputs) // 2 // head if family.fused else maker.m // head
    if rest or kv_heads < 1 or heads % kv_heads or part.get("num_key_value_heads", kv_heads) != kv_heads:
        raise _NotThis(f"{inputs} inputs and {maker.m} outputs are no heads of {head} channels, as the configuration says")
    if queries is not None and queries.m != inputs:
        raise _NotThis(f"{queries.m} queries for {inputs} inputs: some may be a gate, which would need the order")
    channels, offset = kv_heads * head, (heads + kv_heads) * head if family.fused else 0
    made = np.arange(channels, dtype=np.int64)[None] + offset
    shared = np.arange(inputs, dtype=np.int64).reshape(kv_heads, heads // kv_heads, head)  # heads that share values lie together
    return _Sizes(channels, head, channels + offset, made, shared.swapaxes(0, 1).reshape(heads // kv_heads, channels))


def _part(layer: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of the part of a network that a layer is in."""
    words = layer.split(".")
    section = next((key for word, key in SECTIONS if word in words and isinstance(config.get(key), Mapping)), None)
    return config[section] if section else config


def _head_dim(part: Mapping[str, Any]) -> int:
    """Return the channels of a head, as the configuration says."""
    for key in HEAD_DIMS:
        if type(part.get(key)) is int and part[key] > 0:
            return int(part[key])
    width = next((part[key] for key in WIDTHS if type(part.get(key)) is int), 0)
    found = {width // part[key] for key in HEADS if type(part.get(key)) is int and part[key] > 0 and width % part[key] == 0}
    if len(found) != 1 or not width:
        raise _NotThis("how many channels a head has is not known: no config.json beside the weights says so")
    return int(found.pop())


def _only_known(match: _Match, tensors: Mapping[str, StoredTensor], known: set[str], channels: int) -> None:
    """Refuse a module that holds what the family does not know: it might read the channels, or need them in order.

    A norm beside an MLP that has as many numbers as there are channels may be one between the layers.
    """
    family = match.family
    for name, tensor in tensors.items():
        inside = name.removeprefix(match.scope)
        counts = family.norm and inside.endswith("num_batches_tracked")
        if not name.startswith(match.scope) or name in known or counts:
            continue
        between = not family.heads and not family.norm and "norm" in inside.lower() and tensor.shape == (channels,)
        if between or not re.fullmatch(family.beside, inside):
            raise _NotThis(f"{inside} beside them may need the channels in their order")


def _ungrouped(before: str, maker: str, weights: Mapping[str, GemmWeight]) -> None:
    """Refuse a convolution in groups as a maker: each group has its own outputs, which may not change places with others'."""
    made, taken = weights.get(f"{before}.weight"), weights[f"{maker}.weight"]
    if made is not None and made.m != taken.channels:
        raise _NotThis(f"{maker.rpartition('.')[2]} works in groups: it takes {taken.channels} of {made.m} channels")


def _fits(member: Member, tensor: StoredTensor, size: int) -> None:
    if len(tensor.shape) <= member.axis or tensor.shape[member.axis] != size:
        raise _NotThis(f"{tensor.name} has shape {tensor.shape}, and {size} along dimension {member.axis} were to be expected")


def places_of(fold: Fold) -> set[tuple[str, int]]:
    """Return the tensors and dimensions that have the channels of a fold."""
    return {(member.tensor, member.axis) for member in (*fold.makes, *fold.takes)}


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
