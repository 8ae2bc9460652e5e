"""Channel permutation: reorder the columns of a weight matrix so that 2:4 pruning keeps more of it.

Exports ``permute_channels`` and ``ChannelPermutation``. The idea is Pool and Yu's ("Channel Permutations for N:M
Sparsity", NeurIPS 2021; apex ``permutation_search_kernels``); the search here is our own and states its rule below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError
from stcsim.numerics.codes import magnitudes, shape_of
from stcsim.words import size

Order = npt.NDArray[np.int64]
LEVELS = 1 << 30
"""Magnitudes are searched as integers, the largest one this many: sums are exact, so no order of adding matters."""


@dataclass(frozen=True, slots=True)
class ChannelPermutation:
    """What a search found; ``w.take(order, axis)`` is the permuted matrix.

    Attributes:
        order: (channels,) the old channel at each new place. The layer that makes these channels, and everything that
            adds to them, must be reordered alike.
        kept_before: sum of the magnitudes that 2:4 pruning keeps of the matrix as it is.
        kept_after: the same of the permuted matrix; never less.
        total: sum of all magnitudes.
    """

    order: Order
    kept_before: float
    kept_after: float
    total: float


def permute_channels(
    w: npt.ArrayLike, axis: int = -1, *, escapes: int = 100, seed: int = 0, dtype: str | None = None
) -> ChannelPermutation:
    """Search an order of channels under which 2:4 pruning by magnitude keeps more.

    Two stripes of four channels are dealt anew in the best of the 35 ways (every swap of two channels is among them);
    the pairs of stripes that gain most go first, a stripe once a round, until no pair gains. Then ``escapes`` times the
    twelve channels of three random stripes are shuffled and the pairs improved again, and the result is taken if it is
    better. Eight channels are searched exhaustively that way; more may end in a local optimum. The same seed gives the
    same order.

    Args:
        w: weights of any number of dimensions; every one but ``axis`` counts as rows. Types as in ``prune``.
        axis: the dimension of the channels, 1 for a convolution's (K, C, R, S).
        escapes: how often to try to leave a local optimum.
        seed: of the random shuffles.
        dtype: the element type when ``w`` holds raw codes.

    Raises:
        StcsimError: at a NaN or an infinity, or when the channels are not a multiple of four.
    """
    ndim = len(shape_of(w))
    if not -ndim <= size(axis, "axis", -ndim) < ndim:
        raise StcsimError("axis of permute_channels", f"a dimension of weights that have {ndim}", f"{axis}")
    escapes, seed = size(escapes, "escapes", 0), size(seed, "seed", 0)
    weights = magnitudes(w, dtype)
    channels = weights.shape[axis]
    if channels % 4:
        raise StcsimError(f"weights of shape {weights.shape}", "channels to be a multiple of 4", f"{channels}")
    columns = np.ascontiguousarray(np.moveaxis(weights, axis, 0).reshape(channels, weights.size // max(channels, 1)))
    largest = columns.max(initial=0.0)
    if not np.isfinite(largest):
        raise StcsimError("weights of permute_channels", "finite numbers", "an infinity")
    identity = np.arange(channels, dtype=np.int64)
    before, total = _kept(columns), float(columns.sum())
    levels = np.rint(columns * (LEVELS / largest) if largest else columns).astype(np.int32)
    order = _search(levels, identity, escapes, seed)
    after = _kept(columns[order])
    if not after > before:
        return ChannelPermutation(identity, before, before, total)
    return ChannelPermutation(order, before, after, total)


def _search(levels: npt.NDArray[np.int32], identity: Order, escapes: int, seed: int) -> Order:
    """Improve, then escape; return the order of channels, ascending within each stripe."""
    stripes = len(identity) // 4
    order, score = _improve(levels, identity.copy(), np.arange(stripes))
    if stripes < 3:
        return order
    random = np.random.default_rng(seed)
    for _ in range(escapes):
        touched = random.choice(stripes, 3, replace=False)
        places = (4 * touched[:, None] + np.arange(4)).ravel()
        trial = order.copy()
        trial[places] = random.permutation(order[places])
        trial, reached = _improve(levels, trial, touched)
        if reached > score:
            order, score = trial, reached
    return order


def _improve(levels: npt.NDArray[np.int32], order: Order, touched: Order) -> tuple[Order, int]:
    """Deal pairs of stripes anew until none that holds a stripe changed since, or ``touched``, gains; return the score."""
    from stcsim.numerics.sparse import permute_fast

    stripes = len(order) // 4
    gains, deals = np.zeros((stripes, stripes), np.int64), np.zeros((stripes, stripes), np.int64)
    while touched.size:
        changed = np.zeros(stripes, np.bool_)
        changed[touched] = True
        permute_fast.weigh_pairs(levels, order, changed, gains, deals)
        first, second = np.nonzero(gains)
        free, moved = np.ones(stripes, np.bool_), []
        for at in np.argsort(-gains[first, second], kind="stable"):
            one, other = int(first[at]), int(second[at])
            if free[one] and free[other]:
                free[[one, other]] = False
                moved += [one, other]
                permute_fast.deal(order, one, other, deals[one, other])
        touched = np.array(moved, np.int64)
    return order, int(permute_fast.kept_levels(levels, order))


def _kept(columns: npt.NDArray[np.float64]) -> float:
    """Return the sum that 2:4 pruning keeps of a (channels, rows) matrix."""
    groups = np.sort(columns.reshape(len(columns) // 4, 4, columns.shape[1]), axis=1)
    return float(groups[:, 2:].sum())
