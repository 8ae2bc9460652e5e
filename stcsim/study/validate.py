"""Validation: predict every measured row and say how far off the model is, with a plain roofline beside it."""

from __future__ import annotations

import math
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from stcsim.arch import Arch, ArchOrName, arch_names, load_arch
from stcsim.errors import TraceError, UnsupportedError, quoted
from stcsim.isa import dtype
from stcsim.processes import on_processes
from stcsim.result import Interval
from stcsim.study.measured import Measured, read_measured
from stcsim.timing.board.duration import Duration
from stcsim.timing.board.setup import Setup, launch_us
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.select import HEURISTIC
from stcsim.timing.problem import gemm_problem
from stcsim.trust.accuracy import Known, error_model
from stcsim.version import __version__
from stcsim.words import path_of, size, text

Progress = Callable[[int, int], None]

_BATCH = 16
"""Rows that a process predicts at a time."""
_WORTH_PROCESSES = 64
"""Rows from which on processes are worth their start."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A measured row with its prediction; the launch is in both ``predicted_us`` and ``roofline_us``.

    ``likely`` should hold 80 % of measurements like it (``validate`` fills it in).
    """

    measured: Measured
    predicted_us: float
    roofline_us: float
    kernel: str
    most_time: str
    likely: Interval | None = None

    @property
    def error(self) -> float:
        """Signed relative error of the simulation."""
        return self.predicted_us / self.measured.time_us - 1

    @property
    def roofline_error(self) -> float:
        """Signed relative error of the plain roofline."""
        return self.roofline_us / self.measured.time_us - 1


@dataclass(frozen=True, slots=True)
class Cell:
    """Errors of a group of rows, as fractions (0.08 is 8 %).

    Attributes:
        label: what the group shares, e.g. ``("a100", "dense", "bf16", "A")``.
        mean_abs, median, p90_abs: of the simulation. roofline_*: of the plain roofline.
    """

    label: tuple[str, ...]
    count: int
    mean_abs: float
    median: float
    p90_abs: float
    roofline_mean_abs: float
    roofline_median: float
    roofline_p90_abs: float


@dataclass(frozen=True, slots=True)
class SpeedupCell:
    """Mean absolute error of the 2:4 speedup (dense time over 2:4 time) where both sides were measured."""

    label: tuple[str, ...]
    count: int
    mean_abs: float
    bias: float
    roofline_mean_abs: float


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """All of it.

    Attributes:
        cells: by GPU, sparsity, type and grade.
        sizes: by GPU, sparsity and decade of operations (grade A).
        speedups: by GPU, type and grade.
        rows: every row.
        inputs: the paths, every GPU with all its leaves, and the grades asked for.
    """

    cells: tuple[Cell, ...]
    sizes: tuple[Cell, ...]
    speedups: tuple[SpeedupCell, ...]
    rows: tuple[Predicted, ...]
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> tuple[tuple[Predicted, Predicted], ...]:
        """(dense, 2:4) of each GEMM where both were measured."""
        return pairs_of(self.rows)


def validate(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    arch: ArchOrName | None = None,
    progress: Progress | None = None,
    jobs: int | None = None,
    grades: str = "",
) -> ValidationReport:
    """Predict every row of the measured tables in ``paths``.

    Args:
        paths: CSV files or folders of them, one or several.
        arch: use this GPU, or the one of this name or file, and only the rows whose ``arch`` column carries its name.
        progress: called with (rows done, rows in all).
        jobs: processes; all cores by default.
        grades: letters of the grades to use; all by default.

    Raises:
        TraceError: a bad table, or no row left to predict.
        ArchError: there is no such GPU.
    """
    files = [path_of(each, "paths") for each in ([paths] if isinstance(paths, str | PathLike) else _several(paths))]
    arch, jobs = None if arch is None else load_arch(arch), (os.cpu_count() or 1) if jobs is None else size(jobs, "jobs")
    grades = text(grades, "grades", "letters of grades, e.g. 'AB'")
    found = read_measured(files)
    rows = [row for row in found if (arch is None or row.arch == arch.name) and (not grades or row.grade in grades.upper())]
    if not rows:
        of_grade = f" of grade {' or '.join(grades.upper())}" if grades else ""
        wanted = f"rows of {arch.name if arch else 'a known GPU'}{of_grade}"
        raise TraceError(", ".join(map(str, files)), wanted, "none")
    archs = {row.arch: arch or _arch_of(row) for row in rows}
    for row in rows:
        check_row(row, archs[row.arch])
    predicted = predict_all(rows, archs, progress, jobs)
    known = {name: error_model().known(each) for name, each in archs.items()}
    report = summarise([replace(row, likely=_likely(row, known[row.measured.arch])) for row in predicted])
    trees = {name: each.to_dict() for name, each in archs.items()}
    inputs = {"paths": list(map(str, files)), "archs": trees, "grades": grades, "version": __version__}
    return replace(report, inputs=inputs)


def _several(paths: object) -> list[object]:
    try:
        return list(paths)  # type: ignore[call-overload,no-any-return]
    except TypeError:
        raise UnsupportedError("paths", "the path of a table or folder, or several", quoted(paths)) from None


def _likely(row: Predicted, known: Known) -> Interval:
    measured = row.measured
    return error_model().of_time(known, measured.sparse, dtype(measured.dtype), measured.flops).of(row.predicted_us)


def _arch_of(row: Measured) -> Arch:
    if row.arch not in arch_names():
        raise TraceError(f"{row.where}: arch", f"one of {', '.join(arch_names())}", f"'{row.arch}'")
    return load_arch(row.arch)


def check_row(row: Measured, arch: Arch) -> None:
    """Refuse a row whose type or sparsity the GPU does not have, naming its line.

    Raises:
        TraceError: with the row's file and line.
    """
    try:
        arch.require(row.dtype, row.sparse)
    except UnsupportedError as error:
        raise TraceError(row.where, error.expected, error.found) from None


def predict_all(rows: Sequence[Measured], archs: dict[str, Arch], progress: Progress | None, jobs: int) -> list[Predicted]:
    """Predict ``rows`` on ``jobs`` processes; the result does not depend on their number."""
    batches = [(rows[i : i + _BATCH], archs) for i in range(0, len(rows), _BATCH)]
    done: list[Predicted] = []
    for part in on_processes(_predict_batch, batches, 1 if len(rows) < _WORTH_PROCESSES else jobs):
        done += part
        if progress is not None:
            progress(len(done), len(rows))
    return done


def _predict_batch(batch: tuple[Sequence[Measured], dict[str, Arch]]) -> list[Predicted]:
    rows, archs = batch
    return [predict(row, archs[row.arch]) for row in rows]


def predict(row: Measured, arch: Arch) -> Predicted:
    """Predict one measured row on ``arch``; its timing mode, output type and warm weights are honoured."""
    warm, copies = row.weight_copies > 0, max(row.weight_copies, 1)
    element = arch.element(row.dtype)
    problem = gemm_problem(row.m, row.n, row.k, element, row.batch, row.out_dtype, warm, weight_copies=copies)
    kernel = HEURISTIC if row.by_heuristic else None
    setup = Setup(arch, launch=row.timing, kernel=kernel, duration=Duration(row.launches, row.launches_before), data=row.data)
    result = time_gemm(setup, problem, row.sparse)
    roofline_us = result.roofline_us + launch_us(arch, row.timing)
    return Predicted(row, result.time_us, roofline_us, result.kernel, result.most_time)


def summarise(rows: Sequence[Predicted]) -> ValidationReport:
    """Group predictions into cells, size classes and speedups."""
    cells, sizes = defaultdict(list), defaultdict(list)
    for row in rows:
        m = row.measured
        mode = "2:4" if m.sparse else "dense"
        cells[(m.arch, mode, m.record.get("dtype", m.dtype), m.grade)].append(row)
        if m.grade == "A":
            sizes[(m.arch, mode, f"10^{int(math.log10(m.flops))}")].append(row)
    ordered = sorted(sizes.items(), key=lambda item: (*item[0][:2], int(item[0][2][3:])))
    return ValidationReport(
        tuple(_cell(label, group) for label, group in sorted(cells.items(), key=lambda item: (item[0][3], item[0]))),
        tuple(_cell(label, group) for label, group in ordered),
        _speedups(rows),
        tuple(rows),
    )


def _cell(label: tuple[str, ...], rows: Sequence[Predicted]) -> Cell:
    errors, roofline = [row.error for row in rows], [row.roofline_error for row in rows]
    return Cell(label, len(rows), *spread(errors), *spread(roofline))


def spread(errors: Sequence[float]) -> tuple[float, float, float]:
    """Return (mean absolute, median, 90th percentile of the absolute) error."""
    sizes = sorted(abs(error) for error in errors)
    position = 0.9 * (len(sizes) - 1)
    low = math.floor(position)
    high = min(low + 1, len(sizes) - 1)
    p90 = sizes[low] + (sizes[high] - sizes[low]) * (position - low)
    return statistics.fmean(sizes), statistics.median(errors), p90


def pairs_of(rows: Sequence[Predicted]) -> tuple[tuple[Predicted, Predicted], ...]:
    """Return (dense, 2:4) of each GEMM among ``rows`` where both were measured."""
    sides: dict[tuple[object, ...], dict[bool, Predicted]] = defaultdict(dict)
    for row in rows:
        sides[row.measured.pair][row.measured.sparse] = row
    return tuple((both[False], both[True]) for both in sides.values() if len(both) == 2)


def _speedups(rows: Sequence[Predicted]) -> tuple[SpeedupCell, ...]:
    errors: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for dense, sparse in pairs_of(rows):
        measured = dense.measured.time_us / sparse.measured.time_us
        label = (dense.measured.arch, dense.measured.record.get("dtype", dense.measured.dtype), dense.measured.grade)
        errors[label].append(
            (dense.predicted_us / sparse.predicted_us - measured, dense.roofline_us / sparse.roofline_us - measured)
        )
    return tuple(
        SpeedupCell(
            label,
            len(group),
            statistics.fmean(abs(model) for model, _ in group),
            statistics.median(model for model, _ in group),
            statistics.fmean(abs(roof) for _, roof in group),
        )
        for label, group in sorted(errors.items(), key=lambda item: (item[0][2], item[0]))
    )
