"""Vidur's profiles of linear layers on an A40: fp16, kernel times of torch's profiler, for several degrees of parallelism."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from stcsim.study.public.csv_file import Record, read_csv
from stcsim.study.public.rows import DENSE, LeftOut, Row

_SIZES = ("num_tokens", "num_tensor_parallel_workers", "n_embd", "n_expanded_embd", "n_head", "n_kv_head")
_GATED = "use_gated_mlp"
_OPERATIONS = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
_TRUSTED_US = 30.0
"""The profiler counts whole microseconds."""

Shape = tuple[int, int]


def convert(file: Path, name: str) -> Iterator[Row | LeftOut]:
    """Yield four rows for each line of one ``mlp.csv``; times are in ms."""
    table = read_csv(file, name, (*_SIZES, _GATED, *map(_column, _OPERATIONS)))
    suite = "/".join(PurePosixPath(name).parts[-3:-1])
    for record in table.records:
        shapes = shapes_of([record.whole(column) for column in _SIZES[1:]], _is_true(record))
        for operation, shape in shapes.items():
            yield _row(record, operation, shape, suite)


def shapes_of(sizes: Sequence[int], gated: bool) -> dict[str, Shape | None]:
    """Return (output features, reduction) of each operation on one of several GPUs.

    Args:
        sizes: GPUs, width of the model, width between, heads, heads of keys and values.
        gated: whether the widening layer has two halves.

    Returns:
        ``None`` where a layer does not divide among the GPUs.
    """
    parts, width, expanded, heads, kv_heads = sizes
    rows = (heads + 2 * kv_heads) * width, heads * parts
    return {
        "attn_pre_proj": _shape(rows, (width, 1)),
        "attn_post_proj": _shape((width, 1), (width, parts)),
        "mlp_up_proj": _shape(((2 if gated else 1) * expanded, parts), (width, 1)),
        "mlp_down_proj": _shape((width, 1), (expanded, parts)),
    }


def _shape(m: tuple[int, int], k: tuple[int, int]) -> Shape | None:
    """Return two fractions as whole numbers; ``None`` where one of them is none."""
    return (m[0] // m[1], k[0] // k[1]) if m[0] % m[1] == 0 == k[0] % k[1] else None


def _row(record: Record, operation: str, shape: Shape | None, suite: str) -> Row | LeftOut:
    if shape is None:
        return LeftOut("of layers that do not divide among their GPUs")
    time_us = 1000 * record.number(_column(operation))
    return Row(
        arch="a40", gpu="A40", sparsity=DENSE, library="cuBLAS (torch linear)", dtype="fp16", out_dtype="fp16",
        m=shape[0], n=record.whole("num_tokens"), k=shape[1], time_us=time_us, timing="kernel",
        grade="A" if time_us >= _TRUSTED_US else "B", suite=suite,
    )  # fmt: skip


def _column(operation: str) -> str:
    return f"time_stats.{operation}.median"


def _is_true(record: Record) -> bool:
    return record.cells[_GATED].strip().lower() in ("true", "1", "1.0")
