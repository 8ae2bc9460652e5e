"""Why two saved results differ: what was changed, and what each change does, simulated one after the other.

The way from the old result to the new one is walked in a fixed order: the version of stcsim (the old inputs, run again now), the
GPU (leaf by leaf, or as a whole where it is another die), the work (network, batch, sizes), and the options. Each stop is a run,
so that the differences add up to the whole; another order would share them out otherwise where two changes act together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stcsim import replay
from stcsim.arch import Arch, arch_from_dict, load_arch
from stcsim.errors import ArchError, StcsimError
from stcsim.processes import Notify
from stcsim.result import LayerRow, RunResult, Totals
from stcsim.study.comparison.changes import OPTIONS, Change, changes_of, leaves_changed, option_of, shown, value_text, work_text
from stcsim.trace.names import common_name, kind_of
from stcsim.version import __version__

FIGURES = ("dense_us", "sparse_us", "best_us", "dense_uj", "sparse_uj", "best_uj")
"""What is looked at to say whether a change moves anything."""
LEAST = 5e-5
"""A change of a smaller share is none."""
_WORK = ("trace", "trace_sha256", "batch", "gemm")
_MOST_LEAVES = 16
"""Where more differ, they are changed section by section."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A run on the way: what was changed last, in words, and the totals from there on."""

    what: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class Step:
    """One change on the way: the totals before it and after it."""

    what: str
    before: Totals
    after: Totals

    @property
    def moves(self) -> bool:
        """Whether it changes a time or an energy by anything worth a word."""
        return any(abs(share) >= LEAST for name in FIGURES if (share := self.share(name)) is not None)

    def share(self, name: str) -> float | None:
        """Return by which share a figure of the totals changes; ``None`` where one of the two has none."""
        before, after = getattr(self.before, name), getattr(self.after, name)
        return after / before - 1 if before and after else None


@dataclass(frozen=True, slots=True)
class LayerChange:
    """Alike layers whose time in the network differs: names that differ in their numbers only, and one kernel in each result.

    Attributes:
        name: of the layer, with ``*`` for numbers in which several differ.
        layers: how many they are.
        before_us: time of all launches in the old result, as chosen there; ``None`` where it has no such layer.
        after_us: in the new one.
        kernel_before: what ran.
        kernel_after: what runs now.
    """

    name: str
    layers: int
    before_us: float | None
    after_us: float | None
    kernel_before: str
    kernel_after: str

    @property
    def by_us(self) -> float:
        """How much longer they take."""
        return (self.after_us or 0.0) - (self.before_us or 0.0)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two results, what differs between them, and what each of that does.

    Attributes:
        names: of the two files.
        old: the first result.
        new: the second.
        changes: everything that differs in the inputs.
        stops: the old result first, the new one last, and a run after each change between.
        layers: whose times differ, the largest difference first.
    """

    names: tuple[str, str]
    old: RunResult
    new: RunResult
    changes: tuple[Change, ...]
    stops: tuple[Stop, ...]
    layers: tuple[LayerChange, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The changes on the way from the old result to the new one."""
        return tuple(Step(b.what, a.totals, b.totals) for a, b in zip(self.stops, self.stops[1:], strict=False))

    @property
    def whole(self) -> Step:
        """All of them together."""
        return Step(self.names[1], self.old.totals, self.new.totals)


def difference_of(
    old: RunResult, new: RunResult, names: tuple[str, str] = ("old", "new"), progress: Notify | None = None
) -> Difference:
    """Say what differs between two results and what each change does.

    Args:
        old: the first.
        new: the second.
        names: what to call them.
        progress: called with (runs done, runs in all).

    Raises:
        StcsimError: a network held against a single GEMM, or inputs that this version refuses.
    """
    if ("gemm" in old.inputs) != ("gemm" in new.inputs):
        raise StcsimError(f"{names[0]} {names[1]}", "two results of networks, or two of GEMMs", "one of each")
    way = list(_way(old.inputs, new.inputs))
    stops = [Stop(names[0], old.totals), *_stops(way, names, progress), Stop(_arrival(new), new.totals)]
    return Difference(names, old, new, tuple(changes_of(old.inputs, new.inputs)), tuple(stops), _layers(old, new))


def _arrival(new: RunResult) -> str:
    made = new.inputs.get("version")
    return "as saved" if made == __version__ else f"stcsim {__version__} → {made}"


def _stops(way: Sequence[tuple[str, dict[str, Any]]], names: tuple[str, str], progress: Notify | None) -> Iterator[Stop]:
    """Yield the runs on the way; what cannot be run before another change is made waits for that one."""
    waiting: list[str] = []
    for at, (what, inputs) in enumerate(way):
        waiting.append(what)
        try:
            totals = replay.rerun(inputs).totals
        except StcsimError as error:
            if 0 < at < len(way) - 1:
                continue
            raise StcsimError(f"{names[at > 0]}: {error.where}", error.expected, error.found) from None
        yield Stop(", ".join(waiting), totals)
        waiting = []
        if progress is not None:
            progress(at + 1, len(way))


def _way(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is changed next and the inputs from there on."""
    here = dict(old)
    made = old.get("version")
    yield (f"run again by stcsim {__version__}" if made == __version__ else f"stcsim {made} → {__version__}"), here
    for what, arch in _gpus(arch_from_dict(old["arch"]), arch_from_dict(new["arch"])):
        here = {**here, "arch": arch.to_dict()}
        yield what, here
    if what := work_text(old, new):
        here = {name: each for name, each in here.items() if name not in _WORK}
        here |= {name: new[name] for name in _WORK if name in new}
        yield what, here
    for name in OPTIONS:
        before, after = option_of(old, name), option_of(new, name)
        if before != after:
            here = {**here, name: after}
            yield f"{name} {shown(before)} → {shown(after)}", here


def _gpus(old: Arch, new: Arch) -> Iterator[tuple[str, Arch]]:
    """Yield the GPUs on the way from one to another, with what was changed last."""
    paths = leaves_changed(old, new)
    if old.die != new.die:
        yield f"{old.name} → {new.name}", new
        return
    here, waiting = old, dict[str, object]()
    for group in _groups(paths):
        waiting |= {path: _plain(new, path) for path in group}
        try:
            here = load_arch(here, waiting)
        except ArchError:  # some leaves only fit together: they wait for the next
            continue
        yield _leaves_text(old, new, list(waiting)), here
        waiting = {}
    if waiting:
        yield _leaves_text(old, new, list(waiting)), new


def _groups(paths: list[str]) -> list[list[str]]:
    """Return the leaves that are changed at once: each alone, or those of a section where there are many."""
    if len(paths) <= _MOST_LEAVES:
        return [["sm.count", "sm.sms_per_gpc"] if path == "sm.count" and "sm.sms_per_gpc" in paths else [path]
                for path in paths if path != "sm.sms_per_gpc" or "sm.count" not in paths]  # fmt: skip
    sections = dict.fromkeys(path.split(".")[0] for path in paths)
    return [[path for path in paths if path.startswith(f"{section}.")] for section in sections]


def _plain(arch: Arch, path: str) -> object:
    value = arch.value(path)
    return list(value) if isinstance(value, tuple) else value


def _leaves_text(old: Arch, new: Arch, paths: list[str]) -> str:
    if "sm.count" in paths:  # the GPCs follow from it
        paths = [path for path in paths if path != "sm.sms_per_gpc"]
    if len(paths) > 2:
        return f"{len(paths)} numbers of {', '.join(dict.fromkeys(path.split('.')[0] for path in paths))}"
    return ", ".join(f"{path} {value_text(old, path)} → {value_text(new, path)}" for path in paths)


def _layers(old: RunResult, new: RunResult) -> tuple[LayerChange, ...]:
    """Return the layers whose times differ, alike ones together, the largest difference first; a layer is known by its name."""
    before, after = ({row.name: row for row in result.rows} for result in (old, new))
    alike: dict[tuple[str, str, str], list[str]] = {}
    for name in dict.fromkeys([*before, *after]):
        kernels = [rows[name].chosen.kernel if name in rows else "" for rows in (before, after)]
        alike.setdefault((kind_of(name), kernels[0], kernels[1]), []).append(name)
    found = [
        LayerChange(common_name(names), len(names), _sum_us(before, names), _sum_us(after, names), *kernels)
        for (_, *kernels), names in alike.items()
    ]
    return tuple(sorted((layer for layer in found if layer.by_us), key=lambda layer: -abs(layer.by_us)))


def _sum_us(rows: Mapping[str, LayerRow], names: Sequence[str]) -> float | None:
    known = [rows[name].count * rows[name].chosen.time_us for name in names if name in rows]
    return math.fsum(known) if known else None
