"""Results as JSON and CSV: every figure exact, every file whole or not there."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stcsim.files import write_whole
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, RunResult

_SIDES = ("dense", "sparse", "chosen")
_OF_CHOSEN = ("time_us", "clock_mhz", "energy_uj")
"""What a layer's line says of the chosen kernel, whose other figures stand under its side."""


def to_json(result: RunResult) -> dict[str, Any]:
    """Return ``result`` as plain mappings, lists, numbers and texts, under the names of its fields."""
    return asdict(result)


def write_json(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``document`` as JSON; a NaN or an infinity in it is a bug and raises ``ValueError``."""
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(result: RunResult, path: str | os.PathLike[str]) -> None:
    """Write one line for each layer, then for each memory operation with a kernel of its own.

    Each figure has a column, such as ``dense_time_us`` or ``sparse_breakdown_l2``.
    """
    write_lines([*map(flat_row, result.rows), *map(flat_row, result.memory)], path)


def write_lines(lines: Sequence[Mapping[str, object]], path: str | os.PathLike[str]) -> None:
    """Write ``lines`` as CSV with the columns of all of them; what a line lacks is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=_columns(lines), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_whole(path, text.getvalue())


def flat_row(row: LayerRow | MemoryRow) -> dict[str, object]:
    """Return the figures of ``row`` in one mapping."""
    fields = {name: value for name, value in asdict(row).items() if name not in _SIDES}
    fields["fused"] = " ".join(row.fused)
    if isinstance(row, MemoryRow):
        return fields | _flat_kernel("dense", row.dense) | _flat_kernel("chosen", row.chosen)
    chosen = {f"chosen_{name}": getattr(row.chosen, name) for name in _OF_CHOSEN}
    return fields | _flat_kernel("dense", row.dense) | _flat_kernel("sparse", row.sparse) | chosen


def _flat_kernel(side: str, kernel: KernelResult | MemoryResult | None) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in (asdict(kernel) if kernel else {}).items():
        if isinstance(value, dict):
            flat |= {f"{side}_{name}_{part}": figure for part, figure in value.items()}
        else:
            flat[f"{side}_{name}"] = value
    return flat


def _columns(lines: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the columns of all lines in order of first appearance."""
    return list(dict.fromkeys(name for line in lines for name in line))
