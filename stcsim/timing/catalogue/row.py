"""Menus of kernels as rows: a column for everything that sets one kernel apart, and a source for every menu."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from stcsim.timing.catalogue.kernel import SPLITS, Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What sets one kernel of a menu apart; each column is the field of :class:`Kernel` with its name."""

    cta_m: int
    cta_n: int
    k_bytes: int
    stages: int
    warps_m: int
    warps_n: int
    cluster_m: int = 1
    cluster_n: int = 1
    pingpong: bool = False
    transposed: bool = False
    widest_bits: int = 32
    narrowest_bits: int = 1
    patch: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """Kernels of one library that come from the same source, and what they have in common.

    Attributes:
        source: where the rows are from, and what is inferred or assumed about them.
        rows: the kernels, in the order in which ties are broken.
        family: as in :class:`Kernel`, and so are all below.
    """

    source: str
    rows: Iterable[Row]
    family: str
    sparse: bool = False
    wgmma: bool = False
    swizzle: int = 8
    max_splits: int = SPLITS[-1]
    stream_k: bool = False
    gemv: bool = False
    early_launch: bool = False
    single_tile: bool = False
    staging_bytes: int | None = None
    only: str = ""
    but: str = ""
    taps: int = 1

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels, in the order of the rows."""
        common = {name: getattr(self, name) for name in _COMMON}
        return tuple(Kernel(**common, **{name: getattr(row, name) for name in _COLUMNS}) for row in self.rows)


_COLUMNS = tuple(column.name for column in fields(Row))
_COMMON = tuple(column.name for column in fields(Menu) if column.name not in ("source", "rows"))
