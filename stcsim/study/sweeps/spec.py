"""A study as a frozen value: which cells there are, which of them count, and what is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stcsim.study.sweeps.criteria import Constraint, Objective
from stcsim.words import Fusion, Library

OPTIONS: dict[str, str | None] = {
    "dtype": None,
    "library": Library.CUSPARSELT.value,
    "fusion": Fusion.EPILOGUE.value,
    "duration": "sustained",
}
"""The options of a run that a study may vary, with what they are where it says nothing; the type is then the trace's own."""

SIZES = ("m", "n", "k")
Block = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Sizes of m, of n and of k."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed of a GPU in one place of an axis.

    Attributes:
        label: what the file calls it: ``"x1.5"``, ``"1:4"``, or the name of a variant.
        settings: paths of leaves and their values as ``--set`` reads them.
    """

    label: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of the grid along which GPUs change.

    Attributes:
        name: the path of a leaf, ``"variant"`` or ``"pattern"``.
        changes: its places, in the order of the file.
    """

    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """What is run: networks at each batch and length, and GEMMs.

    Attributes:
        traces: names, or paths of files.
        gemms: blocks of sizes (of m, of n, of k), in each of which every one goes with every one.
        batches: of the networks; ``None`` is the trace's own.
        lengths: tokens of the networks, likewise.
    """

    traces: tuple[str, ...]
    gemms: tuple[Block, ...]
    batches: tuple[int | None, ...] = (None,)
    lengths: tuple[int | None, ...] = (None,)

    def __len__(self) -> int:
        """Return how many there are."""
        gemms = sum(math.prod(map(len, block)) for block in self.gemms)
        return len(self.traces) * len(self.batches) * len(self.lengths) + gemms


@dataclass(frozen=True, slots=True)
class Study:
    """A whole study.

    Attributes:
        title: a sentence, or nothing.
        archs: GPUs: names, or paths of files.
        axes: along which each of these is changed.
        marks: GPUs that are run as they are beside the grid, and named in figures.
        sources: what is run.
        options: values of each of ``OPTIONS``.
        constraints: what a cell must hold to count.
        objectives: what is better.
    """

    title: str
    archs: tuple[str, ...]
    axes: tuple[Axis, ...]
    marks: tuple[str, ...]
    sources: Sources
    options: dict[str, tuple[str | None, ...]]
    constraints: tuple[Constraint, ...] = ()
    objectives: tuple[Objective, ...] = ()
