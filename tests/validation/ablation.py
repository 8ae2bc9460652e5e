"""What each mechanism of the timing model is worth: ``python -m tests.validation.ablation`` prints the table.

Every mechanism is switched off alone, parameters stay as they are, and a seeded sample of the grade A rows of every cell (GPU,
sparsity, type) is predicted with and without it. Nothing is fitted again: where a fit leaned on a mechanism, another one could
take over a part of its work, so a figure says what this model loses, and is no proof of the mechanism.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

from stcsim.arch import Arch, load_arch
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import predict
from tests.validation import anchors, test_microbench
from tests.validation.markdown import aligned
from tests.validation.mechanisms import MECHANISMS, Mechanism

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "measured"
GPUS = ("a100", "a100-pcie", "h100", "h100-pcie")
ROWS, SEED = 40, 4
MOVED = 0.005
"""A prediction that changes by more is counted as moved."""
SHOWN = 2
"""Cells that the table has of one mechanism: those that it moves most."""
_CHUNK = 20

Task = tuple[str | None, bool, Sequence[Measured]]
"""A mechanism or none, whether it is off (else what is given for it holds), and rows of one cell."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Signed relative errors of the same rows of one cell with a mechanism and without it."""

    mechanism: Mechanism
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


def mean_abs(errors: Sequence[float]) -> float:
    return statistics.fmean(map(abs, errors))


def cell_of(row: Measured) -> str:
    return f"{row.arch} {'2:4' if row.sparse else 'dense'} {row.dtype}"


def sample(
    per_cell: int = ROWS, folder: Path = MEASURED, among: Callable[[Measured], bool] | None = None
) -> dict[str, list[Measured]]:
    """Return ``per_cell`` random grade A rows of every cell, always the same ones."""
    cells: dict[str, list[Measured]] = defaultdict(list)
    for row in read_measured([folder / f"{gpu}.csv" for gpu in GPUS]):
        if row.grade == "A" and (among is None or among(row)):
            cells[cell_of(row)].append(row)
    return {cell: random.Random(f"{SEED} {cell}").sample(rows, min(per_cell, len(rows))) for cell, rows in cells.items()}


def ablate(
    mechanisms: Sequence[Mechanism],
    cells: dict[str, list[Measured]],
    jobs: int = 2,
    notify: Callable[[int, int], None] | None = None,
) -> list[Effect]:
    """Return the effect of each mechanism on each cell that it can touch."""
    touched = [rows for cell, rows in cells.items() if any(each.touches(cell) for each in mechanisms)]
    tasks: list[Task] = [(None, False, each) for rows in touched for each in _chunks(rows)]
    for each in mechanisms:
        parts = [part for cell in cells if each.touches(cell) for part in _chunks(cells[cell])]
        tasks += [(each.name, off, part) for off in (False, True) if off or each.has_givens for part in parts]
    errors: dict[tuple[str | None, bool, str], list[float]] = defaultdict(list)
    for done, (task, found) in enumerate(zip(tasks, _each(tasks, jobs), strict=True), 1):
        errors[task[0], task[1], cell_of(task[2][0])] += found
        if notify is not None:
            notify(done, len(tasks))
    return [
        Effect(
            each, cell, tuple(errors[each.name if each.has_givens else None, False, cell]), tuple(errors[each.name, True, cell])
        )
        for each in mechanisms
        for cell in cells
        if each.touches(cell)
    ]


def _chunks(rows: Sequence[Measured]) -> list[Sequence[Measured]]:
    return [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]


def _each(tasks: Sequence[Task], jobs: int) -> Iterator[list[float]]:
    if jobs == 1:
        yield from map(_errors, tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_errors, tasks)


def _errors(task: Task) -> list[float]:
    """Predict the rows of one cell with one mechanism off, or with what is given for it."""
    name, off, rows = task
    if name is None:
        return [predict(row, load_arch(row.arch)).error for row in rows]
    mechanism = next(each for each in MECHANISMS if each.name == name)
    if not off:
        with mechanism.given():
            return [predict(row, load_arch(row.arch)).error for row in rows]
    arch = altered(mechanism, rows[0].arch)
    with mechanism.off():
        return [predict(mechanism.row(row), arch).error for row in rows]


def altered(mechanism: Mechanism, gpu: str, settings: Sequence[str] = ()) -> Arch:
    """Return a GPU with the leaves that the mechanism needs to be off."""
    return load_arch(gpu, (*settings, *_settings(mechanism, gpu)))


def _settings(mechanism: Mechanism, gpu: str) -> tuple[str, ...]:
    return tuple(f"{path}={json.dumps(value)}" for path, value in mechanism.settings(load_arch(gpu)).items())


def of_instructions(mechanism: Mechanism) -> list[Effect]:
    """Return what leaves that no GEMM row shows do to published rates of instructions, by GPU and kind; what moves only."""
    kept, off = _rates(None), _rates(mechanism)
    effects = [Effect(mechanism, cell, tuple(kept[cell]), tuple(off[cell])) for cell in kept]
    return [each for each in effects if each.moved]


def _rates(mechanism: Mechanism | None) -> dict[str, list[float]]:
    """Return the errors of FMA/clk/SM of the compared instructions, by GPU and kind."""

    @cache
    def gpu_of(name: str) -> Arch:
        gpu, settings = test_microbench.GPUS[name]
        return load_arch(gpu, settings) if mechanism is None else altered(mechanism, gpu, settings)

    errors: dict[str, list[float]] = defaultdict(list)
    with patch.object(test_microbench, "gpu_of", gpu_of):
        for row in [row for file in test_microbench.FILES for row in test_microbench.rows_of(file)]:
            if test_microbench.why_excluded(row) is None:
                bench = test_microbench.predict(row, test_microbench.name_of(row))
                cell = f"{row['gpu']}, rate of {bench.instruction.split('.m')[0]}"
                errors[cell].append(bench.points[0].fma_per_clk_per_sm / test_microbench.measured_fma(row) - 1)
    return errors


def of_anchors(mechanism: Mechanism) -> Iterator[Effect]:
    """Yield what they do to published anchors; what moves only."""
    for anchor in anchors.ANCHORS:
        without = replace(anchor, settings=anchor.settings + _settings(mechanism, anchor.gpu))
        kept, off = (anchors.Compared(each, anchors.predicted(each)).difference for each in (anchor, without))
        effect = Effect(mechanism, f"anchor: {anchor.gpu} {anchor.what} {anchor.dtype}", (kept or 0,), (off or 0,))
        if effect.moved:
            yield effect


def table(effects: Sequence[Effect]) -> str:
    """Return the effects as a Markdown table, the cells that a mechanism moves most first."""
    header = ("mechanism", "instead", "cell", "rows moved", "mean abs. error", "of the moved", "median")
    by_mechanism: dict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        by_mechanism[effect.mechanism.name].append(effect)
    lines = []
    for group in by_mechanism.values():
        most = sorted(group, key=lambda effect: -effect.shift)[:SHOWN]
        lines += [_line(effect) for effect in most if effect.moved] or [_line(most[0])]
    return aligned(header, lines)


def _line(effect: Effect) -> tuple[str, ...]:
    kept, off, moved = effect.kept, effect.off, effect.moved
    moved_kept, moved_off = [kept[at] for at in moved], [off[at] for at in moved]
    return (
        effect.mechanism.name,
        effect.mechanism.without,
        effect.cell if moved else "none",
        f"{len(moved)} of {len(kept)}",
        f"{100 * mean_abs(kept):.1f} → {100 * mean_abs(off):.1f} %" if moved else "",
        f"{100 * mean_abs(moved_kept):.1f} → {100 * mean_abs(moved_off):.1f} %" if moved else "",
        f"{100 * statistics.median(kept):+.1f} → {100 * statistics.median(off):+.1f} %" if moved else "",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of each cell ({ROWS})")
    parser.add_argument("--only", default="", help="mechanisms whose name contains this")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    given = parser.parse_args()
    if not MEASURED.is_dir():
        raise SystemExit(f"no measured tables in {MEASURED}")
    chosen = [each for each in MECHANISMS if given.only in each.name]
    effects = ablate([each for each in chosen if each.cells and not each.among], sample(given.rows), given.jobs, _progress)
    for each in [each for each in chosen if each.among]:
        effects += ablate([each], sample(given.rows, among=each.among), given.jobs)
    for each in [each for each in chosen if not each.cells]:
        effects += [*of_instructions(each), *of_anchors(each)]
    print(f"Error with the mechanism → without it; {given.rows} grade A rows of a cell, seed {SEED}, nothing fitted again.\n")
    print(table(effects))


def _progress(done: int, total: int) -> None:
    """Say on stderr when another tenth is done."""
    if 10 * done // total > 10 * (done - 1) // total:
        print(f"{done} of {total} parts", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
