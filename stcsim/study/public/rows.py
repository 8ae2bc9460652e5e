"""One measured GEMM of a public table in stcsim's columns, and what keeps a row out."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from stcsim.arch import Arch, arch_names, load_arch
from stcsim.errors import UnsupportedError
from stcsim.isa import dtype as known_dtype

COLUMNS = (
    "source", "arch", "gpu", "sparsity", "library", "dtype", "acc_dtype", "out_dtype", "m", "n", "k", "batch", "time_us",
    "timing", "weights_in_l2", "weight_copies", "launches", "data", "grade", "suite",
)  # fmt: skip

DENSE, SPARSE = "dense", "2:4"
_OVER_PEAK = {DENSE: 1.15, SPARSE: 2.2}
"""A rate above so many dense peaks of the vendor was not reached by the GEMM that a row names."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured GEMM; what a source does not say is ``None`` or empty: ``read_measured`` then takes its defaults.

    Attributes:
        arch: name of the GPU's file, whether or not stcsim has it.
        gpu: the board as the source names it.
        library: ``cuBLAS…`` (not ``cuBLASLt…``) where heuristics picked the kernel.
        dtype, out_dtype: of inputs and of the result.
        m, n, k: output features, tokens, reduction.
        time_us: of one launch; 0 where it was not run.
        timing: ``graph``, ``stream`` or ``kernel``.
        weight_copies: buffers of weights that are launched in turn.
        launches: how many one time is the mean of.
        data: ``randn`` or ``low-power``.
        grade: A, B or C.
        suite: the model or release it belongs to.
    """

    arch: str
    gpu: str
    sparsity: str
    library: str
    dtype: str
    out_dtype: str
    m: int
    n: int
    k: int
    time_us: float
    timing: str
    grade: str
    suite: str
    weight_copies: int | None = None
    launches: int | None = None
    data: str = ""

    def cells(self, source: str) -> tuple[object, ...]:
        """Return the cells of ``COLUMNS``."""
        warm = "" if self.weight_copies is None else self.weight_copies == 1
        copies, launches = ("" if each is None else each for each in (self.weight_copies, self.launches))
        accumulator = known_dtype(self.dtype).acc
        types = self.dtype, accumulator, self.out_dtype
        shape = self.m, self.n, self.k, 1
        how = f"{self.time_us:.10g}", self.timing, warm, copies, launches, self.data, self.grade, self.suite
        return source, self.arch, self.gpu, self.sparsity, self.library, *types, *shape, *how


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that a converter does not use; ``why`` goes on after the word "rows"."""

    why: str
    rows: int = 1


Convert = Callable[[Path, str], Iterable[Row | LeftOut]]
"""Reads one file of a source, named by its path in the repository."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows by GPU, and how many were left out for which reason."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, found: Iterable[Row | LeftOut]) -> None:
        """Put every row where it belongs."""
        for each in found:
            if isinstance(each, LeftOut):
                self.left_out[each.why] += each.rows
            elif why := reason_against(each):
                self.left_out[why] += 1
            else:
                self.rows[each.arch].append(each)


def reason_against(row: Row) -> str:
    """Return why a row cannot be compared with a prediction, in words that go on after "rows"; empty where it can."""
    if not 0 < row.time_us < math.inf:
        return "without a time (not run)"
    arch = _arch(row.arch)
    if arch is None:
        return f"of {row.arch} (no such GPU file)"
    peak_tops = _dense_peak_tops(arch, row)
    if peak_tops is None:
        return f"of {row.dtype} {row.sparsity} on {row.arch} (stcsim does not simulate it there)"
    if 2e-6 * row.m * row.n * row.k / row.time_us > _OVER_PEAK[row.sparsity] * peak_tops:
        return f"faster than {_OVER_PEAK[row.sparsity]:g} dense peaks ({row.sparsity})"
    return ""


@cache
def _arch(name: str) -> Arch | None:
    return load_arch(name) if name in arch_names() else None


def _dense_peak_tops(arch: Arch, row: Row) -> float | None:
    try:
        return arch.peak_tops(row.dtype, False) if arch.supports(row.dtype, row.sparsity == SPARSE) else None
    except UnsupportedError:  # a type that stcsim does not know at all
        return None


def csv_text(source: str, rows: Iterable[Row]) -> str:
    """Return ``rows`` as a measured table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells(source) for row in rows)
    return text.getvalue()
