"""Do the parameters belong to the die or to the rows: one board fitted, its sibling predicted.

One board of a die is calibrated from neutral values on its own rows alone, and its sibling is predicted with nothing changed but
what vendors and microbenchmarks say of that board: SMs, memory, power limit, clocks. No row of the sibling, and so no 2:4 row at
all, has a part in it. What is left of the shipped parameters' knowledge is the model itself: its catalogue was made with all rows
in sight.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.study.calibration.calibrate import Calibration, calibrate, predictor, with_values
from stcsim.study.calibration.fit import PARAMETERS
from stcsim.study.measured import read_measured
from stcsim.study.validate import Predicted, spread

SIBLINGS = (("a100", "a100-pcie"), ("h100", "h100-pcie"))
ROWS, EVALUATIONS, SEED = 120, 300, 4
QUICK_BOARDS, QUICK_ROWS, QUICK_EVALUATIONS = ("a100",), 12, 25

FROM_MICROBENCHMARKS = {"tensor_core.issue_efficiency", "tensor_core.sparse_min_issue_cycles"}
#: Leaves that no row of the fitted boards shows, with what is assumed of them: as dense, and energy with the bits.
ASSUMED = {"power.sparse_mac_ratio": 1.0, "power.half_width_ratio": 0.5, "power.integer_mac_ratio": 0.5}
#: Leaves that are free here beside the usual parameters.
BOUNDS = {"kernel.gemv_start_fraction": (0.05, 1.0)}


Notify = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows predicted twice: with the parameters that ship, and with those of one board alone.

    Attributes:
        role: ``fitted``, ``held out`` (other rows of the board that was fitted) or ``never seen`` (its sibling).
        shipped: by the parameters that ship.
        alone: by those of the one board.
    """

    role: str
    shipped: tuple[Predicted, ...]
    alone: tuple[Predicted, ...]


@dataclass(frozen=True, slots=True)
class CellErrors:
    """Errors of the rows of one GPU, sparsity and type.

    Attributes:
        gpu: its name.
        sparsity: ``dense`` or ``2:4``.
        dtype: element type of the inputs.
        role: as of :class:`Part`.
        rows: how many.
        shipped: mean absolute error, median, and 90th percentile of the absolute, of the parameters that ship; fractions.
        alone: the same of the parameters of one board.
    """

    gpu: str
    sparsity: str
    dtype: str
    role: str
    rows: int
    shipped: tuple[float, float, float]
    alone: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class FittedValue:
    """One leaf that was fitted: its neutral value, what the one board says, what ships, and why it may be neither."""

    path: str
    neutral: float
    alone: float
    shipped: float
    note: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A board that was calibrated alone, and what its parameters say of itself and of its sibling."""

    fit: Calibration
    parts: tuple[Part, ...]

    @property
    def cells(self) -> tuple[CellErrors, ...]:
        """The errors by GPU, sparsity and type."""
        return tuple(each for part in self.parts for each in _cells(part))

    @property
    def parameters(self) -> tuple[FittedValue, ...]:
        """Where each parameter began and ended, and what ships."""
        start, values, idle = neutral(self.fit.start.name), self.fit.fit.values, self.fit.fit.idle
        shipped = load_arch(self.fit.start.name)
        return tuple(
            FittedValue(path, first, values.get(path, first), float(str(shipped.value(path))), _note(path, idle))
            for path, first in start.items()
        )

    @property
    def unseen(self) -> tuple[Predicted, ...]:
        """The sibling's rows, predicted by the other board's parameters."""
        return next(part.alone for part in self.parts if part.role == "never seen")


def _cells(part: Part) -> list[CellErrors]:
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for shipped, alone in zip(part.shipped, part.alone, strict=True):
        row = shipped.measured
        groups[row.arch, "2:4" if row.sparse else "dense", row.dtype].append((shipped.error, alone.error))
    return [
        CellErrors(*cell, part.role, len(errors), *(spread(side) for side in zip(*errors, strict=True)))
        for cell, errors in sorted(groups.items())
    ]


def _note(path: str, idle: Sequence[str]) -> str:
    return "assumed" if path in ASSUMED else "no row shows it" if path in idle else ""


def neutral(board: str) -> dict[str, float]:
    """Return values for all that GEMM times of any board have decided on ``board``.

    A clock is the highest one (what holds it down is the power limit), a share is the middle of its bounds, and everything else
    their geometric middle.

    Raises:
        StcsimError: for a fitted leaf without bounds.
    """
    arch = load_arch(board)
    bounds = {each.path: (each.low, each.high) for each in (parameter.range_on(arch) for parameter in PARAMETERS)} | BOUNDS
    fitted = [leaf.path for leaf in arch.leaves() if leaf.kind == "fitted" and leaf.path not in FROM_MICROBENCHMARKS]
    unknown = [path for path in fitted if path not in bounds | ASSUMED]
    if unknown:
        raise StcsimError(board, "bounds of every fitted leaf, for a neutral value", f"none of {', '.join(unknown)}")
    known = ASSUMED | {"clock.sustained_mhz": arch.clock.boost_mhz}
    return {path: known[path] if path in known else _middle(*bounds[path]) for path in fitted}


def _middle(low: float, high: float) -> float:
    share = high <= 1
    return float(f"{(low + high) / 2 if share else math.sqrt(low * high):.4g}")


def fit_one(board: str, paths: Sequence[Path], rows: int, evaluations: int, notify: Notify | None, jobs: int) -> Calibration:
    """Calibrate ``board`` on its own rows of the tables at ``paths``, from neutral values."""
    start = neutral(board)
    usual = {each.path for each in PARAMETERS}
    return calibrate(
        board,
        list(paths),
        [f"{path}={value}" for path, value in start.items()],
        [path for path in start if path in usual and path not in ASSUMED],
        seed=SEED,
        evaluations=evaluations,
        rows=rows,
        notify=notify,
        jobs=jobs,
        bounds={path: ends for path, ends in BOUNDS.items() if path in start},
    )


def transferred(board: Arch, sibling: str) -> Arch:
    """Return ``sibling`` with all of ``board`` but what a vendor or a microbenchmark says of the sibling.

    How its SMs stand in GPCs stays the sibling's too, and a clock that was fitted carries over as its share of boost.
    """
    shipped, free = load_arch(sibling), neutral(board.name)
    own = {leaf.path for leaf in shipped.leaves() if leaf.kind in ("vendor", "measured")} | {"sm.sms_per_gpc"}
    carried = {leaf.path: leaf.value for leaf in board.leaves() if leaf.path in free or leaf.path not in own}
    if "clock.sustained_mhz" in carried:
        carried["clock.sustained_mhz"] = board.clock.sustained_mhz / board.clock.boost_mhz * shipped.clock.boost_mhz
    return load_arch(sibling, carried)


def leave_out(
    board: str,
    sibling: str,
    paths: Sequence[Path],
    rows: int = ROWS,
    evaluations: int = EVALUATIONS,
    notify: Notify | None = None,
    jobs: int | None = None,
) -> LeftOut:
    """Fit ``board`` alone, and predict every grade A row of ``sibling`` with what was found.

    Args:
        board: the GPU that is fitted.
        sibling: another board of the same die.
        paths: measured tables with rows of both, or folders of them.
        rows: rows to fit.
        evaluations: of the fit.
        notify: called with evaluations done, and the lowest log error.
        jobs: processes, by default one for each core.

    Raises:
        TraceError: a bad table, or no grade A row of the sibling.
        StcsimError: scipy is not there.
    """
    jobs = jobs or os.cpu_count() or 1
    never_seen = [row for row in read_measured(paths) if row.grade == "A" and row.arch == sibling]
    if not never_seen:
        raise TraceError(", ".join(map(str, paths)), f"rows of grade A of {sibling}", "none")
    fit = fit_one(board, paths, rows, evaluations, notify, jobs)
    blind = transferred(with_values(fit.start, fit.fit.values), sibling)
    with predictor(jobs) as predict_rows:
        own = [tuple(predict_rows([row.measured for row in part], load_arch(board))) for part in fit.after]
        other = [tuple(predict_rows(never_seen, arch)) for arch in (load_arch(sibling), blind)]
    roles = zip(("fitted", "held out"), own, fit.after, strict=True)
    return LeftOut(fit, (*(Part(role, shipped, tuple(alone)) for role, shipped, alone in roles), Part("never seen", *other)))
