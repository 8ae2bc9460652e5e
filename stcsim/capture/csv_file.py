"""A table of GEMMs as a trace: CSV with the columns name, m, n, k and, if wanted, batch, count and weights."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from stcsim.errors import TraceError, closest, quoted
from stcsim.trace import Gemm, Source, Trace
from stcsim.trace.model import inside
from stcsim.words import whole_of

REQUIRED = ("name", "m", "n", "k")
NUMBERS = ("m", "n", "k", "batch", "count")
COLUMNS = (*REQUIRED, "batch", "count", "weights")

#: Whether A is a weight, which may be pruned, or an activation, which never is.
WEIGHTS: dict[str, Literal["a"] | None] = {"yes": "a", "no": None}


def open_csv(path: Path) -> Trace:
    """Return a trace of one GEMM for each line of a table; it is right at its own batch only, since n is given as it is.

    Args:
        path: a file whose first line names the columns, in any order: ``name,m,n,k`` and, if wanted, ``batch`` (independent
            products, 1 by default), ``count`` (identical launches, 1) and ``weights`` (``yes`` or ``no``, yes).

    Raises:
        TraceError: naming the line of the first cell that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TraceError(str(path), "a file that can be read", error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise TraceError(str(path), "a table as text (CSV)", "a file that is no text") from None
    with inside(str(path), joint=": "):
        ops = tuple(_gemms(text))
        if not ops:
            raise TraceError("table", "a line of column names, then at least one GEMM", _nothing(text))
    return Trace(
        name=path.stem,
        title=f"{path.stem}, {len(ops)} GEMM{'s' if len(ops) > 1 else ''}",
        source=Source(model=path.name, library="CSV", version="none", notes="sizes as the table gives them"),
        batch=1,
        input_shape={},
        rescalable=False,
        ops=ops,
    )


def _gemms(text: str) -> Iterator[Gemm]:
    """Yield the GEMM of each line that is not blank."""
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            where, cells = f"line {reader.line_num}", [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = _columns(where, cells)
                continue
            if len(cells) != len(columns):
                raise TraceError(where, f"{len(columns)} cells ({', '.join(columns)})", str(len(cells)))
            yield _gemm(where, dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        raise TraceError(f"line {reader.line_num}", "cells between commas", str(error)) from None


def _columns(where: str, cells: list[str]) -> list[str]:
    """Return the names of the columns."""
    names = [cell.lower() for cell in cells]
    for name in names:
        if name not in COLUMNS:
            raise TraceError(where, f"columns out of {', '.join(COLUMNS)}", f"'{name}'{closest(name, COLUMNS)}")
        if names.count(name) > 1:
            raise TraceError(where, f"one column '{name}'", str(names.count(name)))
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise TraceError(where, f"the columns {', '.join(REQUIRED)}", f"no column '{missing[0]}'")
    return names


def _gemm(where: str, row: dict[str, str]) -> Gemm:
    """Return the GEMM of one line; an empty cell of a column that need not be there stands for its default."""
    if not row["name"]:
        raise TraceError(f"{where}: name", "a name", "an empty cell")
    sizes: dict[str, Any] = {}
    for column in NUMBERS:
        cell = row.get(column, "")
        if not cell and column not in REQUIRED:
            continue
        if not cell.isascii() or not (number := whole_of(cell)):
            raise TraceError(f"{where}: {column}", "a whole number above 0", quoted(cell) if cell else "an empty cell")
        sizes[column] = number
    weights = row.get("weights", "").lower() or "yes"
    if weights not in WEIGHTS:
        raise TraceError(f"{where}: weights", "yes or no", f"'{row['weights']}'")
    with inside(where, joint=": "):
        return Gemm(name=row["name"], weight_operand=WEIGHTS[weights], origin="CSV", **sizes)


def _nothing(text: str) -> str:
    return "column names only" if text.strip() else "an empty file"
