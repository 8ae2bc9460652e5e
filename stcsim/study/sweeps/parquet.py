"""Rows of a study as a Parquet file, with the types of their columns whatever is in them; the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from stcsim.errors import StcsimError
from stcsim.study.sweeps.figures import Figures
from stcsim.study.sweeps.rows import Row

_FLAGS = ("unchanged", "mark", "feasible")


def check_parquet() -> None:
    """Do nothing where Parquet can be written.

    Raises:
        StcsimError: when pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise StcsimError("parquet", "pyarrow (pip install 'stcsim[data]')", "none")


def parquet_bytes(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    """Return the content of a Parquet file.

    Raises:
        StcsimError: when pyarrow is not installed.
    """
    check_parquet()
    import pyarrow
    import pyarrow.parquet

    known = {field.name: str(field.type).split(" ")[0] for field in fields(Figures)} | dict.fromkeys(_FLAGS, "bool")
    arrow = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_(), "str": pyarrow.string()}
    schema = pyarrow.schema([(name, arrow[known.get(name) or _kind([row[name] for row in rows])]) for name in columns])
    content = [{name: _fitting(row[name], schema.field(name).type, pyarrow.string()) for name in columns} for row in rows]
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content, schema=schema), sink)
    return sink.getvalue()


def _kind(values: Sequence[object]) -> str:
    """Return the one kind that holds all values of a column that says what a cell is."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int}:
        return "int"
    return "float" if kinds and kinds <= {int, float} else "str"


def _fitting(value: object, kind: Any, text: Any) -> object:
    return str(value) if kind == text and value is not None else value
