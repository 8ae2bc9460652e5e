"""What is asked of predictions of measured GEMMs beside what is reached, on the fitted half of all shapes and on the other one.

    python -m tests.validation.silicon FOLDER

predicts all trusted rows of the boards in ``ASKED`` and writes ``gates.json``: for each figure what was asked, and the gate that
holds what is reached. Run it after a fit; its diff says what was won and lost. ``docs/accuracy.md`` shows the same figures.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stcsim.files import write_whole
from stcsim.study.error_model.build import FITTED, part_of
from stcsim.study.validate import Predicted, summarise, validate

GATES = Path(__file__).with_name("gates.json")
HALVES = {"not fitted": False, "fitted": True}
MEDIAN, DECADE, DECADE_ROWS = 0.02, 0.12, 10
_SLACK = 0.0005  # of a gate over what is reached: another processor rounds otherwise


@dataclass(frozen=True)
class Asked:
    """Mean absolute errors asked of a board: of dense and of 2:4 times, and of the 2:4 speedup."""

    dense: float
    sparse: float
    speedup: float


_AMPERE, _HOPPER, _OTHERS = Asked(0.055, 0.05, 0.075), Asked(0.065, 0.06, 0.09), Asked(0.07, 0.08, 0.12)
ASKED = {
    "a100": _AMPERE,
    "a100-pcie": _AMPERE,
    "h100": _HOPPER,
    "h100-pcie": _HOPPER,
    "h200": _HOPPER,
    "rtx4090": _OTHERS,
    "l40s": _OTHERS,
    "a40": _OTHERS,
}


@dataclass(frozen=True)
class Figure:
    """One figure of a group of rows.

    Attributes:
        of: which rows: board, sparsity and type; board, sparsity and decade of operations; or board and type of speedups.
        half: a name in ``HALVES``.
        kind: ``mean`` (absolute error), ``median``, ``decade`` (mean absolute error) or ``speedup`` (mean absolute error).
        rows: how many, or pairs.
        asked: the largest that is asked for.
        reached: of the simulation; the median without its sign.
        roofline: the same of a plain roofline, but for medians.
    """

    of: str
    half: str
    kind: str
    rows: int
    asked: float
    reached: float
    roofline: float

    @property
    def name(self) -> str:
        """What it is of, in words."""
        return f"{self.of}, {self.half}: {self.kind}"

    @property
    def missed(self) -> bool:
        """Whether more was asked for than is reached."""
        return self.reached > self.asked


@dataclass(frozen=True)
class Gate:
    """What a figure must not exceed, and whether that is more than was asked for."""

    figure: str
    asked: float
    gate: float
    missed: bool


def figures_of(rows: Sequence[Predicted]) -> list[Figure]:
    """Return every figure of trusted rows of the boards in ``ASKED``."""
    trusted = [row for row in rows if row.measured.grade == "A" and row.measured.arch in ASKED]
    return [figure for half in HALVES for figure in _figures(half, _of_half(trusted, half))]


def _of_half(rows: Sequence[Predicted], half: str) -> list[Predicted]:
    return [row for row in rows if (part_of(row.measured) == FITTED) is HALVES[half]]


def _figures(half: str, rows: Sequence[Predicted]) -> Iterator[Figure]:
    report = summarise(rows)
    for cell in report.cells:
        of, asked = " ".join(cell.label[:3]), _time(*cell.label[:2])
        yield Figure(of, half, "mean", cell.count, asked, cell.mean_abs, cell.roofline_mean_abs)
        yield Figure(of, half, "median", cell.count, MEDIAN, abs(cell.median), math.nan)
    for size in report.sizes:
        if size.count >= DECADE_ROWS:
            yield Figure(" ".join(size.label), half, "decade", size.count, DECADE, size.mean_abs, size.roofline_mean_abs)
    for pair in report.speedups:
        asked = ASKED[pair.label[0]].speedup
        yield Figure(" ".join(pair.label[:2]), half, "speedup", pair.count, asked, pair.mean_abs, pair.roofline_mean_abs)


def _time(board: str, sparsity: str) -> float:
    return ASKED[board].sparse if sparsity == "2:4" else ASKED[board].dense


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of the boards in ``ASKED``."""
    return [folder / f"{board}.csv" for board in ASKED]


def gates() -> list[Gate]:
    """Return the gates that are kept."""
    return [Gate(**each) for each in json.loads(GATES.read_text(encoding="utf-8"))]


def gate_of(figure: Figure) -> Gate:
    """Return the gate that holds what is reached."""
    return Gate(figure.name, figure.asked, math.ceil(1000 * (figure.reached + _SLACK)) / 1000, figure.missed)


def write_gates(figures: Sequence[Figure]) -> None:
    """Keep a gate for each figure, one a line."""
    lines = [json.dumps(asdict(gate_of(each))) for each in figures]
    write_whole(GATES, "[\n " + ",\n ".join(lines) + "\n]\n")


def main() -> None:
    """Predict the rows, print what is missed, and write the gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    figures = figures_of(validate(tables_in(parser.parse_args().folder), grades="A").rows)
    write_gates(figures)
    for each in figures:
        if each.missed:
            print(f"{each.name} {each.reached:.3f} of {each.rows} rows, {each.asked} asked for")


if __name__ == "__main__":
    main()
