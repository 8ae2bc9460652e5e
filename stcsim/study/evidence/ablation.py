"""What each mechanism of the timing model is worth: predictions of measured GEMMs with it and without it.

Every mechanism is switched off alone, parameters stay as they are, and a seeded sample of the grade A rows of every cell (GPU,
sparsity, type) is predicted with and without it. Nothing is fitted again: where a fit leaned on a mechanism, another one could
take over a part of its work, so a figure says what this model loses, and is no proof of the mechanism.
"""

from __future__ import annotations

import json
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.processes import Notify, on_processes
from stcsim.study.evidence import anchors, microbench
from stcsim.study.evidence.mechanisms import MECHANISMS, Mechanism
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import predict

GPUS = ("a100", "a100-pcie", "a40", "h100", "h100-pcie", "h200", "l40s", "rtx4090")
ROWS, QUICK_ROWS, SEED = 40, 2, 4
MOVED = 0.005
"""A prediction that changes by more is counted as moved."""
_CHUNK = 20

Cells = dict[str, list[Measured]]
"""Measured rows by cell, "GPU sparsity type"."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Signed relative errors of the same rows of one cell with a mechanism and without it.

    Attributes:
        mechanism: its name.
        without: what the model has instead while it is off.
        cell: the rows' "GPU sparsity type", or which published figures these are.
        kept: errors with the mechanism.
        off: errors without it, of the same rows.
    """

    mechanism: str
    without: str
    cell: str
    kept: tuple[float, ...]
    off: tuple[float, ...]

    @property
    def shift(self) -> float:
        """Mean change of a prediction."""
        return statistics.fmean(self._shifts())

    @property
    def moved(self) -> tuple[int, ...]:
        """Which rows the mechanism moves."""
        return tuple(at for at, shift in enumerate(self._shifts()) if shift > MOVED)

    @property
    def cost(self) -> float:
        """Mean absolute error that the cell gains when the mechanism is off."""
        return mean_abs(self.off) - mean_abs(self.kept)

    def _shifts(self) -> list[float]:
        return [abs((1 + off) / (1 + kept) - 1) for kept, off in zip(self.kept, self.off, strict=True)]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Every mechanism switched off alone.

    Attributes:
        rows_per_cell: how many measured rows of each cell were predicted, at most.
        seed: of their choice.
        effects: of each mechanism on each cell that it can touch, in the order of ``MECHANISMS``.
        unseen: mechanisms that show in published rates of instructions only, which were not given.
    """

    rows_per_cell: int
    seed: int
    effects: tuple[Effect, ...]
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """Rows of one cell to be predicted without a mechanism (``off``), or with what is given for it; "" for the whole model."""

    sampled_for: str
    mechanism: str
    off: bool
    rows: tuple[Measured, ...]

    @property
    def key(self) -> tuple[str, str, bool, str]:
        return self.sampled_for, self.mechanism, self.off, cell_of(self.rows[0])


def mean_abs(errors: Sequence[float]) -> float:
    """Return the mean absolute error."""
    return statistics.fmean(map(abs, errors))


def cell_of(row: Measured) -> str:
    """Return "GPU sparsity type" of a row."""
    return f"{row.arch} {'2:4' if row.sparse else 'dense'} {row.dtype}"


def sample(rows: Sequence[Measured], per_cell: int = ROWS, among: Callable[[Measured], bool] | None = None) -> Cells:
    """Return ``per_cell`` random grade A rows of every cell, always the same ones."""
    cells: Cells = defaultdict(list)
    for row in rows:
        if row.grade == "A" and (among is None or among(row)):
            cells[cell_of(row)].append(row)
    return {cell: random.Random(f"{SEED} {cell}").sample(rows, min(per_cell, len(rows))) for cell, rows in cells.items()}


def ablation(
    paths: Sequence[Path],
    rows: int = ROWS,
    only: str = "",
    gpus: Sequence[str] = GPUS,
    rates: Sequence[Path] = (),
    jobs: int | None = None,
    notify: Notify | None = None,
) -> Ablation:
    """Switch every mechanism off alone.

    Args:
        paths: measured tables, or folders of them.
        rows: rows of each cell.
        only: a part of the names of the mechanisms to switch off.
        gpus: whose rows are predicted.
        rates: published microbenchmarks, for mechanisms that no GEMM shows.
        jobs: processes, by default one for each core.
        notify: called with how much is done and how much there is.

    Raises:
        TraceError: a bad table, or no grade A row of these GPUs in it.
        StcsimError: no mechanism is called so.
    """
    chosen = [each for each in MECHANISMS if only in each.name]
    if not chosen:
        raise StcsimError("only", "a part of the name of a mechanism", f"'{only}'")
    measured = [row for row in read_measured(paths) if row.arch in gpus and row.grade == "A"]
    if not measured:
        raise TraceError(", ".join(map(str, paths)), f"rows of grade A of {', '.join(gpus)}", "none")
    samples = {each.name: sample(measured, rows, each.among) for each in chosen if each.among} | {"": sample(measured, rows)}
    effects = effects_of([each for each in chosen if each.cells], samples, jobs, notify)
    hidden = [each for each in chosen if not each.cells]
    for each in hidden:
        effects += [*(of_instructions(each, rates) if rates else ()), *of_anchors(each)]
    return Ablation(rows, SEED, tuple(effects), () if rates else tuple(each.name for each in hidden))


def effects_of(
    mechanisms: Sequence[Mechanism], samples: dict[str, Cells], jobs: int | None = None, notify: Notify | None = None
) -> list[Effect]:
    """Return the effect of each mechanism on each cell that it can touch.

    Args:
        mechanisms: each with cells.
        samples: the rows of each cell under ``""``; where a mechanism has rows of its own, those under its name.
        jobs: processes.
        notify: called with how much is done and how much there is.
    """
    tasks: dict[tuple[str, str, bool, str], list[_Task]] = {}
    effects = []
    for each in mechanisms:
        own = each.name if each.name in samples else ""
        for cell, rows in samples[own].items():
            if each.touches(cell):
                kept, off = (own, each.name if each.has_givens else "", False, cell), (own, each.name, True, cell)
                for key in (kept, off):
                    tasks.setdefault(key, [_Task(*key[:3], part) for part in _chunks(rows)])
                effects.append((each, cell, kept, off))
    todo = [task for parts in tasks.values() for task in parts]
    errors: dict[tuple[str, str, bool, str], list[float]] = defaultdict(list)
    for task, found in zip(todo, on_processes(_errors, todo, jobs, notify), strict=True):
        errors[task.key] += found
    return [Effect(each.name, each.without, cell, tuple(errors[kept]), tuple(errors[off])) for each, cell, kept, off in effects]


def _chunks(rows: Sequence[Measured]) -> list[tuple[Measured, ...]]:
    return [tuple(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]


def _errors(task: _Task) -> list[float]:
    """Predict the rows of one cell with one mechanism off, or with what is given for it."""
    gpu = task.rows[0].arch
    if not task.mechanism:
        return [predict(row, load_arch(gpu)).error for row in task.rows]
    mechanism = next(each for each in MECHANISMS if each.name == task.mechanism)
    if not task.off:
        with mechanism.given():
            return [predict(row, load_arch(gpu)).error for row in task.rows]
    arch = altered(mechanism, gpu)
    with mechanism.off():
        return [predict(mechanism.row(row), arch).error for row in task.rows]


def altered(mechanism: Mechanism, gpu: str, settings: Sequence[str] = ()) -> Arch:
    """Return a GPU with the leaves that the mechanism needs to be off."""
    return load_arch(gpu, (*settings, *_settings(mechanism, gpu)))


def _settings(mechanism: Mechanism, gpu: str) -> tuple[str, ...]:
    return tuple(f"{path}={json.dumps(value)}" for path, value in mechanism.settings(load_arch(gpu)).items())


def of_instructions(mechanism: Mechanism, rates: Sequence[Path]) -> list[Effect]:
    """Return what leaves that no GEMM row shows do to published rates of instructions, by GPU and kind; what moves only."""

    @cache
    def without(name: str) -> Arch:
        gpu, settings = microbench.GPUS[name]
        return altered(mechanism, gpu, settings)

    kept, off = _rate_errors(microbench.compare(rates)), _rate_errors(microbench.compare(rates, without))
    effects = [Effect(mechanism.name, mechanism.without, cell, tuple(kept[cell]), tuple(off[cell])) for cell in kept]
    return [each for each in effects if each.moved]


def _rate_errors(found: microbench.PublishedRates) -> dict[str, list[float]]:
    """Return the errors of FMA/clk/SM, by GPU and kind."""
    errors: dict[str, list[float]] = defaultdict(list)
    for each in found.compared:
        if each.figure == "FMA/clk/SM":
            errors[f"{each.gpu}, rate of {each.instruction.split('.m')[0]}"].append(each.error)
    return errors


def of_anchors(mechanism: Mechanism) -> Iterator[Effect]:
    """Yield what they do to published anchors; what moves only."""
    for anchor in anchors.ANCHORS:
        without = replace(anchor, settings=anchor.settings + _settings(mechanism, anchor.gpu))
        kept, off = (anchors.Compared(each, anchors.predicted(each)).difference for each in (anchor, without))
        cell = f"anchor: {anchor.gpu} {anchor.what} {anchor.dtype}"
        effect = Effect(mechanism.name, mechanism.without, cell, (kept or 0,), (off or 0,))
        if effect.moved:
            yield effect
