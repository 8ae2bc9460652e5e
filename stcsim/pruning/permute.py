"""The search for orders of channels, fold by fold, and what they mean for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint import StoredTensor
from stcsim.errors import StcsimError
from stcsim.numerics.codes import magnitudes
from stcsim.numerics.sparse.permute import permute_channels
from stcsim.pruning.folds import Fold, Indices, Member
from stcsim.pruning.given import Given
from stcsim.pruning.slabs import naming

Floats = npt.NDArray[np.float64]

WIDTH = 512
"""Channels that are searched together: twice as many take twice as long and gain a twentieth more."""
_ESCAPE_ELEMENTS = 1 << 17
"""Weights up to this size are searched with as many escapes from local optima as ``permute_channels`` has; larger with none."""


def search(
    folds: Sequence[Fold],
    tensors: Mapping[str, StoredTensor],
    pruned: Callable[[str], bool],
    scores: Given | None,
    advance: Callable[[], None],
) -> dict[str, dict[int, Indices]]:
    """Return, by tensor and dimension, the old place of what each new place holds.

    Args:
        folds: of which takers are pruned; a tensor may stand in two of them, once for its outputs and once for its inputs.
        tensors: of the checkpoint.
        pruned: tells whether a tensor is pruned: takers that are not follow those that are.
        scores: of what stays, where magnitudes do not say so.
        advance: called after each fold.

    Raises:
        StcsimError: at a NaN or an infinity.
    """
    places: dict[str, dict[int, Indices]] = {}
    for fold in folds:
        takes = [member for member in fold.takes if pruned(member.tensor)]
        source = tensors if scores is None else scores.tensors
        names = [(each.tensor if scores is None else scores.where(each.tensor), source[each.tensor]) for each in takes]
        with naming(*names):
            order = order_of(fold, _together([_columns(member, tensors, scores) for member in takes]))
        for member in (*fold.makes, *fold.takes):
            tensor = tensors[member.tensor]
            places.setdefault(member.tensor, {})[member.axis] = _moved(member, tensor.shape[member.axis], order)
        for member in takes:
            tensors[member.tensor].release()
        advance()
    return places


def order_of(fold: Fold, columns: Callable[[Indices], Floats]) -> Indices:
    """Return the old channel at each new place.

    Args:
        fold: the channels.
        columns: gives what matters of some channels, (rows, channels).
    """
    order = np.arange(fold.channels, dtype=np.int64)
    for block in range(0, fold.channels, fold.block):
        for start in range(block, block + fold.block, WIDTH):
            some = np.arange(start, min(start + WIDTH, block + fold.block))
            found = columns(some)
            escapes = 100 if found.size <= _ESCAPE_ELEMENTS else 0
            order[some] = some[permute_channels(found, escapes=escapes).order]
    return order


def _together(readers: Sequence[Callable[[Indices], Floats]]) -> Callable[[Indices], Floats]:
    """Return what reads the columns of several takers, one below the other."""
    return lambda channels: np.concatenate([read(channels) for read in readers])


def _columns(member: Member, tensors: Mapping[str, StoredTensor], scores: Given | None) -> Callable[[Indices], Floats]:
    """Return what reads magnitudes, or scores from the least on, of a taker's columns of some channels."""
    tensor = tensors[member.tensor] if scores is None else scores.tensors[member.tensor]
    codes = tensor.codes() if scores is None else scores.slab(member.tensor, 0, tensor.shape[0], {})
    along = np.moveaxis(codes, member.axis, 0)
    least = 0.0 if scores is None else min(float(codes.min(initial=0)), 0.0)

    def read(channels: Indices) -> Floats:
        copies = [np.ascontiguousarray(along[places[channels]]).reshape(len(channels), -1) for places in member.places]
        whole = np.concatenate(copies, axis=1).T
        if scores is None:
            return magnitudes(whole, tensor.dtype if whole.dtype.kind == "u" else None)
        if not np.isfinite(whole).all():
            raise StcsimError("scores", "finite numbers", "NaN or infinity")
        return np.asarray(whole - least, np.float64)  # what is kept by scores is kept by scores that begin at 0

    return read


def _moved(member: Member, size: int, order: Indices) -> Indices:
    """Return the old place of what each new place of a dimension holds."""
    places = np.arange(size, dtype=np.int64)
    for copy in member.places:
        places[copy] = copy[order]
    return places
