"""Measured GEMM tables: one CSV row per kernel timed on a real GPU (columns: docs/measured-tables.md)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from stcsim.errors import StcsimError, TraceError, closest, quoted
from stcsim.isa import dtype, type_bytes
from stcsim.words import Data, Launch, Sparsity, whole_of, word

T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)

SEARCH_LAUNCHES = 300
"""Launches that an exhaustive search for the algorithm leaves behind it (assumed: 80 to 800 fit as well)."""
_SEARCHING = ("cublaslt", "cusparselt")
"""Libraries whose callers search, as the names in the column ``library`` begin."""
SIDES = (Sparsity.DENSE, Sparsity.SPARSE)
REQUIRED = ("arch", "sparsity", "dtype", "m", "n", "k", "time_us")
_DEFAULTS = {
    "batch": "1",
    "out_dtype": "",
    "timing": "graph",
    "weights_in_l2": "False",
    "weight_copies": "",
    "launches_before": "",
    "grade": "A",
    "source": "",
    "data": "randn",
    "launches": "100",
    "suite": "",
    "library": "",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured GEMM.

    Attributes:
        arch: name of the GPU's file.
        m, n, k, batch: stcsim's convention (m is the weight side).
        time_us: measured time, launch as ``timing`` says (``graph``, ``stream`` or ``kernel``).
        weight_copies: how many sets of weights were launched in turn; 0 where they were cold in every launch.
        launches: how many in a row one time is the mean of (a board needs time to enforce its power limit).
        launches_before: how many of the same kernel ran right before those.
        by_heuristic: the kernel was taken by the heuristics of cuBLAS, not by a search.
        data: ``randn``, or ``low-power`` (zeros, constants).
        grade: A (trusted), B (caveat) or C (not scored).
        where: file and line.
        record: the row as read, all columns.
    """

    arch: str
    sparse: bool
    dtype: str
    out_dtype: str
    m: int
    n: int
    k: int
    batch: int
    time_us: float
    timing: str
    weight_copies: int
    data: str
    launches: int
    launches_before: int
    by_heuristic: bool
    grade: str
    where: str
    record: dict[str, str]

    @property
    def flops(self) -> int:
        """Operations, 2 per multiply-accumulate."""
        return 2 * self.m * self.n * self.k * self.batch

    @property
    def pair(self) -> tuple[object, ...]:
        """What a dense and a 2:4 row of one GEMM have in common."""
        record = self.record
        shape = (self.m, self.n, self.k, self.batch)
        return (
            self.arch,
            self.dtype,
            shape,
            self.timing,
            self.weight_copies,
            record.get("source"),
            record.get("suite"),
            self.grade,
        )


def read_measured(paths: Iterable[Path]) -> list[Measured]:
    """Read measured tables: CSV files, or folders of them (sorted by name).

    Raises:
        TraceError: a path that does not exist, a folder without CSV files, a missing column, a bad value (with file and line).
    """
    return [row for path in paths for file in _files(Path(path)) for row in _read(file)]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.csv"))
        if not files:
            raise TraceError(str(path), "a folder with .csv files", "none in it")
        return files
    if not path.exists():
        raise TraceError(str(path), "a CSV file or a folder of them", "no such file or folder")
    return [path]


def _read(file: Path) -> Iterator[Measured]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            columns = list(reader.fieldnames or ())
            for name in REQUIRED:
                if name not in columns:
                    raise TraceError(
                        f"{file}: header",
                        f"a column '{name}'",
                        f"{', '.join(columns) or 'an empty file'}{closest(name, columns)}",
                    )
            for record in reader:
                yield _parse(record, f"{file}:{reader.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(str(file), "a UTF-8 CSV table", str(error)) from None


def _parse(record: dict[str, str], where: str) -> Measured:
    full = _DEFAULTS | {key: value for key, value in record.items() if key is not None and value not in (None, "")}
    for name in REQUIRED:
        if name not in full:
            raise TraceError(f"{where}: {name}", "a value", "an empty field")
    m, n, k, batch = (_whole(full[name], f"{where}: {name}") for name in ("m", "n", "k", "batch"))
    element = _named(dtype, full["dtype"], f"{where}: dtype")
    out_dtype = full["out_dtype"] or element.out
    _named(type_bytes, out_dtype, f"{where}: out_dtype")
    return Measured(
        arch=full["arch"], sparse=_word(SIDES, full["sparsity"], f"{where}: sparsity") is Sparsity.SPARSE, dtype=element.name,
        out_dtype=out_dtype, m=m, n=n, k=k, batch=batch, time_us=_positive(full["time_us"], f"{where}: time_us"),
        timing=_word(Launch, full["timing"], f"{where}: timing").value,
        weight_copies=_copies(full, where),
        data=_word(Data, full["data"], f"{where}: data").value,
        launches=_whole(full["launches"], f"{where}: launches"),
        launches_before=_before(full, where),
        by_heuristic=_picks_unmeasured(full["library"].lower()),
        grade=full["grade"], where=where, record={str(key): value or "" for key, value in record.items()},
    )  # fmt: skip


def _copies(full: dict[str, str], where: str) -> int:
    """Return how many sets of weights were launched in turn: from its column, or from what ``weights_in_l2`` says of one."""
    same = _choice(full["weights_in_l2"].lower(), ("true", "false"), f"{where}: weights_in_l2") == "true"
    if not full["weight_copies"]:
        return int(same)
    return _whole(full["weight_copies"], f"{where}: weight_copies")


def _before(full: dict[str, str], where: str) -> int:
    """Return how many launches ran right before those that were timed: from its column, or as public suites do.

    They warm up with half as many as they time, and libraries that search time many kernels of one GEMM before.
    """
    if full["launches_before"]:
        return _whole(full["launches_before"], f"{where}: launches_before", least=0)
    warm_up = _whole(full["launches"], f"{where}: launches") // 2
    return warm_up + (SEARCH_LAUNCHES if full["library"].lower().startswith(_SEARCHING) else 0)


def _picks_unmeasured(library: str) -> bool:
    """Whether ``library``, in lower case, is cuBLAS: cuBLASLt and cuSPARSELt let their callers search."""
    return library.startswith("cublas") and not library.startswith("cublaslt")


def _word(known: Iterable[W], text: str, where: str) -> W:
    return _named(lambda name: word(known, name, where), text, where)


def _named(find: Callable[[str], T], name: str, where: str) -> T:
    try:
        return find(name)
    except StcsimError as error:
        raise TraceError(where, error.expected, error.found) from None


def _whole(text: str, where: str, least: int = 1) -> int:
    number = whole_of(text)
    if number is None or number < least:
        raise TraceError(where, "a whole number above 0" if least else "a whole number from 0 on", quoted(text))
    return number


def _positive(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise TraceError(where, "a time above 0 in microseconds", quoted(text))
    return value


def _choice(text: str, known: tuple[str, ...], where: str) -> str:
    if text not in known:
        raise TraceError(where, f"one of {', '.join(known)}", quoted(text))
    return text
