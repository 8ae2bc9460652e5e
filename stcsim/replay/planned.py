"""A network before it is timed, and with its sides chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.isa import DType
from stcsim.replay.clock_steps import Steps
from stcsim.replay.kernels import Terms
from stcsim.timing.board.power import Load
from stcsim.trace import Conv2d, Gemm, Memory

Sides = tuple[bool, ...]
"""For each kernel of a network whether it runs 2:4."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One kernel of a network before it is timed.

    Attributes:
        op: with ``fused``, the names of the operations that run in its kernel.
        element: its type.
        dense, sparse: whether that side may be run; both ``False`` for a memory operation.
        not_sparse_because: why a layer may not be 2:4 although that was asked for.
    """

    op: Gemm | Conv2d | Memory
    element: DType
    fused: tuple[str, ...] = ()
    dense: bool = False
    sparse: bool = False
    not_sparse_because: str | None = None

    @property
    def has_choice(self) -> bool:
        """Whether it may run dense and may run 2:4."""
        return self.dense and self.sparse


@dataclass(frozen=True, slots=True)
class Network:
    """A network whose sides are chosen, at the one clock that it holds when it is replayed over and over.

    Attributes:
        sides: which kernels run 2:4.
        terms: those on which the kernels were chosen.
        steps: the clocks at which they were timed.
        clock_mhz: the clock that is held, which need not lie between them until the
            network is settled.
        load: of one pass, near those clocks.
        limited: whether the board's power limit holds the clock down.
    """

    sides: Sides
    terms: Terms
    steps: Steps
    clock_mhz: float
    load: Load
    limited: bool

    @property
    def time_us(self) -> float:
        """One pass."""
        return self.load.time_us(self.clock_mhz)


def turned(sides: Sides, places: Sequence[int], sparse: bool) -> Sides:
    """Return ``sides`` with those places dense or 2:4."""
    changed = set(places)
    return tuple(sparse if at in changed else side for at, side in enumerate(sides))
