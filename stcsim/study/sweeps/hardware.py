"""The GPUs of a study: each of its GPUs with one change of each axis, and those that run as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError
from stcsim.study.sweeps.key import arch_digest, values_of
from stcsim.study.sweeps.spec import Axis, Change, Study
from stcsim.study.sweeps.values import once


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


class Base:
    """One GPU and what each place of each axis makes of it."""

    def __init__(self, arch: Arch, axes: Sequence[Axis]) -> None:
        """Put every place of every axis on it once."""
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


def bases_of(study: Study) -> list[Base]:
    """Return the GPUs that a study changes.

    Raises:
        StcsimError: when there is no such GPU, two have the same name, or none can take a place on an axis.
    """
    bases = [Base(load_arch(name), study.axes) for name in study.archs]
    once((base.arch.name for base in bases), "arch")
    _refuse_impossible(bases, study.axes)
    return bases


def marks_of(study: Study) -> Iterator[Hardware]:
    """Yield the GPUs that run as they are, beside the grid.

    Raises:
        StcsimError: when there is no such GPU.
    """
    for arch in map(load_arch, study.marks):
        yield Hardware(arch.name, arch, {}, (), {}, arch_digest(arch, {}), is_mark=True)


def _refuse_impossible(archs: Sequence[Base], axes: Sequence[Axis]) -> None:
    """Refuse a place that no GPU can take: it is a mistake in the study, not a property of a GPU."""
    for axis in axes:
        for change in axis.changes:
            errors = [found for base in archs if isinstance(found := base.found[change], StcsimError)]
            if len(errors) == len(archs):
                raise StcsimError(f"axes: {axis.name}", errors[0].expected, errors[0].found)
