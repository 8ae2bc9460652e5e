"""Alike layers on one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from stcsim.result import Interval, KernelResult, LayerRow
from stcsim.trace.names import alike, common_name


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: layers of the same sizes and type whose names differ in their numbers only, or one layer."""

    name: str
    rows: tuple[LayerRow, ...]

    @property
    def launches(self) -> int:
        """Launches of all of them."""
        return sum(row.count for row in self.rows)

    @property
    def total_us(self) -> float:
        """Microseconds of all launches in the best-of-both network."""
        return sum(row.count * row.chosen.time_us for row in self.rows)

    @property
    def runs(self) -> str:
        """Which side was chosen: ``dense``, ``2:4``, or of how many which."""
        pruned = [row.best for row in self.rows if row.is_pruned]
        if not pruned:
            return "dense"
        return pruned[0] if len(pruned) == len(self.rows) else f"{len(pruned)} of {len(self.rows)} {pruned[0]}"

    def kernel(self, side: str) -> KernelResult | None:
        """Return the kernel of a side, of the first layer that has one: ``dense``, ``chosen``, by any other name the pruned."""
        return next(iter(self.kernels(side)), None)

    def kernels(self, side: str) -> Iterator[KernelResult]:
        """Yield the kernels of a side, one for each layer that has one."""
        yield from (kernel for kernel, _ in self._launched(side))

    def mean(self, side: str, figure: Callable[[KernelResult], float]) -> float | None:
        """Return the mean of a figure over all launches, ``None`` where no layer has that side."""
        launched = list(self._launched(side))
        if not launched:
            return None
        return fmean([figure(kernel) for kernel, _ in launched], [count for _, count in launched])

    @property
    def speedup(self) -> float | None:
        """Mean dense time over mean 2:4 time, ``None`` without both."""
        dense, sparse = (self.mean(side, lambda kernel: kernel.time_us) for side in ("dense", "sparse"))
        return dense / sparse if dense and sparse else None

    @property
    def speedup_interval(self) -> Interval | None:
        """Where a measured speedup is to be expected: as far around it, relatively, as that of each of the layers is."""
        first = next((row for row in self.rows if row.speedup and row.speedup_interval), None)
        if first is None or not self.speedup or not first.speedup or not first.speedup_interval:
            return None
        scale = self.speedup / first.speedup
        return Interval(scale * first.speedup_interval.low, scale * first.speedup_interval.high)

    def _launched(self, side: str) -> Iterator[tuple[KernelResult, int]]:
        for row in self.rows:
            kernel = {"dense": row.dense, "chosen": row.chosen}.get(side, row.sparse)
            if kernel is not None:
                yield kernel, row.count


def lines_of(rows: Sequence[LayerRow], grouped: bool = True) -> list[Line]:
    """Return the lines of ``rows``, those that take longest first."""
    found: dict[object, list[LayerRow]] = {}
    for at, row in enumerate(rows):
        key = alike(row.name, row.m, row.n, row.k, row.batch, row.dtype) if grouped else at
        found.setdefault(key, []).append(row)
    lines = [Line(common_name([row.name for row in group]), tuple(group)) for group in found.values()]
    return sorted(lines, key=lambda line: -line.total_us)
