"""A million random dot products for each row of the rule table: the fast engine held against the reference, bit for bit.

The seven classes of ``draws`` share the million. The reference needs about 40 microseconds for each dot product, so all rows take
about 20 minutes of one core.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from stcsim.errors import StcsimError
from stcsim.numerics.engine import fast, reference
from stcsim.numerics.evidence.draws import CLASSES, main_rows, operands
from stcsim.processes import Notify, on_processes

COUNT, QUICK_COUNT = 1_000_000, 20_000
_SIDE = 12  # of D: the fast engine runs its vector and its scalar lanes
_TILES = 80  # of one job, at most


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One row of the rule table: its first architecture and longest instruction, dot products computed, and how many differ."""

    label: str
    dot_products: int
    differing: int


@dataclass(frozen=True, slots=True)
class Million:
    """Every row of the rule table, fast against reference."""

    rows: tuple[RuleRow, ...]

    @property
    def dot_products(self) -> int:
        """Dot products of all rows."""
        return sum(row.dot_products for row in self.rows)

    @property
    def differing(self) -> int:
        """Dot products of which the two engines say something else."""
        return sum(row.differing for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Job:
    label: str
    kind: str
    seed: int
    tiles: int


def million(count: int = COUNT, rows: str = "", jobs: int | None = None, notify: Notify | None = None) -> Million:
    """Compute at least ``count`` dot products of every row with both engines.

    Args:
        count: dot products of each row.
        rows: only rows whose label, such as ``"sm_80 mma.m16n8k16.f32.f16.f16.f32"``, contains this.
        jobs: processes, by default one for each core.
        notify: called with how much is done and how much there is.

    Raises:
        StcsimError: no row is called so.
    """
    labels = [label for label, _ in main_rows() if rows in label]
    if not labels:
        raise StcsimError("rows", "a part of the name of a row, e.g. sm_80 or e4m3", f"'{rows}'")
    wanted = -(-count // (len(CLASSES) * _SIDE * _SIDE))  # tiles of one class
    tiles = min(wanted, _TILES)
    seeds = range(-(-wanted // tiles))
    todo = [_Job(label, kind, seed, tiles) for label in labels for kind in CLASSES for seed in seeds]
    differing: Counter[str] = Counter()
    for job, wrong in zip(todo, on_processes(_differing, todo, jobs, notify), strict=True):
        differing[job.label] += wrong
    computed = len(seeds) * tiles * len(CLASSES) * _SIDE * _SIDE
    return Million(tuple(RuleRow(label, computed, differing[label]) for label in labels))


def _differing(job: _Job) -> int:
    """Return how many results of one job differ."""
    path = dict(main_rows())[job.label]
    a, b, c = operands(path, job.kind, job.tiles, _SIDE, _SIDE, job.seed)
    return int(np.count_nonzero(fast.multiply(path, a, b, c, workers=1) != reference.multiply(path, a, b, c)))
