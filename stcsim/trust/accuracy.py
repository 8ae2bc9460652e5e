"""How far predictions may be off: a model of the model's own error, learned from measured rows.

What ships (``accuracy.json``) is made by ``stcsim accuracy build`` from measured tables: for each class of GEMMs the 10th and the
90th percentile of measured over predicted time, and of measured over predicted speedup where both sides were measured. A class
is what is known of the GPU (``Evidence``), its name where rows of it are there, sparsity, width of the type and size; where a
class has few rows a coarser one answers. A time's interval need not hold the prediction itself: where a class is known to be
predicted too fast, it says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from stcsim.arch import Arch, arch_names, load_arch
from stcsim.errors import StcsimError
from stcsim.isa import DType
from stcsim.result import Interval

FILE = Path(__file__).with_name("accuracy.json")
LEVEL = 0.8
"""Share of measurements that an interval is to hold."""
LEAST_ROWS = 10
"""Rows that a class needs to answer for itself; it leans on the next wider one as it is."""
_EXPECTED = "a file that `stcsim accuracy build` wrote"
_SMALLEST, _LARGEST = 8, 12  # decades of operations: below and above, classes are open


class Evidence(StrEnum):
    """What is known of a GPU."""

    BOARD = "board"
    """Measured GEMM times of this very board."""
    SIBLING = "sibling"
    """Of another board with the same die (or this one, changed)."""
    GENERATION = "generation"
    """Of another die at best: clocks, energies and rates of the libraries are taken over or assumed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured over predicted, as natural logarithms: 10th percentile, median and 90th percentile of a class of ``rows``."""

    rows: int
    low: float
    median: float
    high: float

    def of(self, figure: float) -> Interval:
        """Return the interval of a prediction."""
        return Interval(figure * math.exp(self.low), figure * math.exp(self.high))


Key = tuple[str, ...]
"""A class: evidence or board, sparsity, width, size; ``*`` where it is open."""
WIDEST: Key = ("*", "*", "*", "*")
"""The class of everything."""


def size_class(operations: float) -> str:
    """Return the decade of so many operations, e.g. ``"10^9"``."""
    decade = int(math.log10(max(operations, 1.0)))
    return f"10^{min(max(decade, _SMALLEST), _LARGEST)}"


def width_class(dtype: DType) -> str:
    """Return the class of a type: its bits."""
    return str(dtype.bits)


@dataclass(frozen=True, slots=True)
class Known:
    """A GPU and what is known of it."""

    name: str
    evidence: Evidence


def keys_of(known: Known, sparse: bool, dtype: DType, operations: float) -> list[Key]:
    """Return the classes that may answer for a GEMM, the finest first: the board's own, those of its evidence, all."""
    mode, width, size = "2:4" if sparse else "dense", width_class(dtype), size_class(operations)
    places = [known.name] if known.evidence is Evidence.BOARD else []
    of_places = [
        (place, mode, *rest) for place in (*places, known.evidence.value) for rest in ((width, size), (width, "*"), ("*", "*"))
    ]
    return [*of_places, ("*", mode, "*", "*"), WIDEST]


def parent_of(key: Key, chain: Sequence[Key]) -> Key:
    """Return the next wider class of ``key`` in its chain: a board's whole leans on all boards', not on a part of them."""
    return next(other for other in chain[chain.index(key) + 1 :] if other.count("*") >= key.count("*"))


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """What is known of the errors of predictions.

    Attributes:
        times, speedups: spread by class; no speedups where none was measured.
        together: share of the error's variance that layers of one network have in common.
        boards: those with measured rows, with their dies.
        fitted: of these, those whose die had a fit to rows like them.
        made: when and from what, to be printed.
    """

    times: dict[Key, Spread]
    speedups: dict[Key, Spread]
    together: float
    boards: dict[str, str]
    fitted: tuple[str, ...]
    made: str

    def known(self, arch: Arch) -> Known:
        """Return what is known of a GPU; one that was changed is a sibling of itself."""
        if arch.name in self.boards and not is_changed(arch):
            return Known(arch.name, Evidence.BOARD)
        return Known(arch.name, Evidence.SIBLING if arch.die in self.boards.values() else Evidence.GENERATION)

    def of_time(self, known: Known, sparse: bool, dtype: DType, operations: float) -> Spread:
        """Return the spread of a GEMM's time."""
        return self._find(self.times, keys_of(known, sparse, dtype, operations))

    def of_speedup(self, known: Known, dtype: DType, operations: float) -> Spread:
        """Return the spread of a GEMM's 2:4 speedup: dense and 2:4 errors of one shape go together."""
        return self._find(self.speedups, keys_of(known, True, dtype, operations))

    @staticmethod
    def _find(classes: dict[Key, Spread], keys: Iterable[Key]) -> Spread:
        return next(classes[key] for key in keys if key in classes)

    def of_sum(self, parts: Sequence[tuple[float, Spread]]) -> Spread:
        """Return the spread of a sum of ``(time, spread)``: one entry for each different GEMM, with all its launches.

        Errors that layers have in common do not average out, and launches of one GEMM have all of it in common: half the width
        of the sum is that of its parts times the root of ``together`` plus the rest times the sum of squared shares.
        """
        total = math.fsum(time for time, _ in parts) or 1.0
        shares = [(time / total, spread) for time, spread in parts]
        narrower = math.sqrt(self.together + (1 - self.together) * math.fsum(share * share for share, _ in shares))
        median = math.fsum(share * spread.median for share, spread in shares)
        below = math.fsum(share * (spread.median - spread.low) for share, spread in shares)
        above = math.fsum(share * (spread.high - spread.median) for share, spread in shares)
        rows = min((spread.rows for _, spread in shares), default=0)
        return Spread(rows, median - narrower * below, median, median + narrower * above)


@cache
def error_model() -> ErrorModel:
    """Return the error model that ships."""
    return from_document(json.loads(FILE.read_text(encoding="utf-8")))


def read_error_model(path: Path) -> ErrorModel:
    """Return the error model in a file.

    Raises:
        StcsimError: a file that cannot be read or is no error model.
    """
    try:
        return from_document(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StcsimError(str(path), _EXPECTED, error.strerror or type(error).__name__) from None
    except json.JSONDecodeError as error:
        raise StcsimError(str(path), _EXPECTED, f"no JSON in line {error.lineno}") from None
    except KeyError as error:
        raise StcsimError(str(path), _EXPECTED, f"one without {error}") from None
    except (ValueError, TypeError) as error:
        raise StcsimError(str(path), _EXPECTED, str(error)) from None


def from_document(document: dict[str, Any]) -> ErrorModel:
    """Return the error model that ``accuracy.json`` holds.

    Raises:
        KeyError, TypeError, ValueError: for any other document.
    """
    if not isinstance(document, dict):
        raise TypeError(f"a {type(document).__name__}")

    def spread(row: dict[str, Any]) -> Spread:
        low, median, high = (float(row[name]) for name in ("low", "median", "high"))
        if not low <= median <= high:
            raise ValueError(f"percentiles out of order in class {row['class']}")
        return Spread(int(row["rows"]), low, median, high)

    def classes(name: str) -> dict[Key, Spread]:
        found = {tuple(row["class"]): spread(row) for row in document[name]}
        if WIDEST not in found and (found or name == "times"):
            raise ValueError(f"{name} without the class of all rows")
        return found

    boards, fitted = dict(document["boards"]), tuple(document["fitted"])
    return ErrorModel(classes("times"), classes("speedups"), document["together"], boards, fitted, document["made"])


def is_changed(arch: Arch) -> bool:
    """Whether a GPU is not as it ships: a what-if, or a file of the user's own."""
    return arch.name not in arch_names() or arch.to_dict() != _shipped(arch.name)


@cache
def _shipped(name: str) -> dict[str, Any]:
    return load_arch(name).to_dict()
