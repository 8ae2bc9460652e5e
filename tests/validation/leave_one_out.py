"""Do the parameters belong to the die or to the rows? ``python -m tests.validation.leave_one_out`` prints the table.

One board of a die is calibrated from neutral values on its own rows alone, and its sibling is predicted with nothing changed but
what vendors and microbenchmarks say of that board: SMs, memory, power limit, clocks. No row of the sibling, and so no 2:4 row at
all, has a part in it. What is left of the shipped parameters' knowledge is the model itself: its catalogue was made with all rows
in sight.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.report.export.result import write_lines
from stcsim.study.calibration.calibrate import Calibration, calibrate, predictor, with_values
from stcsim.study.calibration.fit import PARAMETERS
from stcsim.study.measured import read_measured
from stcsim.study.validate import Predicted, spread
from tests.validation.markdown import aligned

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "measured"
SIBLINGS = (("a100", "a100-pcie"), ("h100", "h100-pcie"))
ROWS, EVALUATIONS, SEED = 120, 400, 4

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
    """

    role: str
    shipped: tuple[Predicted, ...]
    alone: tuple[Predicted, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A board that was calibrated alone, and what its parameters say of itself and of its sibling."""

    fit: Calibration
    parts: tuple[Part, ...]


def neutral(board: str) -> dict[str, float]:
    """Return values for all that GEMM times of any board have decided on ``board``.

    A clock is the highest one (what holds it down is the power limit), a share is the middle of its bounds, and everything else
    their geometric middle.
    """
    arch = load_arch(board)
    bounds = {each.path: (each.low, each.high) for each in (parameter.range_on(arch) for parameter in PARAMETERS)} | BOUNDS
    fitted = [leaf.path for leaf in arch.leaves() if leaf.kind == "fitted" and leaf.path not in FROM_MICROBENCHMARKS]
    unknown = [path for path in fitted if path not in bounds | ASSUMED]
    if unknown:
        raise SystemExit(f"{board}: no neutral value for {', '.join(unknown)}; give it bounds in {__file__}")
    known = ASSUMED | {"clock.sustained_mhz": arch.clock.boost_mhz}
    return {path: known[path] if path in known else _middle(*bounds[path]) for path in fitted}


def _middle(low: float, high: float) -> float:
    share = high <= 1
    return float(f"{(low + high) / 2 if share else math.sqrt(low * high):.4g}")


def fit_one(board: str, rows: int, evaluations: int, notify: Notify | None, jobs: int, folder: Path) -> Calibration:
    """Calibrate ``board`` on its own rows in ``folder``, from neutral values."""
    start = neutral(board)
    usual = {each.path for each in PARAMETERS}
    return calibrate(
        board,
        [folder / f"{board}.csv"],
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
    rows: int = ROWS,
    evaluations: int = EVALUATIONS,
    notify: Notify | None = None,
    jobs: int = 2,
    folder: Path = MEASURED,
) -> LeftOut:
    """Fit ``board`` and predict every grade A row of ``sibling``."""
    fit = fit_one(board, rows, evaluations, notify, jobs, folder)
    blind = transferred(with_values(fit.start, fit.fit.values), sibling)
    never_seen = [row for row in read_measured([folder / f"{sibling}.csv"]) if row.grade == "A"]
    with predictor(jobs) as predict_rows:
        own = [tuple(predict_rows([row.measured for row in part], load_arch(board))) for part in fit.after]
        other = [tuple(predict_rows(never_seen, arch)) for arch in (load_arch(sibling), blind)]
    roles = zip(("fitted", "held out"), own, fit.after, strict=True)
    return LeftOut(fit, (*(Part(role, shipped, tuple(alone)) for role, shipped, alone in roles), Part("never seen", *other)))


def table(results: Sequence[LeftOut]) -> str:
    """Return the errors by cell as a Markdown table."""
    header = (
        "GPU",
        "",
        "type",
        "rows",
        "",
        *(f"{which}: {what}" for which in ("shipped", "alone") for what in ("mean", "median", "p90")),
    )
    lines = []
    for part in (part for result in results for part in result.parts):
        cells: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
        for shipped, alone in zip(part.shipped, part.alone, strict=True):
            row = shipped.measured
            cells[row.arch, "2:4" if row.sparse else "dense", row.dtype].append((shipped.error, alone.error))
        for cell, errors in sorted(cells.items()):
            figures = [text for side in zip(*errors, strict=True) for text in _figures(side)]
            lines.append((*cell, str(len(errors)), part.role, *figures))
    return aligned(header, lines)


def _figures(errors: Sequence[float]) -> tuple[str, ...]:
    mean, median, p90 = spread(errors)
    return f"{100 * mean:.1f} %", f"{100 * median:+.1f} %", f"{100 * p90:.1f} %"


def unseen_lines(results: Sequence[LeftOut]) -> list[dict[str, object]]:
    """Return the siblings' rows, predicted by the other board's parameters, as ``stcsim accuracy build --blind`` takes them."""
    parts = [part for result in results for part in result.parts if part.role == "never seen"]
    return [row.measured.record | {"predicted_us": row.predicted_us} for part in parts for row in part.alone]


def parameters(result: LeftOut) -> str:
    """Return where each parameter began and ended, and what ships, as a Markdown table."""
    fit, shipped = result.fit, load_arch(result.fit.start.name)
    lines = []
    for path, start in neutral(fit.start.name).items():
        found = fit.fit.values.get(path, start)
        note = "assumed" if path in ASSUMED else "no row shows it" if path in fit.fit.idle else ""
        lines.append((path, f"{start:.4g}", f"{found:.4g}", f"{shipped.value(path):.4g}", note))
    return aligned((f"leaf of {fit.start.name}", "neutral", "alone", "shipped", ""), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows to fit of each board ({ROWS})")
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS, help=f"of the fit of each board ({EVALUATIONS})")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--csv", type=Path, help="write the rows of the boards that were never seen, with predicted_us")
    given = parser.parse_args()
    if not MEASURED.is_dir():
        raise SystemExit(f"no measured tables in {MEASURED}")
    began = time.monotonic()
    results = [leave_out(*pair, given.rows, given.evaluations, _progress, given.jobs) for pair in SIBLINGS]
    minutes = (time.monotonic() - began) / 60
    print(f"Error of the parameters that ship, and of those fitted to one board alone ({given.rows} rows, {given.evaluations}")
    print(f"evaluations, seed {SEED}, {minutes:.0f} minutes on {given.jobs} processes)\n")
    print(table(results), *map(parameters, results), sep="\n\n")
    if given.csv:
        write_lines(unseen_lines(results), given.csv)


def _progress(done: int, cost: float) -> None:
    if done % 20 == 0:
        print(f"{done} evaluations, log error {100 * cost:.2f} %", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
