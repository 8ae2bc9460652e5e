"""The words that arguments take, each list once, and the door that every public function has: words, sizes, numbers, names.

A word may be written in any case of letters; what is no such word is refused in one sentence that names the argument. The command
line has the same words, and writes the argument as its option (``stcsim.cli.command``).
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from stcsim.errors import UnsupportedError, closest, quoted


class Sparsity(StrEnum):
    """Which kernels a run simulates: dense ones, 2:4 ones, or both."""

    BOTH = "both"
    DENSE = "dense"
    SPARSE = "2:4"


class Engine(StrEnum):
    """Which of two engines: the quick one, or the readable one, which agrees with it exactly."""

    FAST = "fast"
    REFERENCE = "reference"


class Launch(StrEnum):
    """How kernels are launched: by CUDA-graph replay, one by one into a stream, or at no cost (a profiler's kernel time)."""

    GRAPH = "graph"
    STREAM = "stream"
    KERNEL = "kernel"


class Fusion(StrEnum):
    """Whether memory operations run in the kernel of the operation before them."""

    EPILOGUE = "epilogue"
    NONE = "none"


class Data(StrEnum):
    """What is multiplied: random numbers, or zeros and constants, which draw less power."""

    RANDN = "randn"
    LOW_POWER = "low-power"


class Pick(StrEnum):
    """How a library picks a kernel where none is named: by timing what may be the fastest, or by its heuristics."""

    SEARCH = "search"
    HEURISTIC = "heuristic"


class Library(StrEnum):
    """Whose 2:4 kernels may be taken, and by which rule; with none a runtime takes no 2:4 kernel."""

    CUSPARSELT = "cusparselt"
    CUTLASS = "cutlass"
    TORCH = "torch"
    TORCHAO = "torchao"
    VLLM = "vllm"
    TENSORRT = "tensorrt"
    NONE = "none"


class Blocking(StrEnum):
    """How the products of a sparse instruction are cut into blocks: the kept ones alone, or with the zeros between them."""

    KEPT = "kept"
    EXPANDED = "expanded"


class Metric(StrEnum):
    """What the figure of a curve shows."""

    SPEEDUP = "speedup"
    TOPS = "tops"
    TIME = "time"
    MEMORY = "memory"
    TOPS_PER_WATT = "tops-per-watt"


class Method(StrEnum):
    """How pruning chooses what stays: the largest of each group, or of 4x4 tiles so that columns hold the pattern too."""

    MAGNITUDE = "magnitude"
    BEST_2D = "2d-best"
    GREEDY_2D = "2d-greedy"


class ConvOrder(StrEnum):
    """In which order a filter (K, C, R, S) lies along the reduction: as GEMM kernels run it, or as PyTorch stores it."""

    RSC = "rsc"
    CRS = "crs"


class WeightLayout(StrEnum):
    """How a file holds pruned weights: zeros in place, or values and bitmasks as compressed-tensors wrote them."""

    ZEROS = "zeros"
    BITMASK = "sparse-24-bitmask"


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


W = TypeVar("W", bound=StrEnum)

_TOO_LARGE = 2**63
MOST_DIGITS = 100
"""Digits of a number in a text; every one that is of use has fewer, and Python refuses to read many thousands."""

_MEANT = {"sparse": Sparsity.SPARSE, "md": Format.MARKDOWN}
"""Words that people try, which no spelling would lead to the right one from."""


def word(known: Iterable[W], value: object, argument: str) -> W:
    """Return the word that ``value`` spells, in any case of letters and with ``_`` for ``-``.

    Args:
        known: a list of words, or some of one.
        value: what a caller gave.
        argument: what the caller called it, for the error.

    Raises:
        UnsupportedError: for anything else.
    """
    spelled = value.strip().lower().replace("_", "-") if isinstance(value, str) else None
    known = list(known)
    for each in known:
        if spelled == each.value:
            return each
    meant = _MEANT.get(spelled) if spelled else None
    hint = f" (did you mean '{meant}'?)" if meant in known else closest(value, known)
    raise UnsupportedError(argument, f"one of {', '.join(known)}", f"{quoted(value)}{hint}")


def size(value: object, argument: str, least: int = 1) -> int:
    """Return ``value``, a whole number from ``least`` on; those of numpy are whole numbers too, ``True`` and ``2.0`` are none.

    Raises:
        UnsupportedError: for anything else.
    """
    try:
        whole = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None or not least <= whole < _TOO_LARGE:
        expected = f"a whole number above {least - 1}" if least > 0 else f"a whole number from {least} on"
        expected += ", below 2^63" if whole is not None and whole >= _TOO_LARGE else ""
        raise UnsupportedError(argument, expected, quoted(value))
    return int(whole)


def whole_of(text: str) -> int | None:
    """Return the whole number that decimal digits spell, ``None`` for anything else, thousands of digits too."""
    spelled = text.strip()
    return int(spelled) if spelled.isdecimal() and len(spelled) <= MOST_DIGITS else None


def flag(value: object, argument: str) -> bool:
    """Return ``value``, which is ``True`` or ``False``.

    Raises:
        UnsupportedError: for anything else, 0 and 1 too.
    """
    if not isinstance(value, bool):
        raise UnsupportedError(argument, "True or False", quoted(value))
    return value


def text(value: object, argument: str, expected: str) -> str:
    """Return ``value``, which is a text.

    Raises:
        UnsupportedError: for anything else; ``expected`` says what the text would have been.
    """
    if not isinstance(value, str):
        raise UnsupportedError(argument, expected, quoted(value))
    return value


def texts(value: object, argument: str, expected: str) -> tuple[str, ...]:
    """Return ``value``, texts, as a tuple; one text alone stands for itself.

    Raises:
        UnsupportedError: for anything else.
    """
    if isinstance(value, str):
        return (value,)
    try:
        several = list(value)  # type: ignore[call-overload]
    except TypeError:  # an array without dimensions says that it can be iterated over
        raise UnsupportedError(argument, expected, quoted(value)) from None
    return tuple(text(each, argument, expected) for each in several)


def path_of(value: object, argument: str) -> Path:
    """Return ``value``, which names a file or folder that may or may not exist.

    Raises:
        UnsupportedError: for anything else, and for a name that no file can have.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise UnsupportedError(argument, "the path of a file or folder", quoted(value))
    path = Path(value)
    try:
        path.exists()
    except (OSError, ValueError) as error:  # too long, or with a character of no name
        found = (error.strerror or "no name") if isinstance(error, OSError) else str(error)
        raise UnsupportedError(argument, "the path of a file or folder", f"{quoted(str(value))} ({found.lower()})") from None
    return path


def listed(value: object, argument: str, expected: str) -> Sequence[object]:
    """Return ``value`` as a list: the words of a text with commas between, the members of a collection, or the one value itself.

    Raises:
        UnsupportedError: for an empty word between commas, or an empty list.
    """
    if isinstance(value, str):
        words = [each.strip() for each in value.split(",")]
        if not all(words):
            raise UnsupportedError(argument, f"{expected} with commas between", quoted(value))
        return words
    many = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if not many:
        raise UnsupportedError(argument, expected, "none")
    return many
