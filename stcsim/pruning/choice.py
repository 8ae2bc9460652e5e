"""Which weights of a checkpoint are pruned, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stcsim.checkpoint.roles import Kind
from stcsim.checkpoint.weights import GemmWeight, layer_of
from stcsim.errors import UnsupportedError
from stcsim.pruning.settings import Settings
from stcsim.trace.choose import chosen
from stcsim.words import ConvOrder

_PLACES = {"head": "head (see only)", "router": "router of experts (see only)"}
NOT_ASKED = ("kept dense", "not named")
"""Why a weight is not pruned that ``keep_dense`` names, or ``only`` does not."""
_LEAST_MULTIPLE = {"int8": 32, "e4m3": 32, "e5m2": 32}
"""Of k, by type: what instructions of sparse tensor cores take; 16 for the others, which run as 16-bit types."""


@dataclass(frozen=True, slots=True)
class Named:
    """A weight as ``--only`` and ``--keep-dense`` see it."""

    name: str
    weight_elements: int = 1


def in_order(weights: Iterable[GemmWeight]) -> list[GemmWeight]:
    """Return weights by the names of layers, numbers as numbers, heads last; a file has them in the order of the alphabet."""
    return sorted(weights, key=lambda weight: (weight.place == "head", _natural(weight.layer)))


def reasons(weights: Sequence[GemmWeight], wanted: Settings, where: str, masked: frozenset[str] | None = None) -> dict[str, str]:
    """Return why each weight is not pruned, by name of tensor; an empty reason is none.

    Args:
        weights: of a checkpoint, in order.
        wanted: what the user asked for.
        where: what an error calls the checkpoint.
        masked: names of the tensors that a file has masks for; ``None`` without such a file.

    Raises:
        UnsupportedError: when a word of ``only`` or ``keep_dense`` names no layer, or nothing is left to prune.
    """
    layers = [Named(weight.layer) for weight in weights]
    only = _chosen(layers, wanted.only, "only")
    dense = _chosen(layers, wanted.keep_dense, "keep_dense")
    found = {each.tensor.name: _reason(each, wanted, only, dense, masked) for each in weights}
    if all(found.values()):
        first = f"none ({weights[0].layer}: {found[weights[0].tensor.name]})" if weights else "no weight that a GEMM multiplies"
        raise UnsupportedError(where, "a weight that can be pruned", first)
    return found


def _chosen(layers: Sequence[Named], words: Sequence[str], argument: str) -> frozenset[str] | None:
    if not words:
        return None
    return frozenset(name for each in words for name in chosen(layers, layer_of(each), argument, layers))


def _reason(
    weight: GemmWeight,
    wanted: Settings,
    only: frozenset[str] | None,
    dense: frozenset[str] | None,
    masked: frozenset[str] | None,
) -> str:
    """Return why a weight is not pruned: what cannot be, what was not asked for, and what nobody would ask for."""
    cannot = _cannot(weight, wanted)
    if dense and weight.layer in dense:
        return NOT_ASKED[0]
    if only is not None:
        return cannot if weight.layer in only else NOT_ASKED[1]
    if masked is not None:
        return cannot if weight.tensor.name in masked else "no mask"
    return cannot or _PLACES.get(weight.place, "") or _too_odd(weight)


def _cannot(weight: GemmWeight, wanted: Settings) -> str:
    """Return why no pattern fits a weight."""
    group = wanted.group
    if weight.kind is Kind.CONV and weight.transposed:
        return "filters of a transposed convolution, each tap of which is a GEMM of its own"
    if weight.taps > 1 and wanted.conv_order is ConvOrder.RSC and weight.channels % group:
        return f"channels under a tap, {weight.channels}, no multiple of {group}"
    if weight.k % group:
        return f"k = {weight.k} is no multiple of {group}"
    if wanted.two_dimensional and weight.m % 4:
        return f"m = {weight.m} is no multiple of 4, as 4x4 tiles need"
    return ""


def _too_odd(weight: GemmWeight) -> str:
    """Return why no sparse instruction would take a weight, were it pruned."""
    multiple = _LEAST_MULTIPLE.get(weight.tensor.dtype, 16)
    return f"k = {weight.k} is no multiple of {multiple}" if weight.k % multiple else ""


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
