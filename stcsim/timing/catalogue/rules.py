"""Rules of choice, in data: a library without a search takes the kernel of the first line that fits a GEMM."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from stcsim.isa import DType
from stcsim.timing.catalogue.row import Menu, Row

_SCHEDULES = {"ws": (1, False), "pingpong": (1, True), "coop": (2, False)}
"""How many warpgroups share a tile, and whether two tiles alternate: CUTLASS's three schedules of Hopper's kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table: the kernel for GEMMs of so many tokens (n) and features (m).

    Attributes:
        row: the kernel.
        most_tokens: the largest n for which the line is.
        features: the m for which it is; empty for all.
        least_features: the smallest m.
        most_features: the largest m.
    """

    row: Row
    most_tokens: float = math.inf
    features: tuple[int, ...] = ()
    least_features: int = 0
    most_features: float = math.inf

    def fits(self, m: int, n: int) -> bool:
        """Whether the line is for such a GEMM."""
        return (
            n <= self.most_tokens and self.least_features <= m <= self.most_features and (not self.features or m in self.features)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The table of a library for some types.

    Attributes:
        types: names of the element types.
        menu: what its kernels have in common; its rows are those of the lines.
        lines: in the order in which they are read.
    """

    types: tuple[str, ...]
    menu: Menu
    lines: tuple[Line, ...]

    @property
    def menus(self) -> tuple[Menu, ...]:
        """The kernels that the lines name, each once."""
        return (replace(self.menu, rows=tuple(dict.fromkeys(line.row for line in self.lines))),)


def row_for(rules: tuple[Rules, ...], dtype: DType, m: int, n: int) -> Row | None:
    """Return the kernel that a library takes for a GEMM with ``m`` features and ``n`` tokens; ``None`` if no line fits."""
    lines = (line for each in rules if dtype.name in each.types for line in each.lines)
    return next((line.row for line in lines if line.fits(m, n)), None)


def hopper_row(m: int, n: int, k_bytes: int, schedule: str, cluster: tuple[int, int] = (1, 1)) -> Row:
    """Return a row of Hopper with as many stages as fit; ``schedule`` is ``"ws"``, ``"pingpong"`` or ``"coop"``."""
    warpgroups, pingpong = _SCHEDULES[schedule]
    return Row(
        cta_m=m,
        cta_n=n,
        k_bytes=k_bytes,
        stages=0,
        warps_m=warpgroups,
        warps_n=1,
        cluster_m=cluster[0],
        cluster_n=cluster[1],
        pingpong=pingpong,
    )
