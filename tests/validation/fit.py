"""Fit one die's parameters to half of the measured rows of its boards, and say how well the other half is met.

    python -m tests.validation.fit DIE FOLDER [--rows N] [--steps N] [--write]

FOLDER holds tables as ``stcsim validate`` reads them. Rows of a shape are all in one half (``part_of``), so that a row that is
not fitted is no twin of one that is. All boards of a die share its parameters, but for their memory, launches and highest clock.
The search is that of ``stcsim.study.calibration.joint``. ``--write`` puts the values into ``arch_configs``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.study.calibration.joint import Leaf, archs_with, fit_jointly
from stcsim.study.error_model.build import FITTED, part_of
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import Predicted, predict_all


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
        (*_COMMON, *_SPARSE, "power.half_width_ratio", "launch.early_us", "kernel.next_prologue_cycles"),
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
_SHARE = 0.75
"""A cell with twice as many rows has 2 to this power as many of those that are drawn."""
_LEAST = {"power.burst_ratio": 1.0, "power.clock_exponent": 1.7}


def leaves_of(die: Die, archs: Mapping[str, Arch]) -> list[Leaf]:
    """Return the parameters of a die with where they start and their bounds."""
    found = [(path, die.boards) for path in die.shared] + [(path, (board,)) for board in die.boards for path in die.own[board]]
    leaves = []
    for path, boards in found:
        start = float(str(archs[boards[0]].value(path)))
        most = _MOST.get(path, start * 4)
        if path == "clock.sustained_mhz":
            most = max(start, archs[boards[0]].clock.boost_mhz)
        leaves.append(Leaf(path, boards, start, _LEAST.get(path, start / 4), most))
    return leaves


def measured_rows(die: Die, folder: Path) -> list[Measured]:
    """Return the rows of grade A of a die's boards: published ones, and our own of types that published ones have."""
    published = [row for board in die.boards for row in _grade_a(folder / f"{board}.csv")]
    types = {(row.sparse, row.dtype) for row in published}
    own = [row for board in die.boards for row in _grade_a(_own_table(board))]
    return published + [row for row in own if (row.sparse, row.dtype) in types]


def _own_table(board: str) -> Path:
    return Path(__file__).parent / board / "gemm.csv"


def _grade_a(table: Path) -> list[Measured]:
    return [row for row in read_measured([table]) if row.grade == "A"] if table.exists() else []


def draw(rows: Sequence[Measured], most: int) -> list[Measured]:
    """Return about so many rows: of a board, sparsity, type and source more where there are more, shapes by a hash.

    The two sides of a shape have one hash, so that most speedups are among what is drawn.
    """
    cells: dict[tuple[object, ...], list[Measured]] = defaultdict(list)
    for row in sorted(rows, key=_place):
        cells[row.arch, row.sparse, row.dtype, row.record.get("source")].append(row)
    each = most / sum(len(cell) ** _SHARE for cell in cells.values())
    return [row for cell in cells.values() for row in cell[: max(1, round(each * len(cell) ** _SHARE))]]


def _place(row: Measured) -> bytes:
    return hashlib.sha256(f"draw{row.m},{row.n},{row.k},{row.batch}".encode()).digest()


def errors_by_cell(rows: Sequence[Predicted]) -> Iterator[str]:
    """Yield a line for each board, sparsity and type: mean absolute error and median, of fitted rows and of the others."""
    groups: dict[tuple[str, ...], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        measured = row.measured
        key = measured.arch, "2:4" if measured.sparse else "dense", measured.dtype, measured.record.get("source", "")
        groups[key][part_of(measured) == FITTED].append(row.error)
    for key, halves in sorted(groups.items()):
        text = " · ".join(
            f"{name} {len(found)}: {statistics.fmean(map(abs, found)):.1%} ({statistics.median(found):+.1%})"
            for name, found in (("fitted", halves[True]), ("not", halves[False]))
            if found
        )
        yield f"{' '.join(key):36} {text}"


def write(die: Die, found: Mapping[Leaf, float], rows: int) -> None:
    """Put values into the files of a die's boards, in place of what was fitted before; what else a source says stays."""
    own = ", published and our own" if any(_own_table(board).exists() for board in die.boards) else ""
    note = f"fitted on {date.today()} to {rows} GEMM times of {', '.join(die.boards)}{own} (docs/accuracy.md)"
    for leaf, value in found.items():
        better = partial(_better, value=value, note=note)
        for place, board in enumerate(leaf.boards):
            path = Path("arch_configs", f"{board}.yaml")
            text, changed = _line_of(leaf.path).subn(better, path.read_text(), count=1)
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


def _evaluated(done: int, mean_abs: float) -> None:
    if done % 20 == 1:
        print(f"  {done} evaluations: mean |log error| {mean_abs:.4f}", flush=True)


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
    rows = measured_rows(die, given.folder)
    fitted = [row for row in rows if part_of(row) == FITTED]
    drawn = draw(fitted, given.rows)
    print(f"{given.die}: {len(rows)} rows of grade A, {len(fitted)} may be fitted, {len(drawn)} are", flush=True)
    archs = {board: load_arch(board) for board in die.boards}
    leaves = leaves_of(die, archs)
    found = fit_jointly(archs, leaves, drawn, given.steps, _evaluated, given.jobs).values
    for leaf, value in found.items():
        print(f"  {leaf.path:34} {'' if leaf.boards == die.boards else leaf.boards[0]:10} {leaf.start:8g} -> {value:g}")
    print("\n".join(errors_by_cell(predict_all(rows, archs_with(archs, found), None, given.jobs))))
    if given.write:
        write(die, found, len(drawn))


if __name__ == "__main__":
    main()
