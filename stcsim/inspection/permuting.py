"""What 2:4 pruning would keep after the best order of channels: searched on some rows, weighed on all."""

from __future__ import annotations

import numpy as np

from stcsim.checkpoint import StoredTensor
from stcsim.checkpoint.roles import Along
from stcsim.errors import StcsimError
from stcsim.inspection.counting import SLAB_BYTES, add_magnitudes, shares
from stcsim.isa import DTYPES
from stcsim.numerics.codes import magnitudes
from stcsim.numerics.sparse.permute import permute_channels

BUDGET = 1 << 30
"""Additions of one round over all pairs of stripes, about: rows are left out, evenly, so that no round needs more."""
_DEALS = 35
_LEAST_ROWS = 16


def kept_permuted(tensor: StoredTensor, along: Along) -> float | None:
    """Return the share of the sum of magnitudes that pruning keeps in the best order of channels that was found.

    The order is searched without escapes on evenly spaced rows, as many as ``BUDGET`` allows, and weighed on the whole weight: a
    bound from below of what a longer search would find. Filters are ordered by input channel, every tap a row. ``None`` where
    the channels are no multiple of four, or there is no finite sum.
    """
    codes, row = tensor.codes(), DTYPES[tensor.dtype]
    rows = np.moveaxis(codes, along.first, -1).reshape(-1, codes.shape[along.first])
    channels = rows.shape[1]
    if channels % 4:
        return None
    most = max(_LEAST_ROWS, BUDGET // (_DEALS * (channels // 4) ** 2))
    sample = np.ascontiguousarray(rows[:: max(1, -(-len(rows) // most))])
    try:
        order = permute_channels(magnitudes(sample, row.name if row.is_float else "int8"), escapes=0).order
    except StcsimError:  # an infinity has no share
        return None
    sums, step = np.zeros(4), max(1, SLAB_BYTES // (channels * rows.itemsize))
    for start in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[start : start + step])[:, order]
        add_magnitudes(np.ascontiguousarray(piece)[..., None], row, sums)
        tensor.release()
    return shares(sums)[0]
