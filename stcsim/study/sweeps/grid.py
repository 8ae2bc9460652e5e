"""The cells of a study: every GPU as it is changed, with everything that is run on it, in every way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from stcsim.errors import StcsimError
from stcsim.study.sweeps.hardware import Hardware, bases_of, marks_of
from stcsim.study.sweeps.key import digest, model
from stcsim.study.sweeps.sources import Source, sources_of
from stcsim.study.sweeps.spec import OPTIONS, Study
from stcsim.trace import Trace

MOST_CELLS = 200_000
"""Cells of a study; a space that has more is searched, not enumerated."""

Options = Mapping[str, str]
"""Options of a run by name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a GPU, what runs on it, and how.

    Attributes:
        hardware: the GPU.
        source: what runs.
        options: of the run, by name; those left out have their defaults.
        key: hash of all that decides the answer.
    """

    hardware: Hardware
    source: Source
    options: Options
    key: str

    @property
    def error(self) -> StcsimError | None:
        """Why it cannot be run at all, known without running it."""
        return self.hardware.error or self.source.error


class Space:
    """The GPUs of a study, what runs on them, and how: what its cells are made of."""

    def __init__(self, study: Study) -> None:
        """Load GPUs and networks, and put every place of every axis on every GPU once.

        Raises:
            StcsimError: a GPU or network that does not exist, or a place that no GPU can take.
        """
        self.study = study
        self.bases = bases_of(study)
        self.marks = list(marks_of(study))
        self.sources = list(sources_of(study))
        self.ways = list(_ways(study))

    def allows(self, hardware: Hardware) -> bool:
        """Say whether a GPU meets the constraints that speak of GPUs."""
        return all(each.holds(hardware.value(each.name)) for each in self.study.constraints if each.of_gpu)

    def cells(self, hardware: Hardware, ways: Iterable[Options]) -> Iterator[Cell]:
        """Yield the cells of one GPU: each network or GEMM on it, every way innermost."""
        ways = list(ways)
        return (_cell(hardware, source, way) for source in self.sources for way in ways)


class Grid(Space):
    """All cells of a study in one order; none is built before it is asked for."""

    def __init__(self, study: Study) -> None:
        """Count the cells, then load GPUs and networks.

        Raises:
            StcsimError: too many cells, or as :class:`Space`.
        """
        self._count = count(study)
        super().__init__(study)

    def __len__(self) -> int:
        """Return how many cells there are, those that constraints leave out among them."""
        return self._count

    def __iter__(self) -> Iterator[Cell]:
        """Yield the cells that constraints on GPUs allow, GPU by GPU, and last those beside the grid."""
        for hardware in filter(self.allows, self._hardware()):
            yield from self.cells(hardware, self.ways)

    def _hardware(self) -> Iterator[Hardware]:
        for base in self.bases:
            yield from map(base.changed, product(*(axis.changes for axis in self.study.axes)))
        yield from self.marks


def count(study: Study) -> int:
    """Return how many cells a study has, without building one.

    Raises:
        StcsimError: when there are more than can be enumerated.
    """
    places = math.prod(len(axis.changes) for axis in study.axes)
    ways = math.prod(len(values) for values in study.options.values())
    cells = (len(study.archs) * places + len(study.marks)) * len(study.sources) * ways
    if cells > MOST_CELLS:
        expected = f"at most {MOST_CELLS:,} cells (fewer values, several studies, or stcsim study search)"
        raise StcsimError("study", expected, f"{cells:,}")
    return cells


def _ways(study: Study) -> Iterator[Options]:
    for values in product(*(study.options[name] for name in OPTIONS)):
        yield {name: value for name, value in zip(OPTIONS, values, strict=True) if value is not None}


def _cell(hardware: Hardware, source: Source, way: Options) -> Cell:
    options = {"dtype": source.dtype, **way}
    if not isinstance(source.content, Trace):
        options.pop("fusion", None)  # one GEMM has nothing to fuse
    return Cell(hardware, source, options, digest([model(), hardware.digest, source.digest, options]))
