"""Fit one die's parameters to half of the measured rows of its boards, and say how well the other half is met.

    python -m tests.validation.fit DIE FOLDER [--rows N] [--steps N] [--write]

FOLDER holds tables as ``stcsim validate`` reads them. Rows of a shape are all in one half (``part_of``), so that a row that is
not fitted is no twin of one that is. All boards of a die share its parameters, but for their memory, launches and highest clock.
Least squares on the log error with a pseudo-Huber loss (scipy), on log parameters; beside the rows it looks at the medians of
cells of board, sparsity and type, and at the log error of 2:4 speedups. ``--write`` puts the values into ``arch_configs``.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.arch import Arch, arch_from_dict, load_arch
from stcsim.study.error_model.build import TABLE, part_of
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import predict

HUBER = 0.04
_PULL = 0.05  # of the values before: a factor of e costs as much as so much error in one row of every hundred
_MEDIAN, _SPEEDUP = 2.0, 0.8  # weights of a cell's median, in square roots of its rows, and of a pair's speedup beside a row
_STEP = 0.04  # of the finite differences, in logarithms: large, because the choice of kernels makes steps
_CHUNK = 6


@dataclass(frozen=True)
class Die:
    """Boards of one die, the leaves they share, and those that each has for itself."""

    boards: tuple[str, ...]
    shared: tuple[str, ...]
    own: Mapping[str, tuple[str, ...]]


_COMMON = (
    "l2.bandwidth_bytes_per_clk", "l2.shared_fraction", "kernel.prologue_cycles", "kernel.k_iteration_cycles",
    "kernel.epilogue_bytes_per_clk", "shared_memory.fill_contention", "power.tensor_pj_per_mac", "power.clock_exponent",
    "power.burst_ratio",
)  # fmt: skip
_UNDIVIDED = tuple(leaf for leaf in _COMMON if leaf != "l2.shared_fraction")  # one partition: no share is lost to second copies
_SPARSE = ("power.sparse_mac_ratio",)
DIES = {
    "GA100": Die(
        ("a100", "a100-pcie"),
        (*_COMMON, *_SPARSE, "kernel.next_prologue_cycles", "kernel.gemv_start_fraction"),
        {
            "a100": ("dram.achieved_fraction", "launch.graph_us", "clock.sustained_mhz"),
            "a100-pcie": ("dram.achieved_fraction", "launch.stream_us"),
        },
    ),
    "GH100": Die(
        ("h100", "h100-pcie", "h200"),
        (*_COMMON, *_SPARSE, "power.half_width_ratio", "launch.early_us"),
        {
            "h100": ("dram.achieved_fraction", "launch.graph_us", "clock.sustained_mhz"),
            "h100-pcie": ("dram.achieved_fraction", "launch.stream_us", "clock.sustained_mhz"),
            "h200": ("dram.achieved_fraction", "launch.graph_us", "clock.sustained_mhz"),
        },
    ),
    "AD102": Die(
        ("l40s", "rtx4090"),
        (
            *_UNDIVIDED,
            *_SPARSE,
            "power.half_width_ratio",
            "kernel.next_prologue_cycles",
            "kernel.gemv_start_fraction",
        ),
        {
            "l40s": ("dram.achieved_fraction", "launch.graph_us"),
            "rtx4090": ("dram.achieved_fraction", "launch.stream_us", "clock.sustained_mhz"),
        },
    ),
    "GA102": Die(
        ("a40",),
        (*_UNDIVIDED, "kernel.next_prologue_cycles", "dram.achieved_fraction"),
        {"a40": ()},
    ),
}
_MOST = {"l2.shared_fraction": 1.0, "dram.achieved_fraction": 1.0, "shared_memory.fill_contention": 1.0,
         "kernel.gemv_start_fraction": 1.0, "power.half_width_ratio": 1.0, "power.sparse_mac_ratio": 2.0}  # fmt: skip
_LEAST = {"power.burst_ratio": 1.0, "power.clock_exponent": 1.7}


@dataclass(frozen=True)
class Leaf:
    """One parameter: a path on all boards of a die, or on one."""

    path: str
    boards: tuple[str, ...]
    start: float
    least: float
    most: float


def leaves_of(die: Die) -> list[Leaf]:
    """Return the parameters of a die with where they start and their bounds."""
    archs = {board: load_arch(board) for board in die.boards}
    found = [(path, die.boards) for path in die.shared] + [(path, (board,)) for board in die.boards for path in die.own[board]]
    leaves = []
    for path, boards in found:
        start = float(str(archs[boards[0]].value(path)))
        most = _MOST.get(path, start * 4)
        if path == "clock.sustained_mhz":
            most = max(start, archs[boards[0]].clock.boost_mhz)
        leaves.append(Leaf(path, boards, start, _LEAST.get(path, start / 4), most))
    return leaves


def archs_with(die: Die, leaves: Sequence[Leaf], values: Sequence[float]) -> dict[str, Arch]:
    """Return the boards with ``values`` in place of the leaves'."""
    trees = {board: load_arch(board).to_dict() for board in die.boards}
    for leaf, value in zip(leaves, values, strict=True):
        section, name = leaf.path.split(".")
        for board in leaf.boards:
            trees[board][section][name] = {"value": value, "kind": "fitted", "from": "fit"}
    return {board: arch_from_dict(tree, board) for board, tree in trees.items()}


def _logs(job: tuple[Sequence[Measured], dict[str, Arch]]) -> list[float]:
    rows, archs = job
    return [math.log(predict(row, archs[row.arch]).predicted_us / row.time_us) for row in rows]


def log_errors(pool: ProcessPoolExecutor, rows: Sequence[Measured], archs: dict[str, Arch]) -> np.ndarray[Any, Any]:
    """Return log(predicted / measured) of each row."""
    jobs = [(rows[at : at + _CHUNK], archs) for at in range(0, len(rows), _CHUNK)]
    return np.array([log for part in pool.map(_logs, jobs) for log in part])


class Residuals:
    """What least squares looks at: rows, medians of cells, speedups, and the pull towards the values before."""

    def __init__(self, pool: ProcessPoolExecutor, die: Die, leaves: Sequence[Leaf], rows: Sequence[Measured]) -> None:
        self.pool, self.die, self.leaves, self.rows = pool, die, leaves, rows
        cells: dict[tuple[object, ...], list[int]] = defaultdict(list)
        sides: dict[tuple[object, ...], dict[bool, int]] = defaultdict(dict)
        for at, row in enumerate(rows):
            cells[row.arch, row.sparse, row.dtype].append(at)
            sides[row.pair][row.sparse] = at
        self.cells = [np.array(each) for each in cells.values()]
        self.pairs = np.array([(both[False], both[True]) for both in sides.values() if len(both) == 2], np.int64).reshape(-1, 2)
        self.weights = np.ones(len(rows))
        for cell in self.cells:
            self.weights[cell] = math.sqrt(math.sqrt(len(rows) / len(self.cells) / len(cell)))
        self.seen = 0

    def __call__(self, logs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the residuals at the logarithms of the leaves' values."""
        errors = log_errors(self.pool, self.rows, archs_with(self.die, self.leaves, np.exp(logs).tolist()))
        self.seen += 1
        medians = [_MEDIAN * math.sqrt(len(cell)) * float(np.median(errors[cell])) for cell in self.cells]
        speedups = _SPEEDUP * (errors[self.pairs[:, 0]] - errors[self.pairs[:, 1]])
        starts = np.log([leaf.start for leaf in self.leaves])
        pull = _PULL * math.sqrt(len(self.rows) / 100) * (logs - starts)
        if self.seen % len(self.leaves) == 1:
            print(f"  {self.seen} evaluations: mean |log error| {np.abs(errors).mean():.4f}", flush=True)
        return np.concatenate([errors * self.weights, medians, speedups, pull])


def fit(pool: ProcessPoolExecutor, die: Die, rows: Sequence[Measured], steps: int) -> dict[Leaf, float]:
    """Return the values that meet ``rows`` best, within ``steps`` steps of least squares."""
    from scipy.optimize import least_squares

    leaves = leaves_of(die)
    starts = np.log([min(max(leaf.start, leaf.least * 1.001), leaf.most * 0.999) for leaf in leaves])
    bounds = np.log([leaf.least for leaf in leaves]), np.log([leaf.most for leaf in leaves])
    found = least_squares(
        Residuals(pool, die, leaves, rows), starts, bounds=bounds, loss="soft_l1", f_scale=HUBER,
        diff_step=_STEP / np.maximum(np.abs(starts), 1e-3), max_nfev=steps, x_scale=1.0,
    )  # fmt: skip
    return {leaf: float(f"{value:.3g}") for leaf, value in zip(leaves, np.exp(found.x), strict=True)}


def errors_by_cell(rows: Sequence[Measured], logs: Sequence[float]) -> Iterator[str]:
    """Yield a line for each board, sparsity and type: mean absolute error and median, of fitted rows and of the others."""
    groups: dict[tuple[str, str, str], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, log in zip(rows, logs, strict=True):
        key = row.arch, "2:4" if row.sparse else "dense", row.dtype
        groups[key][(part_of(row) == TABLE)].append(math.expm1(log))
    for key, halves in sorted(groups.items()):
        text = " · ".join(
            f"{name} {len(found)}: {statistics.fmean(map(abs, found)):.1%} ({statistics.median(found):+.1%})"
            for name, found in (("fitted", halves[True]), ("not", halves[False]))
            if found
        )
        yield f"{' '.join(key):24} {text}"


def write(die: Die, found: Mapping[Leaf, float], rows: int) -> None:
    """Put values into the files of a die's boards, in place of what was fitted before; what else a source says stays."""
    note = f"fitted on {date.today()} to {rows} published GEMM times of {', '.join(die.boards)} (docs/accuracy.md)"
    for leaf, value in found.items():
        for place, board in enumerate(leaf.boards):
            path = Path("arch_configs", f"{board}.yaml")
            text, changed = _line_of(leaf.path).subn(lambda match: _better(match, value, note), path.read_text(), count=1)
            if changed:
                path.write_text(text)
            elif place == 0:
                print(f"  {path}: no line for {leaf.path}: {value:g}")


def _line_of(path: str) -> re.Pattern[str]:
    """Return what finds the line of a leaf, in its own section."""
    section, name = path.split(".")
    return re.compile(
        rf'^(?P<head>{section}:\n(?:  .*\n)*?  {name}: ){{value: [^,]+, kind: \w+, from: "(?P<source>[^"]*)"}}', re.MULTILINE
    )


def _better(match: re.Match[str], value: float, note: str) -> str:
    rest = [part for part in match["source"].split("; ") if part not in ("", "x") and not part.startswith(("fitted", "as "))]
    return f'{match["head"]}{{value: {value:g}, kind: fitted, from: "{"; ".join([note, *rest])}"}}'


def main() -> None:
    """Fit a die and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("die", choices=DIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=400, help="fitted at most, drawn by the same hash")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    die = DIES[given.die]
    rows = [row for board in die.boards for row in read_measured([given.folder / f"{board}.csv"]) if row.grade == "A"]
    fitted = [row for row in rows if (part_of(row) == TABLE)]
    drawn = sorted(fitted, key=lambda row: hashlib.sha256(f"draw{row.where}".encode()).digest())[: given.rows]
    print(f"{given.die}: {len(rows)} rows of grade A, {len(fitted)} may be fitted, {len(drawn)} are", flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        found = fit(pool, die, drawn, given.steps)
        for leaf, value in found.items():
            print(f"  {leaf.path:34} {'' if leaf.boards == die.boards else leaf.boards[0]:10} {leaf.start:8g} -> {value:g}")
        archs = archs_with(die, list(found), list(found.values()))
        print("\n".join(errors_by_cell(rows, log_errors(pool, rows, archs).tolist())))
    if given.write:
        write(die, found, len(drawn))


if __name__ == "__main__":
    main()
