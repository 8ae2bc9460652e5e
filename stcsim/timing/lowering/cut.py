"""How a kernel cuts a problem on a GPU, as a value: what lowering, the closed forms and the heuristics start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.problem import Problem, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a kernel cuts a problem on a GPU, before any tick is computed.

    Attributes:
        unit_ctas: CTAs that work in lockstep as one unit (the cluster).
        units: how many such units have work.
        ctas_per_sm: resident CTAs (ping-pong counts as two).
        stages: shared-memory buffers each CTA has.
        m_tiles: unit tiles of one GEMM along m.
        n_tiles: unit tiles of one GEMM along n.
        tile_m: rows of one unit tile.
        tile_n: columns of one unit tile.
        k_iters: main-loop iterations of the whole reduction.
        splits: slices it is cut into.
        filled: share of the pixels of a convolution's patches that lie inside the image.
        leaves_idle: whether the grid is smaller than the GPU although there are tiles enough (``tiling.balanced``).
    """

    unit_ctas: int
    units: int
    ctas_per_sm: int
    stages: int
    m_tiles: int
    n_tiles: int
    tile_m: int
    tile_n: int
    k_iters: int
    splits: int
    filled: float = 1.0
    leaves_idle: bool = False

    @property
    def tiles(self) -> int:
        """Unit tiles of one GEMM, k-slices included."""
        return self.m_tiles * self.n_tiles * self.splits


class Cut(NamedTuple):
    """A problem on a GPU, cut by a kernel in one way.

    Attributes:
        arch: the GPU.
        problem: what is computed.
        kernel: by which kernel.
        tiling: how it cuts the problem there.
    """

    arch: Arch
    problem: Problem
    kernel: Kernel
    tiling: Tiling

    @property
    def tiles(self) -> int:
        """Unit tiles of all GEMMs of the batch, k-slices included."""
        return self.tiling.tiles * self.problem.batch

    @property
    def slots(self) -> int:
        """Unit tiles that the GPU has room for at once."""
        return self.tiling.units * self.tiling.ctas_per_sm

    @property
    def resident(self) -> int:
        """CTAs that an SM has at work at once: no more than there are tiles for."""
        return min(self.tiling.ctas_per_sm, ceil_div(self.tiles, self.tiling.units))

    @property
    def slice_iterations(self) -> int:
        """Main-loop iterations of the longest k-slice."""
        return ceil_div(self.tiling.k_iters, self.tiling.splits)

    @property
    def tile_iterations(self) -> int:
        """Main-loop iterations summed over the tiles, as the plan will have them."""
        return self.tiles * self.tiling.k_iters // self.tiling.splits
