"""Calibration: fit physical parameters of one GPU to measured GEMMs, and see what that does to rows held out."""

from __future__ import annotations

import math
import random
import signal
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from stcsim.arch import Arch, arch_from_dict, load_arch
from stcsim.errors import ArchError, StcsimError, TraceError
from stcsim.processes import pool_of
from stcsim.study.calibration.fit import Bounds, Fit, Notify, Range, choose, optimisers, search
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import Predicted, check_row, predict, spread

_MEDIAN_WEIGHT = 0.3  # of the median's log error beside the mean absolute one: it worked for the shipped files
_CHUNK = 8
_LAUNCHES = {"launch.graph_us": "graph", "launch.stream_us": "stream"}

PredictRows = Callable[[Sequence[Measured], Arch], list[Predicted]]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to fit and rows to look at afterwards; no shape is in both."""

    training: tuple[Measured, ...]
    held_out: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of a group of rows before and after, each (mean absolute, median, 90th percentile of the absolute), as fractions.

    Attributes:
        part: ``training`` or ``held out``.
        sparsity, dtype: ``all`` where the group is the whole part.
    """

    part: str
    sparsity: str
    dtype: str
    count: int
    before: tuple[float, float, float]
    after: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fit and what it did.

    Attributes:
        base: the arch as given on the command line.
        start: with ``--set`` on top.
        plain: without.
        ranges: the parameters that were free, with their bounds.
        before, after: predictions of the training rows and of the held-out rows.
        source: what fitted leaves say about where they come from.
        seed: of the split.
    """

    base: str
    plain: Arch
    start: Arch
    ranges: tuple[Range, ...]
    fit: Fit
    before: tuple[list[Predicted], list[Predicted]]
    after: tuple[list[Predicted], list[Predicted]]
    source: str
    seed: int

    @property
    def errors(self) -> tuple[Errors, ...]:
        """Errors of both parts, whole and by sparsity and type."""
        parts = zip(("training", "held out"), self.before, self.after, strict=True)
        return tuple(each for part, before, after in parts for each in _errors(part, before, after))


def _errors(part: str, before: Sequence[Predicted], after: Sequence[Predicted]) -> Iterator[Errors]:
    groups: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for old, new in zip(before, after, strict=True):
        row = old.measured
        for label in (("all", "all"), ("2:4" if row.sparse else "dense", row.record["dtype"])):
            groups[label].append((old.error, new.error))
    for label, pairs in sorted(groups.items(), key=lambda item: (item[0][0] != "all", item[0])):
        old_errors, new_errors = zip(*pairs, strict=True)
        yield Errors(part, *label, len(pairs), spread(old_errors), spread(new_errors))


def calibrate(
    base: str,
    paths: Sequence[Path],
    settings: Sequence[str] = (),
    params: Sequence[str] | None = None,
    grades: str = "A",
    seed: int = 0,
    evaluations: int = 300,
    rows: int = 120,
    notify: Notify | None = None,
    jobs: int = 2,
    bounds: Bounds | None = None,
) -> Calibration:
    """Fit ``params`` of the GPU ``base`` to about ``rows`` of the measured rows in ``paths``.

    Args:
        base: a shipped GPU or an arch file; rows count whose ``arch`` column carries its name.
        settings: overrides, as with ``load_arch``.
        params: dotted paths, all that may be fitted by default.
        grades: letters of the grades to use.
        seed: of the split.
        notify: called with evaluations done and the lowest cost so far.
        jobs: processes.
        bounds: of some parameters (low, high), in place of their usual ones, or of leaves to fit beside them.

    Raises:
        StcsimError: scipy is missing, a parameter may not be fitted or has no row that shows it, too few rows or evaluations.
        TraceError, ArchError: a bad table or arch file.
    """
    optimisers()
    plain, start = load_arch(base), load_arch(base, list(settings))
    split = split_rows(_rows_of(start, paths, grades), rows, seed)
    ranges = _free(start, params, bounds or {}, split.training)
    if evaluations < len(ranges) + 3:
        raise StcsimError("evaluations", f"at least {len(ranges) + 3} for {len(ranges)} parameters", str(evaluations))
    values = [float(str(start.value(limits.path))) for limits in ranges]
    with predictor(jobs) as predict_rows:
        before = predict_rows(split.training, start), predict_rows(split.held_out, start)

        def cost(tried: Sequence[float]) -> float:
            changed = with_values(start, dict(zip([limits.path for limits in ranges], tried, strict=True)))
            return cost_of(predict_rows(split.training, changed))

        fit = search(cost, ranges, values, evaluations, notify)
        fitted = with_values(start, fit.values)
        after = predict_rows(split.training, fitted), predict_rows(split.held_out, fitted)
    return Calibration(base, plain, start, ranges, fit, before, after, _source(split.training), seed)


def cost_of(rows: Sequence[Predicted]) -> float:
    """Return mean |log(predicted / measured)| plus a part of the median's size."""
    errors = [math.log(row.predicted_us / row.measured.time_us) for row in rows]
    return statistics.fmean(map(abs, errors)) + _MEDIAN_WEIGHT * abs(statistics.median(errors))


def with_values(arch: Arch, values: dict[str, float], source: str = "calibrate") -> Arch:
    """Return ``arch`` with ``values`` at dotted paths, fitted."""
    tree = arch.to_dict()
    for path, value in values.items():
        section, leaf = path.split(".")
        tree[section][leaf] = {"value": value, "kind": "fitted", "from": source}
    return arch_from_dict(tree, arch.name)


def _source(training: Sequence[Measured]) -> str:
    files = dict.fromkeys(Path(row.where.rpartition(":")[0]).name for row in training)
    return f"stcsim calibrate {date.today()}: {len(training)} rows of {', '.join(files)}"


def _rows_of(arch: Arch, paths: Sequence[Path], grades: str) -> list[Measured]:
    """Return the rows of ``arch`` that its tensor cores can run and whose grade counts."""
    own = [row for row in read_measured(paths) if row.arch == arch.name]
    rows = [row for row in own if row.grade in grades.upper()]
    if not rows:
        there = ", ".join(f"{count} of grade {grade}" for grade, count in sorted(Counter(row.grade for row in own).items()))
        raise TraceError(
            ", ".join(map(str, paths)), f"rows of {arch.name} of grade {' or '.join(grades.upper())}", there or "none"
        )
    for row in rows:
        check_row(row, arch)
    return rows


def split_rows(rows: Sequence[Measured], wanted: int, seed: int) -> Split:
    """Draw whole shapes until ``wanted`` rows are there, or two thirds of the shapes.

    Rows of one shape stay together: its fp16 and bf16 times are nearly equal, so one would be no test of the other.

    Raises:
        TraceError: for fewer than three shapes.
    """
    shapes: dict[tuple[int, ...], list[Measured]] = defaultdict(list)
    for row in rows:
        shapes[(row.m, row.n, row.k, row.batch)].append(row)
    if len(shapes) < 3:
        raise TraceError("data", "rows of at least 3 shapes, to fit some and hold out others", str(len(shapes)))
    order = sorted(shapes)
    random.Random(seed).shuffle(order)
    training: list[Measured] = []
    for shape in order[: 2 * len(order) // 3]:
        if len(training) < wanted:
            training += shapes[shape]
    chosen = {row.where for row in training}
    return Split(tuple(training), tuple(row for row in rows if row.where not in chosen))


def _free(arch: Arch, params: Sequence[str] | None, bounds: Bounds, rows: Sequence[Measured]) -> tuple[Range, ...]:
    """Return what is to be fitted. Costs of launches that no row has are left out; where the user named one, it is refused."""
    ranges = choose(params, arch, bounds)
    for path, end in [(path, end) for path, ends in bounds.items() for end in ends]:
        try:
            with_values(arch, {path: end})
        except ArchError as error:
            raise StcsimError(f"bounds {path}", error.expected, error.found) from None
    missing = [each.path for each in ranges if each.path in _LAUNCHES and _LAUNCHES[each.path] not in {r.timing for r in rows}]
    for path in missing:
        if path in (params or ()) or path in bounds:
            argument = "bounds" if path in bounds else "params"
            raise StcsimError(f"{argument} {path}", f"training rows of {_LAUNCHES[path]} timing", "none")
    return tuple(each for each in ranges if each.path not in missing)


@contextmanager
def predictor(jobs: int) -> Iterator[PredictRows]:
    """Give a function that predicts rows on ``jobs`` processes, which start once; few rows are predicted here."""
    with pool_of(jobs, _ignore_interrupt) as pool:

        def predict_rows(rows: Sequence[Measured], arch: Arch) -> list[Predicted]:
            chunks = [(rows[i : i + _CHUNK], arch) for i in range(0, len(rows), _CHUNK)]
            parts = pool.map(_predict_chunk, chunks) if jobs > 1 and len(chunks) > 2 else map(_predict_chunk, chunks)
            return [row for part in parts for row in part]

        yield predict_rows


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the main process, which keeps the best so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _predict_chunk(chunk: tuple[Sequence[Measured], Arch]) -> list[Predicted]:
    rows, arch = chunk
    return [predict(row, arch) for row in rows]
