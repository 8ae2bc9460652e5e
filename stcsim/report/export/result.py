"""Results as JSON and CSV: every figure exact, every file whole or not there."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from stcsim.files import write_whole
from stcsim.result import Gains, KernelResult, LayerRow, MemoryResult, MemoryRow, RunResult

_SIDES = ("dense", "sparse", "chosen")
_OF_CHOSEN = ("time_us", "clock_mhz", "energy_uj")
"""What a layer's line says of the chosen kernel, whose other figures stand under its side."""


def to_json(result: RunResult) -> dict[str, Any]:
    """Return ``result`` as plain mappings, lists, numbers and texts, under the names of its fields.

    What would help a kernel is there if it was looked for (``Gains.look``): ``gains_half_more``, what half as much again of each
    resource saves, the most helpful first; ``gains``, what 10 % more saves, in the same order; ``bound``, the first of them, if
    it saves anything. Otherwise ``null``.
    """
    document = _plain(result)
    assert isinstance(document, dict)
    return document


def _plain(value: Any) -> Any:
    """Return ``value`` with dataclasses and mappings as dictionaries, sequences as lists."""
    if isinstance(value, KernelResult):
        fields_ = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.name != "gains"}
        return fields_ | _gains(value.gains)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _gains(gains: Gains) -> dict[str, Any]:
    if not gains.known:
        return {"gains": None, "gains_half_more": None, "bound": None}
    order = sorted(gains, key=lambda resource: -gains.half_more[resource])
    return {
        "gains": {resource: gains[resource] for resource in order},
        "gains_half_more": {resource: gains.half_more[resource] for resource in order},
        "bound": gains.bound,
    }


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
    flat = _flat("", {field.name: _plain(getattr(row, field.name)) for field in fields(row) if field.name not in _SIDES})
    flat["fused"] = " ".join(row.fused)
    if isinstance(row, MemoryRow):
        return flat | _flat_kernel("dense", row.dense) | _flat_kernel("sparse", row.sparse) | _flat_kernel("chosen", row.chosen)
    chosen = {f"chosen_{name}": getattr(row.chosen, name) for name in _OF_CHOSEN}
    return flat | _flat_kernel("dense", row.dense) | _flat_kernel("sparse", row.sparse) | chosen


def _flat_kernel(side: str, kernel: KernelResult | MemoryResult | None) -> dict[str, object]:
    return _flat(f"{side}_", _plain(kernel)) if kernel else {}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, object]:
    """Return ``values`` with the figures of mappings in it beside the others."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{prefix}{name}_{part}": figure for part, figure in value.items()}
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _columns(lines: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the columns of all lines in order of first appearance."""
    return list(dict.fromkeys(name for line in lines for name in line))
