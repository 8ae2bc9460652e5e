"""VENOM's baselines on an RTX 3090: fp16, dense by cuBLAS and 2:4 by cuSPARSELt 0.3, neither with a search over algorithms."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stcsim.study.public.csv_file import CsvFile, read_csv
from stcsim.study.public.rows import DENSE, SPARSE, LeftOut, Row

_LIBRARIES = {DENSE: "cuBLAS", SPARSE: "cuSPARSELt 0.3"}
_CUSPARSELT = ("3", "3.0")
"""Its number in the column ``algo``; the others are VENOM's own kernels."""

Shape = tuple[int, int, int]


def convert(file: Path, name: str) -> Iterator[Row | LeftOut]:
    """Yield one dense and one 2:4 row for each shape of one file: the median where it was measured again. Times are in ms."""
    table = read_csv(file, name, ("m", "k", "n", "gemm_time", "algo", "spmm_time"))
    for (sparsity, (m, n, k)), times_ms in _times(table).items():
        yield Row(
            arch="rtx3090", gpu="RTX 3090", sparsity=sparsity, library=_LIBRARIES[sparsity], dtype="fp16", out_dtype="fp16",
            m=m, n=n, k=k, time_us=1000 * statistics.median(times_ms), timing="stream", grade="B", suite=PurePosixPath(name).stem,
        )  # fmt: skip


def _times(table: CsvFile) -> dict[tuple[str, Shape], list[float]]:
    """Return every time in ms by sparsity and (m, n, k); zeros only where there is nothing else."""
    times_ms: dict[tuple[str, Shape], list[float]] = defaultdict(list)
    for record in table.records:
        m, n, k = (record.whole(column) for column in ("m", "n", "k"))
        times_ms[DENSE, (m, n, k)].append(record.number("gemm_time"))
        if (record.cells["algo"] or "").strip() in _CUSPARSELT:
            times_ms[SPARSE, (m, n, k)].append(record.number("spmm_time"))
    return {key: [each for each in times if each > 0] or [0.0] for key, times in times_ms.items()}
