"""Integers and floats of few bits, several to a word, along the rows of a matrix: ``pack-quantized`` and ``nvfp4``.

``pack-quantized`` of compressed-tensors: ``weight_packed`` (rows, columns * bits / 32 rounded up) int32, the first column in the
low bits, every value shifted by half its range so that it is unsigned. Four-bit floats of ModelOpt and compressed-tensors: two to
a byte, the first in the low half.
"""

from __future__ import annotations

import numpy as np

from stcsim.checkpoint.stored import Codes


def unpack_integers(packed: Codes, bits: int, columns: int) -> Codes:
    """Return (rows, columns) int8 from (rows, words) int32."""
    each = 32 // bits
    words = np.ascontiguousarray(packed).view(np.uint32)[..., None]
    fields = words >> (np.arange(each, dtype=np.uint32) * np.uint32(bits)) & np.uint32((1 << bits) - 1)
    unsigned = fields.reshape(packed.shape[0], -1)[:, :columns]
    return (unsigned.astype(np.int16) - (1 << (bits - 1))).astype(np.int8)


def pack_integers(weight: Codes, bits: int) -> Codes:
    """Return (rows, words) int32 from (rows, columns) int8; the inverse of ``unpack_integers``."""
    each, (rows, columns) = 32 // bits, weight.shape
    unsigned = np.zeros((rows, -(-columns // each) * each), np.uint32)
    unsigned[:, :columns] = weight.astype(np.int16) + (1 << (bits - 1))
    shifted = unsigned.reshape(rows, -1, each) << (np.arange(each, dtype=np.uint32) * np.uint32(bits))
    packed: Codes = np.bitwise_or.reduce(shifted, axis=-1)
    return packed.view(np.int32)


def unpack_halves(packed: Codes) -> Codes:
    """Return (rows, 2 * bytes) uint8 codes of four bits, the low half of each byte first."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(packed.shape[0], -1)
