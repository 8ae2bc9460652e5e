"""aiconfigurator's system tables: GEMMs of TensorRT-LLM on random numbers, replayed in a CUDA graph (parquet, needs pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stcsim.errors import StcsimError, TraceError, closest
from stcsim.study.public.rows import DENSE, LeftOut, Row

_COLUMNS = ("device", "gemm_dtype", "m", "n", "k", "latency")
_REPLAYS = 6
_MOST_COPIES = 5
_OLD_RELEASE = "1.0.0"
"""Launches five copies of the weights in turn, however large; what its int8 weights were is not known."""


@dataclass(frozen=True, slots=True)
class _System:
    """A GPU of theirs: the name of its file here, and the L2 that its driver reports."""

    arch: str
    l2_mib: int


_SYSTEMS = {
    "a100_sxm": _System("a100", 40),
    "h100_sxm": _System("h100", 50),
    "h200_sxm": _System("h200", 50),
    "l40s": _System("l40s", 96),
    "b200_sxm": _System("b200", 126),
}


@dataclass(frozen=True, slots=True)
class _Type:
    """A ``gemm_dtype`` of theirs: stcsim's name, bits of a weight, grade, and what ran the GEMM."""

    dtype: str
    bits: int
    grade: str
    library: str


_TYPES = {
    "bfloat16": _Type("bf16", 16, "A", "cuBLAS (torch linear)"),
    "fp8": _Type("fp8e4m3", 8, "B", "TensorRT-LLM (with the quantisation of activations)"),
    "nvfp4": _Type("nvfp4", 4, "B", "TensorRT-LLM (with the quantisation of activations)"),
    "sq": _Type("int8", 8, "B", "TensorRT-LLM (SmoothQuant plugin)"),
}


def convert(file: Path, name: str) -> Iterator[Row | LeftOut]:
    """Yield the rows of one parquet file; their m is tokens, their n output features, times are in ms.

    Raises:
        TraceError: when the path names no known GPU, or a row lacks a column or a number.
    """
    folders = PurePosixPath(name).parts  # …/GPU/gemm/trtllm/RELEASE/gemm_perf.parquet
    system = next((_SYSTEMS[folder] for folder in folders if folder in _SYSTEMS), None)
    if system is None:
        raise TraceError(name, f"a folder of one of {', '.join(_SYSTEMS)}", "none")
    for number, record in enumerate(_records(file, name)):
        yield _row(record, system, folders[-2], f"{name}: row {number}")


def _row(record: dict[str, Any], system: _System, release: str, where: str) -> Row | LeftOut:
    kind = _TYPES.get(str(record["gemm_dtype"]))
    if kind is None:
        return LeftOut(f"of {record['gemm_dtype']} (not a GEMM of two plain types)")
    tokens, features, k = (_whole(record[name], f"{where}: {name}") for name in ("m", "n", "k"))
    old = release == _OLD_RELEASE
    copies = _MOST_COPIES if old else weight_copies(features * k * kind.bits // 8, system.l2_mib)
    return Row(
        arch=system.arch, gpu=str(record["device"]), sparsity=DENSE, library=kind.library, dtype=kind.dtype, out_dtype="bf16",
        m=features, n=tokens, k=k, time_us=1000 * _number(record["latency"], f"{where}: latency"), timing="graph",
        grade=kind.grade, suite=f"TensorRT-LLM {release}", weight_copies=copies, launches=_REPLAYS * copies,
        data="" if old and kind.dtype == "int8" else "randn",
    )  # fmt: skip


def weight_copies(weight_bytes: int, l2_mib: int) -> int:
    """Return how many copies of a weight are launched in turn: so many that they do not all fit into L2, five at most."""
    return min(max(-(-l2_mib * 2**20 // weight_bytes), 1), _MOST_COPIES)


def _records(file: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            _require(table.schema_arrow.names, name)
            records: list[dict[str, Any]] = table.read(columns=list(_COLUMNS)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise TraceError(name, "a parquet file", str(error).partition("\n")[0]) from None
    return records


def _require(columns: Sequence[str], name: str) -> None:
    for column in _COLUMNS:
        if column not in columns:
            raise TraceError(f"{name}: header", f"a column '{column}'", f"{', '.join(columns)}{closest(column, columns)}")


def _whole(value: object, where: str) -> int:
    number = _number(value, where)
    if not number >= 1 or number != int(number):
        raise TraceError(where, "a whole number above 0", f"'{value}'")
    return int(number)


def _number(value: object, where: str) -> float:
    try:
        return float(str(value)) if value is not None else 0.0
    except ValueError:
        raise TraceError(where, "a number", f"'{value}'") from None


def require_pyarrow() -> None:
    """Do nothing if parquet can be read.

    Raises:
        StcsimError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        expected = "the pyarrow package (pip install 'stcsim[data]'), or other sources by name (`stcsim data list`)"
        raise StcsimError("aiconfigurator", expected, "none") from None
