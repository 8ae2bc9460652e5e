"""Building the error model (``stcsim.trust.accuracy``) from measured tables.

Rows are divided by their shape, so that rows of one shape stay together: half of all shapes is for fits, which meet their own
rows better than others; of the half that no fit has seen one half makes the table, the other is left to check it
(``study.coverage``).

The percentiles of a class lean a little on those of the next wider one, the more the fewer rows it has: the mean of both,
weighted with its rows and ``LEANING`` rows. Which percentiles they are is found out within the table: those whose intervals hold
the share of rows that they should among rows that are left out of it in turn, a part of the shapes at a time.

What is known of a GPU of which no row exists is learned by pretending so: rows predicted with parameters of another board of the
die (``study.evidence.leave_one_out``) or of another die (``die_left_out``) answer for siblings and for generations, as do boards
whose own rows had no part in any parameter, and it is a board at a time that is left out.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any

from stcsim.arch import load_arch
from stcsim.errors import TraceError, quoted
from stcsim.isa import dtype as known_dtype
from stcsim.study.measured import Measured
from stcsim.study.validate import Predicted, pairs_of
from stcsim.trust.accuracy import LEAST_ROWS, LEVEL, WIDEST, Evidence, Key, Known, Spread, keys_of, parent_of

FITTED, TABLE, CHECK = "fitted", "table", "check"
LEANING = 0.2
"""Rows that the next wider class counts for: hardly any. With 20, of the table's rows that are left out 69 % of 2:4 at 10^9
operations and 87 % at 10^11 lay inside; now 74 to 86 % do in all classes of 90 rows or more."""
_MOST_PAIRS = 2000  # of one group, to see what its errors have in common
_LEVELS = tuple(round(0.7 + 0.01 * step, 2) for step in range(29))
_FOLDS = 3


def part_of(row: Measured) -> str:
    """Return what a row is for, by a hash of its sizes: half of all shapes is fitted, a quarter makes tables, one checks them."""
    *_, before, last = hashlib.sha256(f"{row.m},{row.n},{row.k},{row.batch}".encode()).digest()
    if last % 2 == 0:
        return FITTED
    return CHECK if before % 2 else TABLE


def rows_for(part: str, rows: Iterable[Predicted]) -> list[Predicted]:
    """Return the rows of one part."""
    return [row for row in rows if part_of(row.measured) == part]


@dataclass(frozen=True, slots=True)
class Error:
    """One measured figure beside its prediction: natural logarithm of measured over predicted."""

    row: Predicted
    log: float
    speedup: bool = False

    @property
    def sparse(self) -> bool:
        """Whether it is one of a 2:4 kernel; a speedup counts as one."""
        return self.speedup or self.row.measured.sparse

    @property
    def board(self) -> str:
        """Name of the board it was measured on."""
        return self.row.measured.arch

    def known(self, evidence: Evidence) -> Known:
        """Return its GPU with what is taken to be known of it."""
        return Known(self.row.measured.arch, evidence)

    def keys(self, evidence: Evidence) -> list[Key]:
        """Return the classes that answer for it, the finest first."""
        measured = self.row.measured
        return keys_of(self.known(evidence), self.sparse, known_dtype(measured.dtype), measured.flops)


def errors_of(rows: Iterable[Predicted]) -> list[Error]:
    """Return the errors of times."""
    return [Error(row, math.log(row.measured.time_us / row.predicted_us)) for row in rows]


def speedup_errors_of(rows: Sequence[Predicted]) -> list[Error]:
    """Return the errors of 2:4 speedups, where both sides were measured."""
    return [
        Error(
            sparse,
            math.log(dense.measured.time_us / sparse.measured.time_us) - math.log(dense.predicted_us / sparse.predicted_us),
            speedup=True,
        )
        for dense, sparse in pairs_of(rows)
    ]


def spread_of(logs: Sequence[float], level: float = LEVEL) -> Spread:
    """Return the percentiles of a class that hold ``level`` of the next row, whatever the errors' distribution.

    Split conformal prediction: of ``n`` sorted errors those of rank ``a (n + 1)`` from either end, ``a`` half of what may lie
    outside (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; Romano et al. 2019 for two sides), between
    two of them in proportion.
    """
    ordered, outside = sorted(logs), (1 - level) / 2
    return Spread(len(ordered), _ranked(ordered, outside), _ranked(ordered, 0.5), _ranked(ordered, 1 - outside))


def _ranked(ordered: Sequence[float], share: float) -> float:
    place = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = math.floor(place)
    return ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])


def leaning(own: Spread, wider: Spread | None) -> Spread:
    """Return the spread of a class that leans on that of the next wider one."""
    if wider is None:
        return own
    weight = own.rows / (own.rows + LEANING)
    low, median, high = (weight * getattr(own, name) + (1 - weight) * getattr(wider, name) for name in ("low", "median", "high"))
    return Spread(own.rows, low, median, high)


def build(rows: Sequence[Predicted], fitted: Sequence[str], blind: Sequence[Predicted] = (), source: str = "") -> dict[str, Any]:
    """Return the document of an error model.

    Args:
        rows: measured rows with the predictions of the GPUs that ship.
        fitted: boards whose die had a fit to rows like these.
        blind: rows predicted with nothing fitted to their board: the parameters come from a sibling, or from another die
            where the column ``evidence`` says ``generation``.
        source: where the rows come from, to be printed.

    Raises:
        TraceError: no row is among those that make the table, or a blind row has another word in its column ``evidence``.
    """
    table = rows_for(TABLE, rows)
    if not table:
        expected = "some of the shapes that make a table (a quarter, by a hash)"
        raise TraceError("measured rows", expected, f"none in {len(rows)} rows")
    boards = {name: load_arch(name).die for name in sorted({row.measured.arch for row in table})}
    unfitted = [row for row in table if row.measured.arch not in fitted]
    siblings = [row for row in unfitted if list(boards.values()).count(boards[row.measured.arch]) > 1]
    strangers = [row for row in unfitted if boards[row.measured.arch] not in {boards.get(name) for name in fitted}]
    groups = {
        Evidence.BOARD: table,
        Evidence.SIBLING: siblings + [row for row in blind if evidence_of(row) is Evidence.SIBLING],
        Evidence.GENERATION: strangers + [row for row in blind if evidence_of(row) is Evidence.GENERATION],
    }
    times = {evidence: errors_of(group) for evidence, group in groups.items()}
    speedups = {evidence: speedup_errors_of(group) for evidence, group in groups.items()}
    return {
        "made": f"{date.today()}: {len(table):,} rows{f' of {source}' if source else ''}",
        "fitted": sorted(fitted),
        "boards": boards,
        "together": together(times[Evidence.BOARD]),
        "times": list(_classes(times)),
        "speedups": list(_classes(speedups)),
    }


def evidence_of(row: Predicted) -> Evidence:
    """Return what is known of the board of a blind row, by its column ``evidence``; a sibling where that is empty.

    Raises:
        TraceError: for any other word.
    """
    text, known = row.measured.record.get("evidence") or Evidence.SIBLING, (Evidence.SIBLING, Evidence.GENERATION)
    if text not in known:
        raise TraceError(f"{row.measured.where}: evidence", " or ".join(known), quoted(text))
    return Evidence(text)


def _classes(groups: dict[Evidence, list[Error]]) -> Iterator[dict[str, Any]]:
    """Yield every class that has rows, with the share of errors between its ends."""
    for evidence, errors in groups.items():
        level = level_for(errors, evidence)
        for key, spread in sorted(_spreads(errors, evidence, level).items()):
            if key != WIDEST or evidence is Evidence.BOARD:
                figures = {name: round(getattr(spread, name), 5) for name in ("low", "median", "high")}
                yield {"class": list(key), "rows": spread.rows, "level": level, **figures}


def _spreads(errors: Sequence[Error], evidence: Evidence, level: float) -> dict[Key, Spread]:
    """Return the spread of every class, each leaning on the next wider one; the widest holds all rows."""
    logs: dict[Key, list[float]] = defaultdict(list)
    wider: dict[Key, Key] = {}
    for error in errors:
        chain = error.keys(evidence)
        for key in chain:
            logs[key].append(error.log)
        wider |= {key: parent_of(key, chain) for key in chain[:-1]}
    found: dict[Key, Spread] = {}

    def spread(key: Key) -> Spread:
        if key not in found:
            found[key] = leaning(spread_of(logs[key], level), spread(wider[key]) if key in wider else None)
        return found[key]

    return {key: spread(key) for key in logs if len(logs[key]) >= LEAST_ROWS or key == WIDEST}


def level_for(errors: Sequence[Error], evidence: Evidence) -> float:
    """Return the share of errors that intervals must hold in their table to hold ``LEVEL`` of those that are not in it.

    Of a board whose rows are known a part of the shapes is left out in turn; of others a whole board, and boards count alike
    (distribution-free prediction for groups: Dunn, Wasserman, Ramdas 2022).
    """
    left_out = _fold if evidence is Evidence.BOARD else _board
    if len({left_out(error) for error in errors}) < 2:
        return LEVEL
    return min(_LEVELS, key=lambda level: (abs(inside_left_out(errors, evidence, level, left_out) - LEVEL), level))


def _board(error: Error) -> str:
    return error.board


def _fold(error: Error) -> str:
    row = error.row.measured
    return str(hash((row.m, row.n, row.k, row.batch)) % _FOLDS)


def inside_left_out(errors: Sequence[Error], evidence: Evidence, level: float, left_out: Callable[[Error], str]) -> float:
    """Return which share of the errors that are left out in turn lies in the intervals that the others make, groups alike."""
    shares = []
    for group in sorted({left_out(error) for error in errors}):
        spreads = _spreads([error for error in errors if left_out(error) != group], evidence, level)
        own = [error for error in errors if left_out(error) == group]
        found = [(error.log, next(spreads[key] for key in error.keys(evidence) if key in spreads)) for error in own]
        shares.append(sum(spread.low <= log <= spread.high for log, spread in found) / len(own))
    return math.fsum(shares) / len(shares)


def together(errors: Sequence[Error]) -> float:
    """Return the share of the errors' variance that GEMMs of one network have in common.

    GEMMs of one board, type, sparsity and number of columns (tokens) stand for the layers of a network: the mean product of two
    of their errors, over the mean square (intraclass correlation, all about 0: a bias is in common, too).
    """
    groups: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for error in errors:
        row = error.row.measured
        groups[row.arch, row.sparse, row.dtype, row.n].append(error.log)
    squares = [error.log**2 for error in errors]
    products = [a * b for logs in groups.values() for a, b in list(combinations(logs, 2))[:_MOST_PAIRS]]
    if not products or not any(squares):
        return 1.0
    common = (math.fsum(products) / len(products)) / (math.fsum(squares) / len(squares))
    return round(min(max(common, 0.0), 1.0), 4)
