"""How a weight's groups are filled, and what pruning would keep: in one pass over slabs that fit a cache, then forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint import StoredTensor
from stcsim.checkpoint.roles import Along
from stcsim.isa import DTYPES, DType

Codes = npt.NDArray[Any]

SLAB_BYTES = 8 << 20
"""How much of a weight is looked at before its memory is given back."""
_ROWS = 32
"""Slabs along a dimension that has the groups are cut at multiples of this."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How the groups of four of one direction are filled.

    Attributes:
        along: which direction.
        groups: of four.
        over: those with more than two elements that are not zero.
        over_one: those with more than one.
        first_over: where the first such group begins, as an index into the weight; empty where there is none.
    """

    along: str
    groups: int
    over: int
    over_one: int
    first_over: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What one pass over a weight found.

    Attributes:
        filled: the directions, the one in which a GEMM adds up first; those whose length is no multiple of four are left out.
        zeros: elements that are zero; a -0 is one.
        nan: elements that are NaN.
        nan_at: the first of them.
        kept: share of the sum of magnitudes that 2:4 pruning by magnitude keeps, ``None`` where there is no sum.
        kept_squares: the same of the sum of squares.
    """

    filled: tuple[Filled, ...]
    zeros: int
    nan: int
    nan_at: tuple[int, ...]
    kept: float | None
    kept_squares: float | None


@dataclass(slots=True)
class _Sums:
    """Running sums of one direction."""

    along: Along
    groups: int = 0
    found: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, np.int64))


def count(tensor: StoredTensor, along: Sequence[Along], with_magnitudes: bool = True) -> Counts:
    """Return what is in a weight, read once from its first byte to its last.

    Args:
        tensor: of two dimensions or more.
        along: directions of groups, the one in which a GEMM adds up first.
        with_magnitudes: whether to sum magnitudes too.
    """
    from stcsim.inspection import counting_fast

    row = DTYPES[tensor.dtype]
    sums, magnitudes = [_Sums(each) for each in along if _length(tensor.shape, each) % 4 == 0], np.zeros(4)
    whole = np.zeros(4, np.int64)
    for _, codes in slabs(tensor, along):
        bits, mask = unsigned(codes), masks(row, codes)[0]
        for each in sums:
            cut = _cut(bits, each.along)
            if cut.shape[2] == 1:
                counting_fast.count_rows(cut.reshape(-1, 4), mask, each.found)
            else:
                counting_fast.count_fours(cut, mask, each.found)
            each.groups += cut.size // 4
        if not sums:  # no direction has whole groups: zeros and NaN are still counted
            flat = np.zeros((-(-bits.size // 4), 4), bits.dtype)
            flat.reshape(-1)[: bits.size] = bits.ravel()
            counting_fast.count_rows(flat, mask, whole)
        elif with_magnitudes and sums[0].along is along[0]:
            add_magnitudes(_cut(codes, along[0]), row, magnitudes)
    found = sums[0].found if sums else whole
    nan, nan_at = _nan(tensor, row) if row.is_float and int(found[3]) > row.largest_code else (0, ())
    kept, squares = shares(magnitudes)
    filled = tuple(_filled(tensor, each, row) for each in sums)
    return Counts(filled, tensor.size - int(found[2]), nan, nan_at, kept, squares)


def add_magnitudes(cut: Codes, row: DType, sums: npt.NDArray[np.float64]) -> None:
    """Add to ``sums`` (4) the magnitudes of codes (outer, length, inner), those that 2:4 keeps, and the squares of both."""
    from stcsim.inspection import counting_fast

    codes = _floats(cut, row)
    if codes.shape[2] == 1:
        counting_fast.add_kept_rows(codes.reshape(-1, 4), *_widening(row), sums)
    else:
        counting_fast.add_kept(codes, *_widening(row), sums)


def shares(sums: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return which share of magnitudes, and of squares, is kept; ``None`` of nothing, or of what is not finite."""
    kept, squares = (float(sums[at + 1] / sums[at]) if np.isfinite(sums[at]) and sums[at] > 0 else None for at in (0, 2))
    return kept, squares


def satisfies(tensor: StoredTensor, along: Along, patterns: Sequence[tuple[int, int, int]]) -> list[bool]:
    """Return for each pattern, as kept, group and pair, whether every group of a weight has it; reads the weight once more."""
    from stcsim.inspection import counting_fast

    length = _length(tensor.shape, along)
    holds = [length % group == 0 for _, group, _ in patterns]
    for _, codes in slabs(tensor, (along,)):
        bits, (mask, _) = _cut(unsigned(codes), along), masks(DTYPES[tensor.dtype], codes)
        for at, (kept, group, pair) in enumerate(patterns):
            holds[at] = holds[at] and counting_fast.first_over(bits, group, pair, kept, mask)[0] < 0
        if not any(holds):
            break
    return holds


def slabs(tensor: StoredTensor, along: Sequence[Along]) -> Iterator[tuple[int, Codes]]:
    """Yield a weight in pieces of its first dimension, each with where it begins; memory is given back behind each."""
    first = tensor.shape[0]
    step = max(1, SLAB_BYTES * first // max(1, tensor.size * _code_bytes(tensor)))
    if any(each.first == 0 for each in along):
        step = max(_ROWS, step // _ROWS * _ROWS)
    whole = None if tensor.in_pieces else tensor.codes()
    for start in range(0, first, step):
        stop = min(start + step, first)
        yield start, tensor.slab(start, stop) if whole is None else whole[start:stop]
        tensor.release()


def unsigned(codes: Codes) -> Codes:
    """Return the raw codes of numbers."""
    whole = np.ascontiguousarray(codes)
    return whole.view(f"u{whole.itemsize}") if whole.flags.aligned else whole.copy().view(f"u{whole.itemsize}")


def masks(row: DType, codes: Codes) -> tuple[Any, Any]:
    """Return the bits that are all zero in a zero, and the largest code that is no NaN, in the type of the codes."""
    kind = np.dtype(f"u{codes.itemsize}").type
    everything = (1 << 8 * codes.itemsize) - 1
    return (kind(row.magnitude_mask), kind(row.largest_code)) if row.is_float else (kind(everything), kind(everything))


def place_of(tensor: StoredTensor, along: Along, start: int, found: tuple[int, int, int]) -> tuple[int, ...]:
    """Return as an index into a weight what was found at (outer, at, inner) of a piece that begins at ``start``."""
    shape = tensor.shape
    outer, at, inner = (int(each) for each in found)
    if along.channels_last:
        channels, taps = shape[1], shape[2:]
        return start + outer, at % channels, *(int(each) for each in np.unravel_index(at // channels, taps))
    before, length, behind = shape[: along.first], shape[along.first : along.last], shape[along.last :]
    if along.first == 0:
        at, outer = at + start * prod(length[1:]), 0
    else:
        outer += start * prod(before[1:])
    parts = ((outer, before), (at, length), (inner, behind))
    return tuple(int(each) for number, dims in parts if dims for each in np.unravel_index(number, dims))


def _length(shape: tuple[int, ...], along: Along) -> int:
    return prod(shape[along.first : along.last])


def _code_bytes(tensor: StoredTensor) -> int:
    return DTYPES[tensor.dtype].code_bits // 8


def _cut(codes: Codes, along: Along) -> Codes:
    """Return codes as (outer, length, inner) of a direction."""
    if along.channels_last:
        moved = np.ascontiguousarray(np.moveaxis(codes, 1, -1))
        return moved.reshape(codes.shape[0], -1, 1)
    shape = codes.shape
    outer, length, inner = (prod(part) for part in (shape[: along.first], shape[along.first : along.last], shape[along.last :]))
    return codes.reshape(outer, length, inner)


def _floats(codes: Codes, row: DType) -> Codes:
    """Return codes of which shifting makes float32: integers and fp64 are float32 before."""
    if row.is_float and row.bits < 64:
        return unsigned(codes)
    with np.errstate(over="ignore"):
        return np.abs(codes.astype(np.float32)).view(np.uint32)


def _widening(row: DType) -> tuple[Any, Any, Any]:
    """Return mask, shift and scale with which ``add_kept`` reads codes."""
    if not row.is_float or row.bits == 64:
        row = DTYPES["fp32"]
    single = DTYPES["fp32"]
    kind = np.dtype(f"u{row.code_bits // 8}").type
    shift = single.fraction_bits - row.fraction_bits - row.dropped_bits
    return kind(row.magnitude_mask), np.uint32(shift), np.float32(2.0 ** (single.bias - row.bias))


def _filled(tensor: StoredTensor, sums: _Sums, row: DType) -> Filled:
    over = int(sums.found[0])
    first = _first_group(tensor, sums.along, row) if 0 < over else ()
    return Filled(sums.along.name, sums.groups, over, int(sums.found[1]), first)


def _first_group(tensor: StoredTensor, along: Along, row: DType) -> tuple[int, ...]:
    from stcsim.inspection import counting_fast

    for start, codes in slabs(tensor, (along,)):
        found = counting_fast.first_over(_cut(unsigned(codes), along), 4, 1, 2, masks(row, codes)[0])
        if found[0] >= 0:
            return place_of(tensor, along, start, found)
    return ()


def _nan(tensor: StoredTensor, row: DType) -> tuple[int, tuple[int, ...]]:
    """Return how many NaN there are, and where the first is."""
    found, first = 0, tuple[int, ...]()
    for start, codes in slabs(tensor, ()):
        mask, largest = masks(row, codes)
        bad = (unsigned(codes) & mask) > largest
        found += int(np.count_nonzero(bad))
        if not first and bad.any():
            at = [int(each) for each in np.unravel_index(int(np.argmax(bad)), bad.shape)]
            first = at[0] + start, *at[1:]
    return found, first
