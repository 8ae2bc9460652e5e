"""The cells of a study: every GPU as it is changed, with everything that is run on it, in every way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError
from stcsim.study.sweeps.key import arch_digest, digest, model, values_of
from stcsim.study.sweeps.spec import OPTIONS, SIZES, Axis, Change, Study
from stcsim.trace import Trace, load_trace
from stcsim.trace.rescale.lengths import at_length

MOST_CELLS = 200_000
"""Cells of a study; what has more is to be searched, not enumerated."""
_DEFAULT_TYPE = "fp16"


@dataclass(frozen=True, slots=True)
class Hardware:
    """One GPU of a study, as it is or changed.

    Attributes:
        arch: its name.
        base: the GPU that is changed.
        places: where it stands on each axis, by name; nothing of one that is run beside the grid.
        settings: paths of leaves and values that change something, as ``--set`` reads them.
        changed: the values of all leaves that differ from the base.
        digest: of all its values.
        error: why there is no such GPU, as parts of a sentence; ``None`` where there is one.
        is_mark: whether it is run as it is, beside the grid.
    """

    arch: str
    base: Arch
    places: Mapping[str, str]
    settings: tuple[str, ...]
    changed: Mapping[str, object]
    digest: str
    error: StcsimError | None = None
    is_mark: bool = False

    def value(self, leaf: str) -> object:
        """Return the value of a leaf."""
        return self.changed[leaf] if leaf in self.changed else self.base.value(leaf)


@dataclass(frozen=True, slots=True)
class Source:
    """What is run: a network at its batch and length, or a GEMM.

    Attributes:
        content: the trace, or sizes (m, n, k).
        digest: of it.
        columns: what a row says of it: ``trace``, ``batch`` and ``seq``, or ``m``, ``n`` and ``k``.
        error: why a network cannot be brought to its batch or length.
    """

    content: Trace | tuple[int, int, int] | None
    digest: str
    columns: Mapping[str, object]
    error: StcsimError | None = None

    @property
    def dtype(self) -> str:
        """The type in which it is run unless a study says otherwise."""
        return self.content.dtype if isinstance(self.content, Trace) else _DEFAULT_TYPE


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
    options: Mapping[str, str]
    key: str

    @property
    def error(self) -> StcsimError | None:
        """Why it cannot be run at all, known without running it."""
        return self.hardware.error or self.source.error


class Grid:
    """All cells of a study in one order; none is built before it is asked for."""

    def __init__(self, study: Study) -> None:
        """Load GPUs and networks, and put every place of every axis on every GPU once.

        Raises:
            StcsimError: too many cells, a GPU or network that does not exist, or a place that no GPU can take.
        """
        self.study = study
        self._count = count(study)
        self._sources = list(_sources(study))
        self._archs = [_Base(load_arch(name), study.axes) for name in study.archs]
        self._marks = [load_arch(name) for name in study.marks]
        _refuse_impossible(self._archs, study.axes)

    def __len__(self) -> int:
        """Return how many cells there are, those that constraints leave out among them."""
        return self._count

    def __iter__(self) -> Iterator[Cell]:
        """Yield the cells that constraints on GPUs allow: GPU by GPU, each network or GEMM on it, every option innermost."""
        options = list(_options(self.study))
        for hardware in self._hardware():
            if all(each.holds(hardware.value(each.name)) for each in self.study.constraints if each.of_gpu):
                yield from (_cell(hardware, source, how) for source in self._sources for how in options)

    def _hardware(self) -> Iterator[Hardware]:
        for base in self._archs:
            yield from map(base.changed, product(*(axis.changes for axis in self.study.axes)))
        for arch in self._marks:
            yield Hardware(arch.name, arch, {}, (), {}, arch_digest(arch, {}), is_mark=True)


def count(study: Study) -> int:
    """Return how many cells a study has, without building one.

    Raises:
        StcsimError: when there are more than can be enumerated.
    """
    places = math.prod(len(axis.changes) for axis in study.axes)
    ways = math.prod(len(values) for values in study.options.values())
    cells = (len(study.archs) * places + len(study.marks)) * len(study.sources) * ways
    if cells > MOST_CELLS:
        raise StcsimError("study", f"at most {MOST_CELLS:,} cells (fewer values, or several studies)", f"{cells:,}")
    return cells


class _Base:
    """One GPU and what each place of each axis makes of it."""

    def __init__(self, arch: Arch, axes: Sequence[Axis]) -> None:
        self.arch = arch
        self._axes = axes
        self._values = values_of(arch)
        self.found = {change: self._place(change) for axis in axes for change in axis.changes}

    def changed(self, changes: Sequence[Change]) -> Hardware:
        """Return the GPU with one change of each axis."""
        places = {axis.name: change.label for axis, change in zip(self._axes, changes, strict=True)}
        values: dict[str, object] = {}
        settings: list[str] = []
        error = None
        for change in changes:
            found = self.found[change]
            if isinstance(found, StcsimError):
                error = error or found
            elif found:
                values |= found
                settings += [f"{leaf}={text}" for leaf, text in change.settings]
        return Hardware(
            self.arch.name, self.arch, places, tuple(settings), values, "" if error else arch_digest(self.arch, values), error
        )

    def _place(self, change: Change) -> dict[str, object] | StcsimError:
        """Return the values of the leaves that differ, or why there is no such GPU."""
        try:
            arch = load_arch(self.arch, [f"{leaf}={text}" for leaf, text in change.settings])
        except StcsimError as error:
            return error
        return {leaf: value for leaf, value in values_of(arch).items() if self._values.get(leaf) != value}


def _refuse_impossible(archs: Sequence[_Base], axes: Sequence[Axis]) -> None:
    """Refuse a place that no GPU can take: it is a mistake in the study, not a property of a GPU."""
    for axis in axes:
        for change in axis.changes:
            errors = [found for base in archs if isinstance(found := base.found[change], StcsimError)]
            if len(errors) == len(archs):
                raise StcsimError(f"axes: {axis.name}", errors[0].expected, errors[0].found)


def _sources(study: Study) -> Iterator[Source]:
    sources = study.sources
    for name in sources.traces:
        trace = load_trace(name)
        for batch, length in product(sources.batches, sources.lengths):
            yield _network(trace, batch, length)
    for sizes in (sizes for block in sources.gemms for sizes in product(*block)):
        yield Source(sizes, digest(sizes), dict(zip(SIZES, sizes, strict=True)))


def _network(trace: Trace, batch: int | None, length: int | None) -> Source:
    columns: dict[str, object] = {"trace": trace.name, "batch": batch or trace.batch}
    columns |= {"seq": length} if length else {}
    try:
        scaled = trace if batch is None else trace.with_batch(batch)
        scaled = scaled if length is None else at_length(scaled, "tokens", length)
    except StcsimError as error:
        return Source(None, "", columns, error)
    return Source(scaled, scaled.sha256, columns)


def _options(study: Study) -> Iterator[dict[str, str]]:
    for values in product(*(study.options[name] for name in OPTIONS)):
        yield {name: value for name, value in zip(OPTIONS, values, strict=True) if value is not None}


def _cell(hardware: Hardware, source: Source, options: dict[str, str]) -> Cell:
    how = {"dtype": source.dtype, **options}
    if not isinstance(source.content, Trace):
        how.pop("fusion", None)  # one GEMM has nothing to fuse
    return Cell(hardware, source, how, digest([model(), hardware.digest, source.digest, how]))
