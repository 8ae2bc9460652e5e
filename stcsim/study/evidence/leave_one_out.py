"""Do the parameters belong to the die or to the rows: one board fitted, its siblings predicted.

One board of a die is fitted from neutral values to its own rows alone, and its siblings are predicted with nothing changed but
what vendors and microbenchmarks say of them: SMs, memory, power limit, clocks. No row of a sibling has a part in it; a board
without 2:4 rows leaves what only they show at assumed values. What is left of the shipped parameters' knowledge is the model
itself: its catalogue was made with all rows in sight.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.study.calibration.calibrate import predictor, with_values
from stcsim.study.calibration.fit import PARAMETERS, Notify
from stcsim.study.calibration.joint import JointFit, Leaf, fit_jointly
from stcsim.study.error_model.build import FITTED, part_of
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import Predicted, spread

#: Boards that are fitted alone, with the siblings that are predicted then.
SIBLINGS = {
    "a100": ("a100-pcie",),
    "a100-pcie": ("a100",),
    "h100": ("h200", "h100-pcie"),
    "h200": ("h100",),
    "h100-pcie": ("h100",),
    "rtx4090": ("l40s",),
    "l40s": ("rtx4090",),
}
ROWS, STEPS = 100, 10
QUICK_BOARDS, QUICK_ROWS, QUICK_STEPS = ("a100",), 12, 2

FROM_MICROBENCHMARKS = {"tensor_core.issue_efficiency", "tensor_core.sparse_min_issue_cycles"}
#: Leaves with what is assumed of them where no row shows them: as dense, and energy with the bits.
ASSUMED = {"power.sparse_mac_ratio": 1.0, "power.half_width_ratio": 0.5, "power.integer_mac_ratio": 0.5}
#: Leaves that are free here beside the usual parameters.
BOUNDS = {"kernel.gemv_start_fraction": (0.05, 1.0)}
#: Leaves that stay a board's own where they are assumed of it: they follow from its build, or from what was measured on it.
OF_THE_BOARD = {"sm.sms_per_gpc", "l2.near_latency_cycles", "l2.far_latency_cycles"}
#: Leaves that only some rows show.
_SHOWN_BY: dict[str, Callable[[Measured], bool]] = {
    "power.sparse_mac_ratio": lambda row: row.sparse,
    "power.half_width_ratio": lambda row: row.dtype.startswith("fp8"),
    "power.integer_mac_ratio": lambda row: row.dtype.startswith("int"),
    "launch.graph_us": lambda row: row.timing == "graph",
    "launch.stream_us": lambda row: row.timing == "stream",
    "launch.early_us": lambda row: row.timing != "kernel",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Rows predicted twice: with the parameters that ship, and with those of one board alone.

    Attributes:
        role: ``fitted``, ``held out`` (the half of the board's shapes that no fit sees) or ``never seen`` (its siblings).
        by: whose parameters predict them.
        shipped: by the parameters that ship.
        alone: by those of the one board.
    """

    role: str
    by: str
    shipped: tuple[Predicted, ...]
    alone: tuple[Predicted, ...]


@dataclass(frozen=True, slots=True)
class CellErrors:
    """Errors of the rows of one GPU, sparsity and type.

    Attributes:
        gpu: its name.
        sparsity: ``dense`` or ``2:4``.
        dtype: element type of the inputs.
        role, by: as of :class:`Part`.
        rows: how many.
        shipped: mean absolute error, median, and 90th percentile of the absolute, of the parameters that ship; fractions.
        alone: the same of the parameters of one board.
    """

    gpu: str
    sparsity: str
    dtype: str
    role: str
    by: str
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
    """A board that was fitted alone, and what its parameters say of itself and of its siblings."""

    board: str
    fit: JointFit
    parts: tuple[Part, ...]

    @property
    def cells(self) -> tuple[CellErrors, ...]:
        """The errors by GPU, sparsity and type."""
        return tuple(each for part in self.parts for each in cells_of(part))

    @property
    def parameters(self) -> tuple[FittedValue, ...]:
        """Where each parameter began and ended, and what ships."""
        values = {leaf.path: value for leaf, value in self.fit.values.items()}
        idle = {leaf.path for leaf in self.fit.idle}
        shipped = load_arch(self.board)
        return tuple(
            FittedValue(path, first, values.get(path, first), float(str(shipped.value(path))), _note(path, values, idle))
            for path, first in neutral(self.board).items()
        )

    @property
    def unseen(self) -> tuple[Predicted, ...]:
        """The siblings' rows, predicted by the other board's parameters."""
        return next(part.alone for part in self.parts if part.role == "never seen")


def cells_of(part: Part) -> list[CellErrors]:
    """Return the errors of a part's rows by GPU, sparsity and type."""
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for shipped, alone in zip(part.shipped, part.alone, strict=True):
        row = shipped.measured
        groups[row.arch, "2:4" if row.sparse else "dense", row.dtype].append((shipped.error, alone.error))
    return [
        CellErrors(*cell, part.role, part.by, len(errors), *(spread(side) for side in zip(*errors, strict=True)))
        for cell, errors in sorted(groups.items())
    ]


def _note(path: str, free: Collection[str], idle: Collection[str]) -> str:
    if path in ASSUMED and path not in free:
        return "assumed"
    return "no row shows it" if path not in free or path in idle else ""


def neutral(board: str) -> dict[str, float]:
    """Return values for all that GEMM times of any board have decided on ``board``.

    A clock is the highest one (what holds it down is the power limit), a share is the middle of its bounds, and everything else
    their geometric middle.

    Raises:
        StcsimError: for a fitted leaf without bounds.
    """
    arch, bounds = load_arch(board), _bounds(board)
    fitted = [leaf.path for leaf in arch.leaves() if leaf.kind == "fitted" and leaf.path not in FROM_MICROBENCHMARKS]
    unknown = [path for path in fitted if path not in bounds | ASSUMED]
    if unknown:
        raise StcsimError(board, "bounds of every fitted leaf, for a neutral value", f"none of {', '.join(unknown)}")
    known = ASSUMED | {"clock.sustained_mhz": arch.clock.boost_mhz}
    return {path: known[path] if path in known else _middle(*bounds[path]) for path in fitted}


def _bounds(board: str) -> dict[str, tuple[float, float]]:
    ranges = [parameter.range_on(load_arch(board)) for parameter in PARAMETERS]
    return {each.path: (each.low, each.high) for each in ranges} | BOUNDS


def _middle(low: float, high: float) -> float:
    share = high <= 1
    return float(f"{(low + high) / 2 if share else math.sqrt(low * high):.4g}")


def fit_one(board: str, rows: Sequence[Measured], steps: int, notify: Notify | None = None, jobs: int = 2) -> JointFit:
    """Fit ``board`` to ``rows``, its own, from neutral values; leaves that none of them shows stay there."""
    start, bounds = neutral(board), _bounds(board)
    shown = [path for path in start if path not in _SHOWN_BY or any(map(_SHOWN_BY[path], rows))]
    leaves = [Leaf(path, (board,), start[path], *bounds[path]) for path in shown]
    return fit_jointly({board: load_arch(board, start)}, leaves, rows, steps, notify, jobs)


def drawn(rows: Sequence[Measured], most: int) -> list[Measured]:
    """Return up to ``most`` of those rows whose shapes may be fitted to, always the same ones."""
    may = [row for row in rows if part_of(row) == FITTED]
    return sorted(may, key=lambda row: hashlib.sha256(f"draw{Path(row.where).name}".encode()).digest())[:most]


def transferred(board: Arch, sibling: str) -> Arch:
    """Return ``sibling`` with all of ``board`` but what a vendor or a microbenchmark says of the sibling.

    How its SMs stand in GPCs and how far its L2 is (``OF_THE_BOARD``) stay the sibling's too, and a clock that was fitted carries
    over as its share of boost.
    """
    shipped, free = load_arch(sibling), neutral(board.name)
    own = {leaf.path for leaf in shipped.leaves() if leaf.kind in ("vendor", "measured")} | OF_THE_BOARD
    carried = {leaf.path: leaf.value for leaf in board.leaves() if leaf.path in free or leaf.path not in own}
    if "clock.sustained_mhz" in carried:
        carried["clock.sustained_mhz"] = board.clock.sustained_mhz / board.clock.boost_mhz * shipped.clock.boost_mhz
    return load_arch(sibling, carried)


def leave_out(
    board: str,
    siblings: Sequence[str],
    paths: Sequence[Path],
    rows: int = ROWS,
    steps: int = STEPS,
    notify: Notify | None = None,
    jobs: int | None = None,
) -> LeftOut:
    """Fit ``board`` alone, and predict every grade A row of its siblings with what was found.

    Args:
        board: the GPU that is fitted.
        siblings: other boards of the same die.
        paths: measured tables with rows of all of them, or folders of them.
        rows: rows to fit, at most.
        steps: of least squares.
        notify: called with evaluations done, and the mean absolute log error.
        jobs: processes, by default one for each core.

    Raises:
        TraceError: a bad table, or no grade A row of the board that may be fitted, or of a sibling.
        StcsimError: scipy is not there.
    """
    jobs = jobs or os.cpu_count() or 1
    trusted = [row for row in read_measured(paths) if row.grade == "A"]
    own = [row for row in trusted if row.arch == board]
    fitted = drawn(own, rows)
    for name, found in [(board, fitted), *((each, [row for row in trusted if row.arch == each]) for each in siblings)]:
        if not found:
            raise TraceError(", ".join(map(str, paths)), f"rows of grade A of {name}", "none")
    fit = fit_one(board, fitted, steps, notify, jobs)
    alone = with_values(load_arch(board, neutral(board)), {leaf.path: value for leaf, value in fit.values.items()})
    archs = {board: alone} | {name: transferred(alone, name) for name in siblings}
    parts = {
        "fitted": fitted,
        "held out": [row for row in own if part_of(row) != FITTED],
        "never seen": [row for row in trusted if row.arch in siblings],
    }
    with predictor(jobs) as predict_rows:

        def predicted(among: Sequence[Measured], by: Mapping[str, Arch]) -> tuple[Predicted, ...]:
            return tuple(row for name, arch in by.items() for row in predict_rows([r for r in among if r.arch == name], arch))

        shipped = {name: load_arch(name) for name in archs}
        made = (Part(role, board, predicted(of, shipped), predicted(of, archs)) for role, of in parts.items())
        return LeftOut(board, fit, tuple(made))
