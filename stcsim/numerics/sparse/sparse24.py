"""The compressed 2:4 form of a weight matrix: kept values and 2-bit indices, packed and unpacked.

Exports ``Sparse24``, ``StorageBytes``, ``compress``, ``expand``, ``validate``, ``pack_metadata``, ``unpack_metadata``
and ``storage_bytes``. Sources: PTX ISA, "Sparse matrix storage"; torch's ``_semi_structured_conversions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, quoted
from stcsim.isa import DType
from stcsim.numerics.codes import Codes, code_type, place, sparse_type, to_codes
from stcsim.words import size

KEEPS_FIRST, KEEPS_SECOND = 0b0100, 0b1110
"""The two nibbles of a 1:2 pair: the pair is seen as four 16-bit halves (PTX ISA)."""
ORDERED = (0b0100, 0b1000, 0b1001, 0b1100, 0b1101, 0b1110)
"""The nibbles whose second index is above the first: (0,1), (0,2), (1,2), (0,3), (1,3), (2,3)."""
DISTINCT = tuple(nibble for nibble in range(16) if nibble & 3 != nibble >> 2)
"""The nibbles whose indices differ; 0000, 0101, 1010 and 1111 are undefined in every variant of the instruction."""


@dataclass(frozen=True, slots=True)
class Sparse24:
    """A pruned matrix A (m x k) as the hardware stores it; leading batch dimensions are allowed everywhere.

    Attributes:
        values: (..., m, k/2) raw codes of the kept elements, in order of k within each group (uint8, uint16 or uint32).
            4-bit types hold one code in each uint8.
        metadata: (..., m, k/4) uint8 nibbles, one for each group: index of the first kept element in the low two bits,
            of the second in the high two. tf32 (1:2): (..., m, k/2), a nibble for each pair. 4-bit types (4:8 in pairs):
            (..., m, k/8), the indices of the two kept pairs of four.
        dtype: a type with structured sparsity: ``fp16``, ``bf16``, ``tf32``, ``int8``, ``uint8``, ``e4m3``, ``e5m2``, ``int4``,
            ``uint4`` or ``e2m1``.
        k: columns of the expanded matrix.
    """

    values: npt.NDArray[Any]
    metadata: npt.NDArray[Any]
    dtype: str
    k: int


@dataclass(frozen=True, slots=True)
class StorageBytes:
    """Bytes of a compressed matrix beside its dense form; 4-bit elements are counted two in a byte."""

    values: int
    metadata: int
    total: int
    dense: int


def compress(w: npt.ArrayLike, dtype: str) -> Sparse24:
    """Return the compressed form of a matrix that is already 2:4 (tf32: 1:2; 4-bit types: 4:8 in pairs).

    An element is zero when its magnitude bits are all zero, so a -0 may be dropped; it comes back as +0. A group with
    fewer non-zeros than it may keep takes zeros along, so that the two indices stay ordered, the same ones as torch:
    of no element, or one of the last two, elements 2 and 3; of element 0 alone, 0 and 2; of element 1 alone, 1 and 2.

    Args:
        w: (..., m, k) raw codes as unsigned integers, or an array of the matching numpy or ``ml_dtypes`` type.
        dtype: the element type, as in ``Sparse24.dtype``.

    Raises:
        UnsupportedError: when the element type is not known.
        StcsimError: when the array does not hold that type, k is not a multiple of the group, or a group holds too many
            non-zeros.
    """
    from stcsim.numerics.sparse import compress_fast

    row = sparse_type(dtype)
    codes = to_codes(w, row, f"{row.name} matrix")
    if codes.ndim == 0:
        raise StcsimError(f"{row.name} matrix", "at least one dimension", "a single number")
    k = codes.shape[-1]
    check_columns(row, k)
    units = _units(np.ascontiguousarray(codes), row)
    values = np.empty((len(units), units.shape[1] // 2), units.dtype)
    metadata = np.empty(len(units), np.uint8)
    kernel = compress_fast.compress_pairs if row.sparse_group == 2 else compress_fast.compress_groups
    crowded = int(kernel(units, units.dtype.type(_zero_mask(row)), values, metadata))
    groups = (*codes.shape[:-1], k // row.sparse_group)
    if crowded >= 0:
        _refuse_group(row, int(np.count_nonzero(units[crowded] & _zero_mask(row))), np.unravel_index(crowded, groups), groups)
    return Sparse24(values.view(codes.dtype).reshape(*codes.shape[:-1], k // 2), metadata.reshape(groups), row.name, k)


def expand(s: Sparse24) -> Codes:
    """Return the dense matrix, (..., m, k) raw codes, with +0 in every dropped place; indices may come in any order.

    Raises:
        StcsimError: when the shapes do not fit or an encoding is undefined, as ``validate`` does.
    """
    from stcsim.numerics.sparse import compress_fast

    row = sparse_type(validate(s, ordered=False).dtype)
    codes = np.zeros((*s.values.shape[:-1], s.k), code_type(row))
    units, values = _units(codes, row), np.ascontiguousarray(s.values)
    kernel = compress_fast.expand_pairs if row.sparse_group == 2 else compress_fast.expand_groups
    kernel(values.reshape(len(units), row.sparse_kept).view(units.dtype), np.ascontiguousarray(s.metadata).reshape(-1), units)
    return codes


def validate(s: Sparse24, ordered: bool = True) -> Sparse24:
    """Return ``s`` when it is a compressed matrix the hardware defines.

    Args:
        s: what a caller built or read.
        ordered: whether the indices must ascend, as ``mma.sp::ordered_metadata`` wants; plain ``mma.sp`` only wants them
            different. tf32 knows two encodings, 0100 and 1110, in both.

    Raises:
        StcsimError: when types or shapes do not fit, or an encoding is undefined; row and group are named.
    """
    row = sparse_type(check_form(s).dtype)
    _expect("values of Sparse24", code_type(row).name, s.values.dtype.name, s.values.dtype == code_type(row))
    _expect("metadata of Sparse24", "uint8", s.metadata.dtype.name, s.metadata.dtype == np.uint8)
    lead = s.values.shape[:-1]
    for name, array, columns in (("values", s.values, s.k // 2), ("metadata", s.metadata, s.k // row.sparse_group)):
        shape = (*lead, columns)
        _expect(f"{name} of Sparse24 (k = {s.k})", f"shape {shape}", f"{array.shape}", array.ndim > 0 and array.shape == shape)
    if row.bits < row.code_bits and s.values.size and s.values.max() >> row.bits:
        raise StcsimError("values of Sparse24", f"codes of {row.bits} bits", f"{int(s.values.max())}")
    allowed = (KEEPS_FIRST, KEEPS_SECOND) if row.sparse_group == 2 else ORDERED if ordered else DISTINCT
    _check_nibbles(s.metadata, allowed)
    return s


def check_form(s: Sparse24) -> Sparse24:
    """Return ``s`` when it has arrays and a number where they belong; ``validate`` looks at what is in them.

    Raises:
        StcsimError: when it is no ``Sparse24``, or holds something else.
    """
    if not isinstance(s, Sparse24):
        raise StcsimError("compressed matrix", "a Sparse24 (numerics.compress makes one)", quoted(s))
    for name, array in (("values", s.values), ("metadata", s.metadata)):
        _expect(f"{name} of Sparse24", "an array of numpy", quoted(array), isinstance(array, np.ndarray))
    check_columns(sparse_type(s.dtype), size(s.k, "k", 0))
    return s


def pack_metadata(s: Sparse24, word_bits: int = 16) -> Codes:
    """Return the metadata in words, (..., m, groups * 4 / word_bits) uint16 or uint32; the lowest group stands lowest.

    Raises:
        StcsimError: when a row's nibbles do not fill whole words, words are neither of 16 nor of 32 bits, or ``validate``
            refuses the matrix.
    """
    validate(s, ordered=False)
    _expect("word_bits", "16 or 32", quoted(word_bits), size(word_bits, "word_bits", 0) in (16, 32))
    groups, each = s.metadata.shape[-1], word_bits // 4
    if groups % each:
        expected = f"a multiple of {each} groups in a row for words of {word_bits} bits"
        raise StcsimError(f"{s.dtype} metadata", expected, f"{groups}")
    pairs = np.ascontiguousarray(s.metadata).reshape(*s.metadata.shape[:-1], groups // 2, 2)
    return np.ascontiguousarray(pairs[..., 0] | pairs[..., 1] << 4).view(f"<u{word_bits // 8}")


def unpack_metadata(words: Codes) -> npt.NDArray[np.uint8]:
    """Return the nibbles of metadata words, (..., m, groups) uint8. Inverse of ``pack_metadata``.

    Raises:
        StcsimError: when the words are neither of 16 nor of 32 bits.
    """
    if not isinstance(words, np.ndarray) or not words.ndim:
        raise StcsimError("metadata words", "an array of numpy", quoted(words))
    fits = words.dtype.kind in "iu" and words.dtype.itemsize in (2, 4)
    _expect("metadata words", "16-bit or 32-bit integers", words.dtype.name, fits)
    octets = np.ascontiguousarray(words.astype(words.dtype.newbyteorder("<"))).view(np.uint8)
    return np.stack([octets & 0xF, octets >> 4], axis=-1).reshape(*words.shape[:-1], octets.shape[-1] * 2)


def storage_bytes(shape: tuple[int, ...], dtype: str) -> StorageBytes:
    """Return the bytes of a matrix of ``shape`` (..., m, k) stored 2:4, without padding: 56.25 % of dense, or 62.5 %.

    cuSPARSELt and torch pad small matrices and give more.

    Raises:
        StcsimError: when k is not a multiple of the group.
    """
    row, sizes = sparse_type(dtype), list(shape) if isinstance(shape, tuple | list) else []
    if not sizes:
        raise StcsimError("shape", "whole numbers (..., m, k)", quoted(shape))
    elements = prod(size(each, "shape", 0) for each in sizes)
    check_columns(row, sizes[-1])
    values, metadata = row.bytes_of(elements // 2), row.metadata_bytes(elements)
    return StorageBytes(values, metadata, values + metadata, row.bytes_of(elements))


def check_columns(row: DType, k: int) -> None:
    """Refuse a matrix whose rows are not whole groups.

    Raises:
        StcsimError: when ``k`` is no multiple of the group.
    """
    if k % row.sparse_group or k < 0:
        raise StcsimError(f"{row.name} matrix", f"a multiple of {row.sparse_group} columns", f"{k}")


def _units(codes: Codes, row: DType) -> Codes:
    """View codes as (groups, 4) or (pairs, 2) of what one index stands for; a pair of 4-bit codes becomes a uint16."""
    return codes.reshape(-1, row.sparse_group).view(f"u{row.code_bits // 8 * row.sparse_pair}")


def _zero_mask(row: DType) -> int:
    """Return the magnitude bits of one unit."""
    return row.magnitude_mask if row.sparse_pair == 1 else row.magnitude_mask << 8 | row.magnitude_mask


def _refuse_group(row: DType, non_zeros: int, index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    group = int(index[-1])
    columns = f"columns {group * row.sparse_group} to {(group + 1) * row.sparse_group - 1}"
    unit = {1: "non-zero of 2", 2: "non-zeros of 4", 4: "non-zero pairs of 4"}[row.sparse_kept]
    where = f"{place([int(each) for each in index], shape, 'group')} ({columns})"
    raise StcsimError(where, f"at most {row.sparse_kept // row.sparse_pair} {unit}", f"{non_zeros}")


def _check_nibbles(metadata: Codes, allowed: tuple[int, ...]) -> None:
    """Refuse the first nibble that is none of ``allowed``."""
    table = np.zeros(256, np.bool_)
    table[list(allowed)] = True
    good = table[metadata]
    if not good.all():
        at = np.unravel_index(int(np.argmin(good)), good.shape)
        where = f"metadata at {place([int(each) for each in at], good.shape, 'group')}"
        raise StcsimError(where, f"one of {', '.join(f'{each:04b}' for each in allowed)}", f"{int(metadata[at]):04b}")


def _expect(where: str, expected: str, found: str, holds: bool) -> None:
    if not holds:
        raise StcsimError(where, expected, found)
