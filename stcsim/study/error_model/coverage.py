"""Checking the error model on rows that had no part in it: how many lie in their interval, how often a verdict is wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stcsim.arch import load_arch
from stcsim.errors import TraceError
from stcsim.isa import dtype as known_dtype
from stcsim.study.error_model.build import CHECK, Error, errors_of, rows_for, speedup_errors_of
from stcsim.study.validate import Predicted, pairs_of
from stcsim.trust.accuracy import ErrorModel, Known, Spread, size_class
from stcsim.trust.verdict import Verdict, verdict_of

LEAST_ROWS = 100
"""A class with fewer rows is not listed: its share of rows inside is known to worse than 4 %."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a class's rows lie in their intervals, and how wide these are.

    Attributes:
        label: board (or ``all``), sparsity, and type or size (or ``all``).
        inside: share of rows in their interval.
        width: median of high over low.
    """

    label: tuple[str, str, str]
    rows: int
    inside: float
    width: float


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was said of GEMMs whose both sides were measured, and what was true.

    Attributes:
        pays, pays_wrong: said to pay, and of these no faster in truth.
        not_pays, not_pays_wrong: the reverse.
        open: cannot tell.
    """

    pays: int
    pays_wrong: int
    not_pays: int
    not_pays_wrong: int
    open: int


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Coverage by class, of times and of speedups, and verdicts, on so many rows."""

    rows: int
    times: tuple[Coverage, ...]
    speedups: tuple[Coverage, ...]
    verdicts: Verdicts


def cover(rows: Sequence[Predicted], model: ErrorModel) -> CoverageReport:
    """Hold an error model against the rows that no fit and no table used.

    Raises:
        TraceError: there are no such rows.
    """
    held_out = rows_for(CHECK, rows)
    if not held_out:
        raise TraceError("measured rows", "some of the shapes that check (a quarter, by a hash)", f"none in {len(rows)} rows")
    known = {name: model.known(load_arch(name)) for name in {row.measured.arch for row in held_out}}
    times = [(error, _spread(model, known[error.board], error)) for error in errors_of(held_out)]
    paired = held_out if model.speedups else []  # a model of dense rows says nothing of speedups
    speedups = [(error, _spread(model, known[error.board], error)) for error in speedup_errors_of(paired)]
    return CoverageReport(len(held_out), _coverage(times), _coverage(speedups), _verdicts(paired, speedups))


def _spread(model: ErrorModel, known: Known, error: Error) -> Spread:
    row = error.row.measured
    if error.speedup:
        return model.of_speedup(known, known_dtype(row.dtype), row.flops)
    return model.of_time(known, row.sparse, known_dtype(row.dtype), row.flops)


def _labels(error: Error) -> Iterable[tuple[str, str, str]]:
    """Return the classes in which a row is counted."""
    row, mode = error.row.measured, "2:4" if error.sparse else "dense"
    for board in (row.arch, "all"):
        yield from ((board, mode, what) for what in (row.dtype, size_class(row.flops), "all"))


def _coverage(errors: Sequence[tuple[Error, Spread]]) -> tuple[Coverage, ...]:
    groups: dict[tuple[str, str, str], list[tuple[Error, Spread]]] = defaultdict(list)
    for error, spread in errors:
        for label in _labels(error):
            groups[label].append((error, spread))
    return tuple(
        Coverage(
            label,
            len(group),
            sum(spread.low <= error.log <= spread.high for error, spread in group) / len(group),
            math.exp(sorted(spread.high - spread.low for _, spread in group)[len(group) // 2]),
        )
        for label, group in sorted(groups.items(), key=lambda item: _order(item[0]))
        if len(group) >= LEAST_ROWS or label[0] == label[2] == "all"
    )


def _order(label: tuple[str, str, str]) -> tuple[bool, str, str, int, str]:
    return label[0] == "all", label[0], label[1], 2 if label[2] == "all" else label[2].startswith("10^"), label[2].zfill(6)


def _verdicts(rows: Sequence[Predicted], speedups: Sequence[tuple[Error, Spread]]) -> Verdicts:
    """Count verdicts; ``speedups`` are those of the pairs that ``rows`` hold, in their order."""
    counts: dict[tuple[Verdict, bool], int] = defaultdict(int)
    for (dense, sparse), (_, spread) in zip(pairs_of(rows), speedups, strict=True):
        predicted = dense.predicted_us / sparse.predicted_us
        counts[verdict_of(spread.of(predicted)), dense.measured.time_us > sparse.measured.time_us] += 1
    pays = counts[Verdict.PAYS, True], counts[Verdict.PAYS, False]
    not_pays = counts[Verdict.DOES_NOT_PAY, False], counts[Verdict.DOES_NOT_PAY, True]
    unsure = counts[Verdict.CANNOT_TELL, True] + counts[Verdict.CANNOT_TELL, False]
    return Verdicts(sum(pays), pays[1], sum(not_pays), not_pays[1], unsure)
