"""One fit for all boards of a die: least squares (scipy) on the log errors of measured times.

Beside each row the fit looks at the medians of cells of board, sparsity, type and source, at the log error of 2:4 speedups,
and at how far each leaf is from where it began. Cells with few rows count more than their share, cells with many less. The
loss is pseudo-Huber, and leaves are searched by their logarithms, within bounds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.arch import Arch
from stcsim.study.calibration.calibrate import predictor, with_values
from stcsim.study.calibration.fit import Notify, optimisers
from stcsim.study.measured import Measured
from stcsim.study.validate import Predicted

HUBER = 0.04
PULL = 0.05
"""Of where a leaf began: a factor of e costs as much as so much error in one row of every hundred."""
_MEDIAN, _SPEEDUP = 2.0, 1.2  # weights of a cell's median, in square roots of its rows, and of a pair's speedup beside a row
_STEP = 0.04  # of the differences, in logarithms: large, because the choice of kernels makes steps
_INSIDE = 1.001  # a start at a bound moves so far inside
_DIGITS = 3  # that a fitted value keeps

Logs = npt.NDArray[np.float64]
"""Logarithms of the leaves' values, or of predicted over measured times."""
PredictRows = Callable[[Sequence[Measured], Arch], list[Predicted]]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One parameter: a path on all boards of a die, or on one.

    Attributes:
        path: dotted path in the tree.
        boards: names of the boards that have its value in common.
        start: where the search begins, and what it is pulled to.
        low, high: bounds, both above 0.
    """

    path: str
    boards: tuple[str, ...]
    start: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class JointFit:
    """What least squares found.

    Attributes:
        values: of each leaf.
        idle: leaves that change no prediction where the search ended.
        evaluations: how often all rows were predicted; those of a part of the boards count as whole ones.
    """

    values: dict[Leaf, float]
    idle: tuple[Leaf, ...]
    evaluations: int


def fit_jointly(
    archs: Mapping[str, Arch],
    leaves: Sequence[Leaf],
    rows: Sequence[Measured],
    steps: int,
    notify: Notify | None = None,
    jobs: int = 2,
) -> JointFit:
    """Return the values of ``leaves`` that meet ``rows`` best.

    Args:
        archs: the boards, by the names in the rows' ``arch`` column.
        leaves: what is free.
        rows: measured rows of these boards.
        steps: of least squares, at most.
        notify: called after each evaluation with how many there were and the mean absolute log error.
        jobs: processes.

    Raises:
        StcsimError: scipy is not there.
    """
    least_squares = optimisers().least_squares
    low, high = np.log([leaf.low for leaf in leaves]), np.log([leaf.high for leaf in leaves])
    starts = np.clip(np.log([leaf.start for leaf in leaves]), low + math.log(_INSIDE), high - math.log(_INSIDE))
    with predictor(jobs) as predict_rows:
        residuals = _Residuals(predict_rows, archs, leaves, rows, notify)
        found = least_squares(
            residuals, starts, jac=residuals.slopes, bounds=(low, high), loss="soft_l1", f_scale=HUBER, max_nfev=steps
        )
    values = {leaf: float(f"{value:.{_DIGITS}g}") for leaf, value in zip(leaves, np.exp(found.x), strict=True)}
    return JointFit(values, residuals.idle, residuals.evaluations)


def archs_with(archs: Mapping[str, Arch], values: Mapping[Leaf, float]) -> dict[str, Arch]:
    """Return the boards with the leaves' values in place of their own."""
    own = {name: {leaf.path: value for leaf, value in values.items() if name in leaf.boards} for name in archs}
    return {name: with_values(arch, own[name], "fit") for name, arch in archs.items()}


class _Residuals:
    """What least squares looks at, as a function of the logarithms of the leaves' values."""

    def __init__(
        self,
        predict_rows: PredictRows,
        archs: Mapping[str, Arch],
        leaves: Sequence[Leaf],
        rows: Sequence[Measured],
        notify: Notify | None,
    ) -> None:
        self.evaluations = 0
        self.idle: tuple[Leaf, ...] = ()
        self._predict_rows, self._archs, self._leaves, self._rows, self._notify = predict_rows, archs, leaves, rows, notify
        self._starts = np.log([leaf.start for leaf in leaves])
        self._cells = _groups(rows, lambda row: (row.arch, row.sparse, row.dtype, row.record.get("source")))
        self._boards = {str(name): at for (name,), at in _groups(rows, lambda row: (row.arch,)).items()}
        self._pairs = _pairs(rows)
        self._weights = np.ones(len(rows))
        for cell in self._cells.values():
            self._weights[cell] = (len(rows) / len(self._cells) / len(cell)) ** 0.25
        self._last: tuple[Logs, Logs] | None = None

    def __call__(self, logs: Logs) -> Logs:
        """Return the residuals at ``logs``."""
        errors = self._errors(logs, np.full(len(self._rows), np.nan), tuple(self._boards))
        self._last = logs.copy(), errors
        return self._of(logs, errors)

    def slopes(self, logs: Logs) -> Logs:
        """Return the residuals' derivatives: differences, for each leaf of the rows of its boards alone."""
        if self._last is None or not np.array_equal(self._last[0], logs):
            self(logs)
        assert self._last is not None
        errors, columns, idle = self._last[1], [], []
        here = self._of(logs, errors)
        for axis, leaf in enumerate(self._leaves):
            step = _STEP if logs[axis] + _STEP < math.log(leaf.high) else -_STEP
            moved = logs + step * (np.arange(len(logs)) == axis)
            changed = self._errors(moved, errors, leaf.boards)
            if np.array_equal(changed, errors):
                idle.append(leaf)
            columns.append((self._of(moved, changed) - here) / step)
        self.idle = tuple(idle)
        return np.stack(columns, axis=1)

    def _errors(self, logs: Logs, known: Logs, boards: Sequence[str]) -> Logs:
        """Return log(predicted / measured) of the rows: of ``boards`` anew, of others as ``known``."""
        values = dict(zip(self._leaves, np.exp(logs).tolist(), strict=True))
        errors = known.copy()
        for board in (name for name in boards if name in self._boards):
            at = self._boards[board]
            arch = archs_with({board: self._archs[board]}, values)[board]
            found = self._predict_rows([self._rows[row] for row in at], arch)
            errors[at] = [math.log(row.predicted_us / row.measured.time_us) for row in found]
        self.evaluations += 1
        if self._notify is not None:
            self._notify(self.evaluations, float(np.abs(errors).mean()))
        return errors

    def _of(self, logs: Logs, errors: Logs) -> Logs:
        medians = [_MEDIAN * math.sqrt(len(cell)) * float(np.median(errors[cell])) for cell in self._cells.values()]
        speedups = _SPEEDUP * (errors[self._pairs[:, 0]] - errors[self._pairs[:, 1]])
        pull = PULL * math.sqrt(len(self._rows) / 100) * (logs - self._starts)
        return np.concatenate([errors * self._weights, medians, speedups, pull])


def _groups(rows: Sequence[Measured], label: Callable[[Measured], tuple[object, ...]]) -> dict[Any, npt.NDArray[np.intp]]:
    """Return where the rows of each label stand."""
    found: dict[Any, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        found[label(row)].append(at)
    return {each: np.array(places, np.intp) for each, places in found.items()}


def _pairs(rows: Sequence[Measured]) -> npt.NDArray[np.intp]:
    """Return where the dense and the 2:4 row of each GEMM stand that has both; shape (pairs, 2)."""
    sides: dict[tuple[object, ...], dict[bool, int]] = defaultdict(dict)
    for at, row in enumerate(rows):
        sides[row.pair][row.sparse] = at
    return np.array([(both[False], both[True]) for both in sides.values() if len(both) == 2], np.intp).reshape(-1, 2)
