"""Many cuts of one problem on one GPU as columns, so that a closed form is worked out for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.plan import IntArray
from stcsim.timing.problem import Problem
from stcsim.timing.rates import Array

_TILING = ("unit_ctas", "units", "ctas_per_sm", "stages", "m_tiles", "n_tiles", "tile_m", "tile_n", "k_iters", "splits")
_in_order = attrgetter(*_TILING)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of cuts, one entry a cut, by the names of ``Tiling`` and ``Cut``.

    Attributes:
        arch: the one GPU.
        problem: the one problem.
        kernels: the kernels that cut it, each once.
        which: for each cut the number of its kernel among them.
    """

    arch: Arch
    problem: Problem
    kernels: tuple[Kernel, ...]
    which: IntArray
    unit_ctas: IntArray
    units: IntArray
    ctas_per_sm: IntArray
    stages: IntArray
    m_tiles: IntArray
    n_tiles: IntArray
    tile_m: IntArray
    tile_n: IntArray
    k_iters: IntArray
    splits: IntArray

    def of_kernels(self, law: Callable[[Kernel], object]) -> Array:
        """Return what a law says of each cut's kernel; it is asked once for each kernel."""
        of_each: Array = np.array([law(kernel) for kernel in self.kernels])
        return of_each[self.which]

    def of_splits(self, law: Callable[[int], float]) -> Array:
        """Return what a law says of each cut's number of slices; it is asked once for each number."""
        numbers, which = np.unique(self.splits, return_inverse=True)
        of_each: Array = np.array([law(splits) for splits in numbers.tolist()])
        return of_each[which]

    @property
    def tiles(self) -> IntArray:
        """Unit tiles of all GEMMs of the batch, k-slices included."""
        return self.m_tiles * self.n_tiles * self.splits * self.problem.batch

    @property
    def slots(self) -> IntArray:
        """Unit tiles that the GPU has room for at once."""
        return self.units * self.ctas_per_sm

    @property
    def resident(self) -> IntArray:
        """CTAs that an SM has at work at once."""
        resident: IntArray = np.minimum(self.ctas_per_sm, -(-self.tiles // self.units))
        return resident

    @property
    def slice_iterations(self) -> IntArray:
        """Main-loop iterations of the longest k-slice."""
        return -(-self.k_iters // self.splits)


def columns_of(cuts: Sequence[Cut]) -> Columns:
    """Return the columns of ``cuts``, all of one problem on one GPU, at least one."""
    numbers: dict[int, int] = {}  # by identity: hashing a kernel takes longer than using it
    which = [numbers.setdefault(id(cut.kernel), len(numbers)) for cut in cuts]
    kernels = {id(cut.kernel): cut.kernel for cut in cuts}
    tilings = np.array([_in_order(cut.tiling) for cut in cuts], np.int64).T
    return Columns(cuts[0].arch, cuts[0].problem, tuple(kernels.values()), np.array(which), *tilings)
