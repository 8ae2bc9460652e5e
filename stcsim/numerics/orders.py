"""In which order a kernel adds: one chain of instructions, slices of k, stream-k's uneven cuts, promotion. Exports ``Order``.

What is a fact about hardware here is small: additions outside the tensor core are FADD, IEEE 754 to nearest even, with subnormals
(unless a kernel is compiled to flush them), and a NaN that they give is 0x7FFFFFFF (PTX). What a kernel does with them is
software, and was read in CUTLASS (nothing copied): ``fp8_accumulation.hpp`` and ``mma_promotion_interval`` (promotion),
``reduce_split_k.h`` (slices in a workspace), ``LinearCombination::set_k_partition`` (serial split-k),
``gemm_universal_streamk.h`` and ``threadblock_swizzle_streamk.h`` (stream-k). What the kernels of closed libraries do is not
published; on one H200 it was seen: all 312 products tried have the bits of one of these orders
(``tests/validation/h200/README.md``). cuBLAS: chains, ``"split-k=S,tile=64x64x64"`` where its split-k kernels run,
``"promote=4"`` for fp8 without fast accumulation. cuSPARSELt: chains, and ``"split-k-pairwise=S,tile=64x64x64"`` where its
kernels are named ``segment_k_on``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from stcsim.errors import StcsimError, UnsupportedError, closest, quoted
from stcsim.words import flag, size, text, whole_of

_FORMS = (
    "chain",
    "split-k=S",
    "split-k-serial=S",
    "split-k-pairwise=S",
    "stream-k=BLOCKS",
    "tile=MxNxK",
    "split-tiles=T",
    "promote=N",
)


class Cut(NamedTuple):
    """How one element of D is summed, unless as one chain.

    Attributes:
        slices: (first, last) instruction of each; slices are sums of their own, added in fp32 in this order.
        promote_every: instructions after which the accumulator is added to fp32 registers and starts from zero; 0: never.
        pairwise: the first half of the slices is added by itself, then the others, then both sums; and so on inside.
    """

    slices: tuple[tuple[int, int], ...]
    promote_every: int
    pairwise: bool = False


class Region(NamedTuple):
    """A part of D that is cut alike."""

    rows: slice
    columns: slice
    cut: Cut


@dataclass(frozen=True, slots=True)
class Order:
    """How a kernel adds the products of one element of D. ``Order()`` is one chain of instructions from k = 0 up.

    In a chain the accumulator of the first instruction is C. In every other order it starts from zero in each part, parts are
    added in fp32 to nearest even, C last of all; D is fp32 then, whatever the accumulator. Integers are exact in every order;
    with satfinite each part is clamped, and parts are added modulo 2^32.

    Attributes:
        split_k: slices of k: each has ceil(count / split_k) of the ``tile``'s k, or of the instruction's without a tile; the last
            has what is left, and slices that nothing is left for do not exist. They are added in the order of k.
        serial: each slice's epilogue reads the D that the slice before it wrote, so that sums are rounded to the output type
            between slices (CUTLASS's split-k-serial); without an epilogue, whose output type is fp32, it is the same bits.
        pairwise: slice i of S begins with iteration floor(i * count / S), and sums are added in pairs: those of the first half of
            the slices (rounded down) by themselves, the others by themselves, then both (seen in cuSPARSELt 0.8.0 on an H200).
        stream_k: blocks (CTAs) that share the main-loop iterations of all output tiles evenly, the first ones taking one more
            where they do not come out even; a multiple of the tiles shares each tile by itself. The parts of a tile are added in
            the order of k (CUTLASS's turnstile; its atomic variant has no fixed order). Tiles count row by row, or column by
            column where D has fewer rows of tiles than columns. How many blocks and ``split_tiles`` a library takes is its
            heuristic; they are given here.
        tile: (m, n, k) of an output tile and of one main-loop iteration.
        split_tiles: of stream-k: only so many output tiles, the first ones, are shared; the others are summed whole
            ("data-parallel"). By default all are shared.
        promote_every: after so many instructions the accumulator is added to fp32 registers and starts from zero, and what is
            left at the end of a slice too. CUTLASS's default fp8 kernels on Hopper: 4.

    Raises:
        UnsupportedError: for a count that is none, or what does not go together.
    """

    split_k: int = 1
    serial: bool = False
    pairwise: bool = False
    stream_k: int = 0
    tile: tuple[int, int, int] | None = None
    split_tiles: int | None = None
    promote_every: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        size(self.split_k, "split_k")
        size(self.promote_every, "promote_every", 0)
        flag(self.serial, "serial")
        flag(self.pairwise, "pairwise")
        if self.tile is not None:
            _tile(self.tile)
        if size(self.stream_k, "stream_k", 0) and (self.split_k > 1 or self.tile is None):
            raise UnsupportedError("stream_k", "a tile beside it, and no split_k", str(self))
        if self.split_tiles is not None and not (size(self.split_tiles, "split_tiles", 0) and self.stream_k):
            raise UnsupportedError("split_tiles", "a number above 0 beside stream_k", str(self))
        if self.serial and self.split_k == 1:
            raise UnsupportedError("serial", "split_k of 2 or more beside it", str(self))
        if self.pairwise and (self.split_k == 1 or self.serial):
            raise UnsupportedError("pairwise", "split_k of 2 or more beside it, and not serial", str(self))

    def __str__(self) -> str:
        """Return the text that ``order`` reads back."""
        kind = "-serial" * bool(self.serial) + "-pairwise" * bool(self.pairwise)
        parts = [f"split-k{kind}={self.split_k}"] if self.split_k != 1 else []
        parts += [f"stream-k={self.stream_k}"] if self.stream_k else []
        parts += ["tile=" + "x".join(str(each) for each in self.tile)] if self.tile else []
        parts += [f"split-tiles={self.split_tiles}"] if self.split_tiles is not None else []
        parts += [f"promote={self.promote_every}"] if self.promote_every else []
        return ",".join(parts) or "chain"

    @property
    def is_chain(self) -> bool:
        """Whether each element is one chain of instructions."""
        return self.split_k == 1 and not self.stream_k and not self.promote_every

    def regions(self, m: int, n: int, k: int, instruction_k: int) -> Iterator[Region]:
        """Yield the parts of an m x n x k product, with the cut of each; none of a chain.

        Args:
            m, n, k: of the product; k with padding to whole instructions.
            instruction_k: columns of A that one instruction takes.

        Raises:
            StcsimError: when the tile's k is not whole instructions.
        """
        whole = slice(0, m), slice(0, n)
        unit, count = self._unit(instruction_k), -(-k // instruction_k)
        if self.stream_k:
            yield from self._shared(m, n, count, unit)
        elif not self.is_chain:
            ends = [min(count, at * unit) for at in self._slice_ends(-(-count // unit))]
            slices = tuple((first, last) for first, last in pairwise(ends) if first < last)
            yield Region(*whole, Cut(slices, self.promote_every, self.pairwise))

    def _slice_ends(self, iterations: int) -> list[int]:
        """Return the main-loop iterations at which slices of k begin and end."""
        if self.pairwise:
            return [at * iterations // self.split_k for at in range(self.split_k + 1)]
        each = -(-iterations // self.split_k)
        return [*range(0, iterations, each), iterations]

    def _unit(self, instruction_k: int) -> int:
        """Return the instructions of one main-loop iteration."""
        if self.tile is None:
            return 1
        if self.tile[2] % instruction_k:
            raise StcsimError("order: tile", f"k a multiple of {instruction_k}, that of the instruction", str(self.tile[2]))
        return self.tile[2] // instruction_k

    def _shared(self, m: int, n: int, count: int, unit: int) -> Iterator[Region]:
        """Yield the output tiles of stream-k with their parts; ``count`` instructions, ``unit`` of them an iteration."""
        assert self.tile is not None
        rows, columns = -(-m // self.tile[0]), -(-n // self.tile[1])
        iterations = -(-count // unit)
        shared = rows * columns if self.split_tiles is None else min(self.split_tiles, rows * columns)
        starts = _starts(shared, iterations, self.stream_k)
        for index in range(rows * columns):
            row, column = (index % rows, index // rows) if rows < columns else divmod(index, columns)
            first = index * iterations
            inner = [at - first for at in starts if first < at < first + iterations] if index < shared else []
            ends = [0, *(at * unit for at in inner), count]
            cut = Cut(tuple(zip(ends[:-1], ends[1:], strict=True)), self.promote_every)
            yield Region(
                slice(row * self.tile[0], min(m, (row + 1) * self.tile[0])),
                slice(column * self.tile[1], min(n, (column + 1) * self.tile[1])),
                cut,
            )


def order(value: object) -> Order:
    """Return the order that ``value`` is or spells: ``None``, ``"chain"``, ``"split-k=3"``, ``"split-k=2,promote=4"`` and so on.

    Raises:
        UnsupportedError: for anything else.
    """
    if value is None or isinstance(value, Order):
        return value or Order()
    found = Order()
    fields: dict[str, object] = {}
    for part in text(value, "order", f"an Order, or words of {', '.join(_FORMS)}").split(","):
        fields.update(_field(part.strip().lower().replace("_", "-")))
    return replace(found, **fields)  # type: ignore[arg-type]


def _field(part: str) -> dict[str, object]:
    """Return the fields that one word stands for."""
    name, _, number = part.partition("=")
    if part == "chain":
        return {}
    sizes = tuple(whole_of(each) for each in number.split("x"))
    if name == "tile" and None not in sizes:
        return {"tile": sizes}
    known = {"split-k": "split_k", "split-k-serial": "split_k", "split-k-pairwise": "split_k", "stream-k": "stream_k"}
    known |= {"split-tiles": "split_tiles", "promote": "promote_every"}
    if name not in known or len(sizes) != 1 or sizes[0] is None:
        raise UnsupportedError("order", f"words of {', '.join(_FORMS)}", f"{quoted(part)}{closest(part, _FORMS)}")
    kind = name.removeprefix("split-k").removeprefix("-")
    return {known[name]: sizes[0], **({kind: True} if kind in ("serial", "pairwise") else {})}


def _tile(tile: object) -> None:
    """Refuse what is no (m, n, k)."""
    if not isinstance(tile, tuple) or len(tile) != 3:
        raise UnsupportedError("tile", "three numbers (m, n, k)", quoted(tile))
    for each in tile:
        size(each, "tile")


def _starts(tiles: int, iterations: int, blocks: int) -> list[int]:
    """Return the first iteration of each block, of ``iterations`` in each tile: equal shares, the first blocks one more."""
    blocks = min(blocks, tiles * iterations)
    regions = tiles if blocks > tiles and blocks % tiles == 0 else 1
    share, more = divmod(tiles * iterations // regions, blocks // regions)
    inner = [at * share + min(at, more) for at in range(blocks // regions)]
    return [region * (tiles * iterations // regions) + at for region in range(regions) for at in inner]
