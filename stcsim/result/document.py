"""The one shape of every result outside Python: a JSON document with its schema, and flat lines under the same names.

A document says first what it is (``schema``, e.g. ``"stcsim/run-1"``) and which version of stcsim wrote it, then has the fields
of the result under their Python names, and in ``inputs`` the arguments, fully resolved. The name of a column of a CSV file is
the path of the figure in its row: ``dense.time_us`` is ``row["dense"]["time_us"]``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from stcsim.result.kernel import Gains, KernelResult
from stcsim.version import __version__


def document(schema: str, content: Any) -> dict[str, Any]:
    """Return ``content``, a result or a mapping, as a document of the schema called so, e.g. ``"run-1"``."""
    body = plain(content)
    assert isinstance(body, dict)
    return {"schema": f"stcsim/{schema}", "stcsim": __version__, **body}


def plain(value: Any) -> Any:
    """Return ``value`` with dataclasses and mappings as dictionaries, sequences as lists.

    What would help a kernel is there if it was looked for (``Gains.look``): ``gains_half_more``, what half as much again of each
    resource saves, the most helpful first; ``gains``, what 10 % more saves, in the same order; ``bound``, the first of them, if
    it saves anything. Otherwise ``None``.
    """
    if isinstance(value, KernelResult):
        parts = {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name != "gains"}
        return parts | _gains(value.gains)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def _gains(gains: Gains) -> dict[str, Any]:
    if not gains.known:
        return {"gains": None, "gains_half_more": None, "bound": None}
    order = sorted(gains, key=lambda resource: -gains.half_more[resource])
    return {
        "gains": {resource: gains[resource] for resource in order},
        "gains_half_more": {resource: gains.half_more[resource] for resource in order},
        "bound": gains.bound,
    }


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return the figures of ``row`` in one mapping, each under its path; several texts in one, with spaces between."""
    figures: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            figures |= flat(value, f"{prefix}{name}.")
        else:
            figures[f"{prefix}{name}"] = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return figures


def columns(lines: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the columns of all flat lines in order of first appearance; a group that some lines lack is no column itself."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    groups = {name[:at] for name in names for at, letter in enumerate(name) if letter == "."}
    return [name for name in names if name not in groups]


def csv_text(lines: Sequence[Mapping[str, object]]) -> str:
    """Return flat lines as CSV with the columns of all of them; what a line lacks is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns(lines), restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def json_text(content: Mapping[str, Any], ascii_only: bool = False) -> str:
    """Return a document as JSON; a NaN or an infinity in it is a bug and raises ``ValueError``."""
    return json.dumps(content, indent=1, ensure_ascii=ascii_only, allow_nan=False) + "\n"
