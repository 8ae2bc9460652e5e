"""How whole compressed matrices lie in memory for CUTLASS kernels, on Ampere and on Hopper, and back.

Exports ``cutlass_layout``, ``from_cutlass_layout``, ``CutlassLayout``, ``cutlass_hopper_layout``,
``from_cutlass_hopper_layout`` and ``HopperLayout``. In both the kept values lie plainly, row by row, and only the metadata
moves. Which zeros a sparse group keeps is ``compress``'s choice (torch's); CUTLASS's own compressor for Hopper may
choose others, which changes the metadata but not the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.isa import DType, instructions
from stcsim.numerics.codes import sparse_type
from stcsim.numerics.sparse.layouts import inverse, reorder
from stcsim.numerics.sparse.sparse24 import Sparse24, check_form, pack_metadata, unpack_metadata, validate
from stcsim.words import size

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class CutlassLayout:
    """A compressed matrix as CUTLASS 2.x kernels for Ampere read it, and torch's ``SparseSemiStructuredTensorCUTLASS``.

    Attributes:
        values: (..., m, k/2) raw codes.
        metadata: (..., m, columns) words in stored order: uint16 of four groups for 16-bit types and tf32, else uint32 of
            eight. torch holds the same bits as int16 and int32.
        dtype: the element type, as in ``Sparse24``.
    """

    values: Array
    metadata: Array
    dtype: str


@dataclass(frozen=True, slots=True)
class HopperLayout:
    """A compressed matrix as CUTLASS 3.x kernels for Hopper read it.

    Attributes:
        values: (..., m, k/2) raw codes, K-major.
        metadata: (..., bytes) uint8 in stored order, two nibbles in each, the first low.
        dtype: the element type, as in ``Sparse24``.
        tile_k: k of the kernel's tile.
    """

    values: Array
    metadata: Array
    dtype: str
    tile_k: int


def cutlass_layout(s: Sparse24) -> CutlassLayout:
    """Return ``s`` in the reordered, interleaved layout of CUTLASS 2.x.

    Same bits as torch's ``sparse_semi_structured_from_dense_cutlass`` for fp16, bf16, int8 and fp32 (1:2). The 8-bit and
    4-bit types that torch lacks follow int8 by the size of their words.

    Raises:
        UnsupportedError: for a type that no sparse instruction takes.
        StcsimError: when m is not a multiple of 32 (8-bit and 4-bit types: 16) or a row does not fill an even number of
            words, or ``validate`` refuses the matrix.
    """
    row = _laid_out(check_form(s).dtype)
    _expect_whole(s, _block_rows(row), _word_bits(row) // 2 * row.sparse_group, "CUTLASS layout")
    plain = pack_metadata(s, _word_bits(row))
    m, columns = plain.shape[-2:]
    stored = np.empty((*plain.shape[:-2], m * columns), plain.dtype)
    stored[..., _offsets(m, columns, row)] = plain
    return CutlassLayout(s.values, stored.reshape(plain.shape), s.dtype)


def from_cutlass_layout(layout: CutlassLayout) -> Sparse24:
    """Return the compressed matrix of a CUTLASS 2.x layout, such as torch's; int16 and int32 words are taken too.

    Raises:
        StcsimError: when shapes or types do not fit each other, or an encoding is undefined.
    """
    _expect_arrays(layout, CutlassLayout)
    row = _laid_out(layout.dtype)
    bits, metadata = _word_bits(row), layout.metadata
    if metadata.dtype.kind not in "iu" or metadata.dtype.itemsize * 8 != bits or metadata.ndim < 2:
        found = f"{metadata.ndim} dimensions of {metadata.dtype.name}"
        raise StcsimError(f"CUTLASS metadata of {row.name}", f"rows of uint{bits} or int{bits}", found)
    m, columns = metadata.shape[-2:]
    if m % _block_rows(row) or columns % 2:
        expected = f"a multiple of {_block_rows(row)} rows and an even number of columns"
        raise StcsimError(f"CUTLASS metadata of {row.name}", expected, f"{m} x {columns}")
    stored = metadata.view(f"u{bits // 8}").reshape(*metadata.shape[:-2], m * columns)
    nibbles = unpack_metadata(stored[..., _offsets(m, columns, row)])
    return validate(Sparse24(layout.values, nibbles, row.name, nibbles.shape[-1] * row.sparse_group), ordered=False)


def cutlass_hopper_layout(s: Sparse24, tile_k: int = 128) -> HopperLayout:
    """Return ``s`` in the block layout of CUTLASS 3.x (``Sm90GemmSparseConfig``).

    Metadata lie in atoms of 64 rows by ``min(tile_k, 128)`` columns, down the rows first. In an atom of 16-bit types, from
    the fastest: 16 columns; row half (g, g + 8); block of 32 columns; g; column half of the block; block of 16 rows. tf32:
    the same with half the columns. 8-bit types: row by row. Two nibbles to a byte, the lower column low [assumed: CUTLASS
    leaves that to its sub-byte pointers].

    Args:
        s: the matrix; m and k must be whole atoms (CUTLASS pads them; pad before ``compress``).
        tile_k: k of the kernel's tile.

    Raises:
        UnsupportedError: for the 4-bit types, which Hopper lacks.
        StcsimError: when m, k or ``tile_k`` is not whole atoms or blocks, or ``validate`` refuses the matrix.
    """
    row, atom_k = _atom(check_form(s).dtype, tile_k)
    validate(s, ordered=False)
    _expect_whole(s, 64, atom_k, "Hopper layout")
    lead, m = s.metadata.shape[:-2], s.metadata.shape[-2]
    nibbles = s.metadata.reshape(*lead, *_blocks(row, m, s.k, atom_k))
    stored = reorder(nibbles, len(lead), _hopper_order(row)).reshape(*lead, m * s.metadata.shape[-1] // 2, 2)
    return HopperLayout(s.values, stored[..., 0] | stored[..., 1] << 4, s.dtype, tile_k)


def from_cutlass_hopper_layout(layout: HopperLayout) -> Sparse24:
    """Return the compressed matrix of a CUTLASS 3.x layout. Inverse of ``cutlass_hopper_layout``.

    Raises:
        UnsupportedError: for the 4-bit types, which Hopper lacks.
        StcsimError: when shapes do not fit each other, or an encoding is undefined.
    """
    _expect_arrays(layout, HopperLayout)
    row, atom_k = _atom(layout.dtype, layout.tile_k)
    if layout.values.ndim < 2:
        raise StcsimError("values of the Hopper layout", "at least two dimensions", f"{layout.values.ndim}")
    (m, half), lead = layout.values.shape[-2:], layout.values.shape[:-2]
    k, order = 2 * half, _hopper_order(row)
    s = Sparse24(layout.values, np.zeros((*lead, m, k // row.sparse_group), np.uint8), row.name, k)
    _expect_whole(s, 64, atom_k, "Hopper layout")
    octets = m * k // row.sparse_group // 2
    if layout.metadata.shape != (*lead, octets) or layout.metadata.dtype != np.uint8:
        found = f"{layout.metadata.shape} of {layout.metadata.dtype.name}"
        raise StcsimError(f"Hopper metadata of {row.name} {m} x {k}", f"shape {(*lead, octets)} of uint8", found)
    blocks = _blocks(row, m, k, atom_k)
    stored = np.stack([layout.metadata & 0xF, layout.metadata >> 4], axis=-1)
    cut = stored.reshape(*lead, *(blocks[each] for each in order))
    plain = reorder(cut, len(lead), inverse(order))
    return validate(replace(s, metadata=np.ascontiguousarray(plain).reshape(s.metadata.shape)), ordered=False)


def _expect_arrays(layout: object, kind: type[CutlassLayout] | type[HopperLayout]) -> None:
    """Refuse what is no such layout, or one of something else than arrays of numpy."""
    if not isinstance(layout, kind) or not all(isinstance(each, np.ndarray) for each in (layout.values, layout.metadata)):
        raise StcsimError("layout", f"a {kind.__name__}, with arrays of numpy", quoted(layout))


def _laid_out(dtype: str) -> DType:
    """Return an element type whose layout is known: that of a sparse instruction's A."""
    row, known = sparse_type(dtype), instructions.sparse_inputs()
    if row.name not in known:
        raise UnsupportedError("CUTLASS layout", f"a type that a sparse instruction takes ({', '.join(known)})", f"'{row.name}'")
    return row


def _word_bits(row: DType) -> int:
    """Return the bits of one metadata word of CUTLASS 2.x."""
    return 16 if row.bits >= 16 else 32


def _block_rows(row: DType) -> int:
    """Return the rows that CUTLASS 2.x weaves together: one warp's words of metadata."""
    return 32 if _word_bits(row) == 16 else 16


def _offsets(m: int, columns: int, row: DType) -> npt.NDArray[np.int64]:
    """Return where each metadata word (m, columns) is stored (CUTLASS ``host_reorder.h``; ``ColumnMajorInterleaved<2>``)."""
    block = _block_rows(row)
    r, c = np.indices((m, columns))
    r = r // block * block + r % 8 * (block // 8) + r % block // 8
    swap = ((r % 2 == 0) & (c % 2 == 1)).astype(np.int64) - ((r % 2 == 1) & (c % 2 == 0))
    r, c = r + swap, c - swap
    return np.asarray(c // 2 * (2 * m) + 2 * r + c % 2, np.int64)


def _atom(dtype: str, tile_k: int) -> tuple[DType, int]:
    """Return the element type and the columns of its Hopper metadata atom."""
    row = _laid_out(dtype)
    if row.bits < 8:
        raise UnsupportedError("Hopper layout", "an element type of 8 bits or more", f"'{dtype}'")
    block, atom_k = 512 // row.bits, min(size(tile_k, "tile_k"), 128)
    if atom_k < 1 or atom_k % block:
        raise StcsimError(f"tile_k of the Hopper layout of {dtype}", f"a multiple of {block}", f"{tile_k}")
    return row, atom_k


def _blocks(row: DType, m: int, k: int, atom_k: int) -> tuple[int, ...]:
    """Return how (m, groups) is cut: atom, block, row half, g; and atom, block, half, group of k."""
    block = 512 // row.bits
    return m // 64, 4, 2, 8, k // atom_k, atom_k // block, 2, block // row.sparse_group // 2


def _hopper_order(row: DType) -> tuple[int, ...]:
    """Return the stored order of the dimensions of ``_blocks``, the slowest first."""
    return (4, 0, 1, 6, 3, 5, 2, 7) if row.bits >= 16 else (4, 0, 1, 2, 3, 5, 6, 7)


def _expect_whole(s: Sparse24, rows: int, columns: int, layout: str) -> None:
    """Refuse a matrix that is not whole blocks."""
    if s.values.ndim < 2:
        raise StcsimError(f"{layout} of {s.dtype}", "a matrix", f"{s.values.ndim} dimension")
    m = s.values.shape[-2]
    if m % rows or s.k % columns:
        expected = f"a multiple of {rows} rows and of {columns} columns"
        raise StcsimError(f"{layout} of {s.dtype}", expected, f"{m} x {s.k}")
