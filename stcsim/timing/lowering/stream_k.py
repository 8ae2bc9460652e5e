"""Stream-K: tiles that do not fill their last wave are cut along k, so that every slot gets the same number of iterations.

Osama et al. 2023, "Stream-K: Work-centric Parallel Decomposition for Dense Matrix-Matrix Multiplication on the GPU", in its
hybrid form and with the numbers of CUTLASS 3.x (``PersistentTileSchedulerSm90StreamKParams``): the tiles of the last full wave
and of the partial one behind it are cut, all others stay whole and follow. CUTLASS's groups of ranges that start at the same k,
and its moving of cuts away from the ends of a tile, are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.tiling import tile_order
from stcsim.timing.plan import FINISHER, PARTIAL, WHOLE, IntArray

LEAST_ITERATIONS = 8
"""Fewest iterations worth a range of their own (CUTLASS, ``min_iters_per_sk_unit_``)."""


class HandedOut(NamedTuple):
    """The tiles of a plan in the order in which they are handed out (see ``timing.plan``)."""

    m_index: IntArray
    n_index: IntArray
    k_start: IntArray
    k_count: IntArray
    kind: IntArray
    m_edge: int
    n_edge: int


class Pieces(NamedTuple):
    """What slots run one after the other: ``k_count`` iterations from ``k_start`` on of tile ``tile``, and its kind."""

    tile: IntArray
    k_start: IntArray
    k_count: IntArray
    kind: IntArray


def cut_tiles(tiles: int, slots: int, k_iters: int) -> int:
    """Return how many tiles are cut: none if all waves are full or a tile is too short to share."""
    if tiles % slots == 0 or k_iters <= LEAST_ITERATIONS:
        return 0
    return tiles - slots * max(0, tiles // slots - 1)


def ranges_of(cut: int, slots: int, k_iters: int) -> int:
    """Return into how many equal ranges the iterations of ``cut`` tiles are divided: one for each slot, if they are enough."""
    return min(slots, cut * k_iters // LEAST_ITERATIONS)


def stream_k_waves(tiles: int, slots: int, k_iters: int) -> float:
    """Return the iterations of the busiest slot, counted in whole tiles."""
    cut = cut_tiles(tiles, slots, k_iters)
    whole = -(-(tiles - cut) // slots)
    return whole + -(-cut * k_iters // ranges_of(cut, slots, k_iters)) / k_iters if cut else whole


def decompose(tiles: int, slots: int, k_iters: int) -> Pieces:
    """Cut the first of ``tiles`` for ``slots`` slots; return all pieces in the order in which they are handed out.

    The iterations of the cut tiles, one tile after the other, are divided into ranges whose lengths differ by one at most. A
    slot works through its range from the last tile to the first: so it begins with the head of a tile, which others wait for,
    and ends with the end of a tile, which waits for others. The plan has one counter for all slots; the pieces stand in it in
    the order in which slots of even pace come for them (by the iterations of the same range that are done before, then by
    range), so that each slot gets its own range (where ranges are fewer than slots, free slots help). Whole tiles follow.
    """
    cut = cut_tiles(tiles, slots, k_iters)
    if cut == 0:
        return _whole(0, tiles, k_iters)
    total, ranges = cut * k_iters, ranges_of(cut, slots, k_iters)
    bounds = np.arange(ranges + 1, dtype=np.int64) * total // ranges
    starts = np.union1d(bounds[:-1], np.arange(cut, dtype=np.int64) * k_iters)
    ends = np.append(starts[1:], total)
    owner = np.searchsorted(bounds, starts, side="right") - 1
    order = np.lexsort((owner, bounds[owner + 1] - ends))
    tile, k_start, k_count = starts // k_iters, starts % k_iters, ends - starts
    kind = np.where(k_count == k_iters, WHOLE, np.where(k_start + k_count == k_iters, FINISHER, PARTIAL))
    first, rest = Pieces(tile[order], k_start[order], k_count[order], kind[order]), _whole(cut, tiles, k_iters)
    return Pieces(*(np.concatenate(both) for both in zip(first, rest, strict=True)))


def _whole(first: int, stop: int, k_iters: int) -> Pieces:
    tile = np.arange(first, stop, dtype=np.int64)
    return Pieces(tile, np.zeros_like(tile), np.full_like(tile, k_iters), np.full_like(tile, WHOLE))


def hand_out(cut: Cut) -> HandedOut:
    """Return the tiles of a kernel, shared out along k where it is a stream-K kernel."""
    m_index, n_index, k_start, k_count, m_edge, n_edge = tile_order(cut)
    if not cut.kernel.stream_k:
        return HandedOut(m_index, n_index, k_start, k_count, np.full_like(m_index, WHOLE), m_edge, n_edge)
    pieces = decompose(m_index.shape[0], cut.slots, cut.tiling.k_iters)
    return HandedOut(m_index[pieces.tile], n_index[pieces.tile], *pieces[1:], m_edge, n_edge)
