"""The layout ``marlin-24`` of compressed-tensors: 2:4 weights of 4 or 8 bits as the kernel Sparse-Marlin loads them.

A weight of (outputs, inputs) is three tensors: ``weight_packed`` (inputs / 32, outputs * bits / 2) int32, ``meta`` (inputs / 32,
outputs * 2) int16, and ``scale_packed`` fp16, of which nothing is needed here. Learned from vllm-project/compressed-tensors 0.9
(``marlin_24.py``, ``permutations_24.py``, ``semi_structured_conversions.py``), and written anew as two reorderings of axes:

- The kept values (outputs, inputs / 2), transposed and shifted by half their range so that they are unsigned, are cut into tiles
  of 16 x 16, four beside each other. A row of a tile is half * 8 + thread * 2 + odd, a column is side * 8 + block * 4 + place.
  Stored are tile, side, thread, place, and then odd, block, half for 4 bits or block, odd, half for 8; the first lies in the low
  bits.
- The metadata, one word of 16 bits for each 16 inputs, are cut into blocks of 64 outputs and pairs of words. An output is
  eighth * 8 + four * 4 + two * 2 + odd. Stored are pair, block, two, eighth, odd, word, four.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stcsim.checkpoint.stored import Codes
from stcsim.errors import StcsimError
from stcsim.numerics.sparse.layouts import inverse
from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand, pack_metadata, unpack_metadata

_VALUE_ORDERS = {4: (0, 4, 5, 6, 2, 8, 3, 7, 1), 8: (0, 4, 5, 6, 2, 8, 7, 3, 1)}
"""Stored order, by bits, of (row tile, half, thread, odd, four column tiles, tile, side, block, place)."""
_META_ORDER = (5, 0, 3, 1, 4, 6, 2)
"""Stored order of (block, eighth, four, two, odd, pair, word)."""
_ROWS, _INPUTS = 64, 32


@dataclass(frozen=True, slots=True)
class Marlin24:
    """A 2:4 matrix of integers in this layout, without its scales.

    Attributes:
        weight_packed: (inputs / 32, outputs * bits / 2) int32.
        meta: (inputs / 32, outputs * 2) int16.
        bits: of one value, 4 or 8.
    """

    weight_packed: Codes
    meta: Codes
    bits: int


def pack_marlin(weight: Codes, bits: int) -> Marlin24:
    """Return a matrix of signed integers that is 2:4 along its rows in the layout ``marlin-24``.

    Args:
        weight: (outputs, inputs) int8, multiples of 64 and of 32.
        bits: of one value, 4 or 8.

    Raises:
        StcsimError: for other sizes, values that need more bits, or a matrix that is not 2:4.
    """
    _check_bits(bits)
    half = 1 << (bits - 1)
    if weight.ndim != 2 or weight.dtype != np.int8 or weight.shape[0] % _ROWS or weight.shape[1] % _INPUTS:
        expected = f"int8 of outputs that are a multiple of {_ROWS} by inputs that are one of {_INPUTS}"
        raise StcsimError("marlin-24", expected, f"{weight.dtype.name} of shape {weight.shape}")
    if weight.size and (weight.min() < -half or weight.max() >= half):
        raise StcsimError("marlin-24", f"integers of {bits} bits", f"{int(weight.min())} to {int(weight.max())}")
    sparse, (outputs, inputs) = compress(weight, "int8"), weight.shape
    unsigned = (sparse.values.view(np.int8).T.astype(np.int16) + half).astype(np.uint32)
    stored = unsigned.reshape(_value_axes(outputs, inputs)).transpose(_VALUE_ORDERS[bits])
    each = 32 // bits
    words = stored.reshape(inputs // _INPUTS, outputs * 16 // each, each) << np.arange(0, 32, bits, dtype=np.uint32)
    packed = np.bitwise_or.reduce(words, axis=-1)
    meta = pack_metadata(sparse, 16).reshape(_meta_axes(outputs, inputs)).transpose(_META_ORDER)
    return Marlin24(packed.view(np.int32), meta.reshape(inputs // _INPUTS, 2 * outputs).view(np.int16), bits)


def unpack_marlin(packed: Marlin24, where: str = "marlin-24") -> Codes:
    """Return the matrix (outputs, inputs) int8, with 0 where nothing was kept. ``where`` names it in errors.

    Raises:
        StcsimError: when the parts do not fit each other, or the metadata are undefined.
    """
    _check_bits(packed.bits)
    outputs, inputs = marlin_shape(packed.weight_packed.shape, packed.meta.shape, packed.bits, where)
    order, bits = _VALUE_ORDERS[packed.bits], packed.bits
    words = np.ascontiguousarray(packed.weight_packed).view(np.uint32)[..., None]
    unsigned = words >> np.arange(0, 32, bits, dtype=np.uint32) & np.uint32((1 << bits) - 1)
    axes = _value_axes(outputs, inputs)
    values = unsigned.astype(np.int16).reshape([axes[each] for each in order]).transpose(inverse(order))
    signed = (values.reshape(inputs // 2, outputs).T - (1 << (bits - 1))).astype(np.int8)
    axes = _meta_axes(outputs, inputs)
    stored = np.ascontiguousarray(packed.meta).view(np.uint16).reshape([axes[each] for each in _META_ORDER])
    nibbles = unpack_metadata(np.ascontiguousarray(stored.transpose(inverse(_META_ORDER))).reshape(outputs, inputs // 16))
    try:
        return expand(Sparse24(np.ascontiguousarray(signed).view(np.uint8), nibbles, "int8", inputs)).view(np.int8)
    except StcsimError as error:
        raise StcsimError(f"{where}: {error.where}", error.expected, error.found) from None


def marlin_shape(packed: tuple[int, ...], meta: tuple[int, ...], bits: int, where: str) -> tuple[int, int]:
    """Return outputs and inputs of a weight, from the shapes of its two parts.

    Raises:
        StcsimError: when the parts do not fit each other.
    """
    if len(packed) == len(meta) == 2 and meta[1] % (2 * _ROWS) == 0 and packed == (meta[0], meta[1] // 4 * bits):
        return meta[1] // 2, meta[0] * _INPUTS
    expected = f"weight_packed of (k/32, m*{bits}/2) and meta of (k/32, 2m) for a weight of m x k, m a multiple of {_ROWS}"
    raise StcsimError(where, expected, f"{packed} and {meta}")


def _check_bits(bits: int) -> None:
    if bits not in _VALUE_ORDERS:
        raise StcsimError("marlin-24: bits", "4 or 8", str(bits))


def _value_axes(outputs: int, inputs: int) -> tuple[int, ...]:
    """Return how (inputs / 2, outputs) kept values are cut."""
    return inputs // _INPUTS, 2, 4, 2, outputs // _ROWS, 4, 2, 2, 4


def _meta_axes(outputs: int, inputs: int) -> tuple[int, ...]:
    """Return how (outputs, inputs / 16) words of metadata are cut."""
    return outputs // _ROWS, 8, 2, 2, 2, inputs // _INPUTS, 2
