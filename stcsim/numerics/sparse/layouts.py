"""What each lane of a warp holds when it issues ``mma.sp``: the registers of compressed A and of the metadata.

Exports ``register_image``, its inverse ``from_register_image``, and ``RegisterImage``. Lane = 4 * g + t. The layouts of
whole matrices in memory are in ``cutlass_layouts``.

Compressed A lies as dense A of half the k does: with e = 32 / bits codes in a register, lowest k lowest, register r
holds row g + 8 * (r mod 2), kept columns 4 * e * (r div 2) + e * t on (PTX ISA, "Matrix fragments for sparse mma").

Metadata words hold eight nibbles, lowest group lowest. h and t count the selected threads from the first one:

=====================  =====================================================================  =======
A and k                word of thread                                                         sources
=====================  =====================================================================  =======
16-bit k32, tf32 k16   h: row g, half h of k, bits 0-15; row g+8, the same, bits 16-31        1, 2, 3
8-bit k64              t: row g + 8 * (t mod 2), half t div 2 of k                            1, 2, 4
16-bit k16             the one: row g in bits 0-15, row g+8 in bits 16-31                     3
tf32 k8                as 16-bit k16                                                          5
8-bit k32              t: row g + 8 * t, all of k                                             5
4-bit k64              as 8-bit k32, with pairs for elements                                  5
4-bit k128             as 8-bit k64, with pairs for elements                                  4
wgmma.sp               each warp of four has 16 rows, each as the mma.sp of the same k        6
=====================  =====================================================================  =======

The PTX ISA draws these as pictures. Public code that agrees with them, of which only shapes and strides were compared: (1)
CUTLASS's reordered metadata, which is this register image lane by lane, and torch's conversion; (2) tile-ai/tilelang,
``mma_sp_layout.py``; (3) the PTX ``mma.sp`` test of apache/tvm (pull request 10339); (4) CUTLASS,
``mma_traits_sm120_sparse.hpp``; (5) a CuTe traits file for sm_80 of unknown home, the weakest of these; (6) CUTLASS,
``mma_traits_sm90_gmma_sparse.hpp`` (8-bit k64, 16-bit k32, tf32 k16). ``docs/numerics.md`` has more of each. An H200
and an H100 confirm 16-bit k32, tf32 k16, 8-bit k64 and ``wgmma.sp`` (``tests/validation/h200``); the others nobody ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.isa import DType
from stcsim.isa.instructions import parse
from stcsim.numerics.codes import code_type, sparse_type
from stcsim.numerics.sparse.sparse24 import Sparse24, validate
from stcsim.words import size

Words = npt.NDArray[np.uint32]

_A_ORDER = (0, 2, 4, 3, 1, 5)
"""(warp, row half, g, k half, t, code) as (warp, g, t, k half, row half, code): lane, register, code."""
_METADATA_ORDER = (0, 2, 3, 1, 4)
"""(warp, row half, g, part of k, nibble) as (warp, g, part, row half, nibble). A row's part is four nibbles of 16-bit and
tf32 types, whose words hold two rows, and eight of the others, whose words hold one."""


@dataclass(frozen=True, slots=True)
class RegisterImage:
    """The registers of one sparse instruction, or of a batch of them.

    Attributes:
        instruction: PTX words, e.g. ``"mma.sp.m16n8k32.f32.f16.f16.f32"``.
        selector: the sparsity selector, which of each four threads give metadata.
        a: (..., lanes, registers) uint32, compressed A; 32 lanes, or 128 for ``wgmma.sp``.
        metadata: (..., lanes) uint32; 0 in the lanes that the selector does not name, which the hardware does not read.
    """

    instruction: str
    selector: int
    a: Words
    metadata: Words


@dataclass(frozen=True, slots=True)
class _Fragment:
    """How A of one instruction is cut: ``warps`` of 16 rows, ``halves`` of k (1 when it is short).

    ``threads`` of each four give metadata; ``part`` nibbles of a row stand together in a word.
    """

    row: DType
    ordered: bool
    warps: int
    k: int
    halves: int
    threads: int
    part: int


def register_image(s: Sparse24, instruction: str, selector: int = 0) -> RegisterImage:
    """Return what each lane holds of the tile ``s``; the module says which layouts are sure.

    Args:
        s: one tile of A, (..., 16, k) expanded, or (..., 64, k) for ``wgmma.sp``.
        instruction: a sparse instruction in PTX words, e.g. ``"mma.sp.m16n8k32.f32.f16.f16.f32"``.
        selector: which of each four threads give metadata.

    Raises:
        UnsupportedError: when there is no such sparse instruction.
        StcsimError: when the tile or the selector does not fit it, or an encoding is undefined.
    """
    cut = _fragment(instruction)
    _check_selector(cut, instruction, selector)
    validate(s, ordered=cut.ordered)
    tile, wanted = (*s.values.shape[-2:-1], s.k), (16 * cut.warps, cut.k)
    if sparse_type(s.dtype) != cut.row or tile != wanted:
        expected, found = (f"{name} of {size}" for name, size in ((cut.row.name, wanted), (s.dtype, tile)))
        raise StcsimError(f"A of {instruction}", expected, found)
    lead, each = s.values.shape[:-2], 32 // cut.row.bits
    codes = s.values.reshape(*lead, cut.warps, 2, 8, cut.halves, 4, each)
    a = _pack(reorder(codes, len(lead), _A_ORDER), cut.row.bits).reshape(*lead, 32 * cut.warps, 2 * cut.halves)
    nibbles = s.metadata.reshape(*lead, cut.warps, 2, 8, cut.halves, cut.part)
    words = _pack(reorder(nibbles, len(lead), _METADATA_ORDER).reshape(*lead, cut.warps, 8, cut.threads, 8), 4)
    metadata = np.zeros((*lead, cut.warps, 8, 4), np.uint32)
    metadata[..., selector * cut.threads : (selector + 1) * cut.threads] = words
    return RegisterImage(instruction, selector, a, metadata.reshape(*lead, 32 * cut.warps))


def from_register_image(image: RegisterImage) -> Sparse24:
    """Return the tile that the registers hold. Inverse of ``register_image``.

    Raises:
        UnsupportedError: when there is no such sparse instruction.
        StcsimError: when the registers or the selector do not fit it, or an encoding is undefined.
    """
    if not isinstance(image, RegisterImage) or not all(isinstance(each, np.ndarray) for each in (image.a, image.metadata)):
        raise StcsimError("from_register_image", "a RegisterImage, with arrays of uint32", quoted(image))
    cut = _fragment(image.instruction)
    _check_selector(cut, image.instruction, image.selector)
    lead, lanes = image.a.shape[:-2], 32 * cut.warps
    shapes = ((*lead, lanes, 2 * cut.halves), (*lead, lanes))
    if (image.a.shape, image.metadata.shape) != shapes:
        expected = f"shapes (..., {lanes}, {2 * cut.halves}) and (..., {lanes})"
        raise StcsimError(f"registers of {image.instruction}", expected, f"{image.a.shape} and {image.metadata.shape}")
    codes = _unpack(image.a.reshape(*lead, cut.warps, 8, 4, cut.halves, 2), cut.row.bits)
    values = reorder(codes, len(lead), inverse(_A_ORDER)).reshape(*lead, 16 * cut.warps, cut.k // 2)
    selected = slice(image.selector * cut.threads, (image.selector + 1) * cut.threads)
    words = image.metadata.reshape(*lead, cut.warps, 8, 4)[..., selected]
    nibbles = _unpack(words, 4).reshape(*lead, cut.warps, 8, cut.halves, 2, cut.part)
    metadata = reorder(nibbles, len(lead), inverse(_METADATA_ORDER)).reshape(*lead, 16 * cut.warps, cut.k // cut.row.sparse_group)
    return validate(
        Sparse24(values.astype(code_type(cut.row)), metadata.astype(np.uint8), cut.row.name, cut.k), ordered=cut.ordered
    )


def _fragment(instruction: str) -> _Fragment:
    """Return how the sparse instruction of that name cuts A.

    Raises:
        UnsupportedError: when there is none, or its A does not lie in registers.
    """
    parsed = parse(instruction)
    if not parsed.sparse or parsed.kind not in ("mma", "wgmma"):
        raise UnsupportedError("register image", "an mma.sp or wgmma.sp instruction", f"'{parsed.name}'")
    row = sparse_type(parsed.a)
    halves = parsed.k * row.bits // 256
    part = 4 if row.bits >= 16 else 8
    return _Fragment(row, "::ordered_metadata" in instruction, parsed.m // 16, parsed.k, halves, halves * part // 4, part)


def _check_selector(cut: _Fragment, instruction: str, selector: int) -> None:
    selectors = range(4 // cut.threads)
    if size(selector, "selector", 0) not in selectors:
        raise StcsimError(f"sparsity selector of {instruction}", " or ".join(str(each) for each in selectors), f"{selector}")


def reorder(array: npt.NDArray[Any], lead: int, order: tuple[int, ...]) -> npt.NDArray[Any]:
    """Permute the dimensions behind the first ``lead``."""
    return array.transpose(*range(lead), *(lead + each for each in order))


def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """Return the order that undoes ``order``."""
    return tuple(int(each) for each in np.argsort(order))


def _pack(fields: npt.NDArray[Any], bits: int) -> Words:
    """Join the fields of the last axis into one uint32, the first lowest."""
    shifts = np.arange(fields.shape[-1], dtype=np.uint32) * np.uint32(bits)
    return np.asarray(np.bitwise_or.reduce(fields.astype(np.uint32) << shifts, axis=-1), np.uint32)


def _unpack(words: Words, bits: int) -> Words:
    """Split each uint32 into fields of ``bits`` on a new last axis. Inverse of ``_pack``."""
    shifts = np.arange(32 // bits, dtype=np.uint32) * np.uint32(bits)
    return (words[..., None] >> shifts) & np.uint32(2**bits - 1)
