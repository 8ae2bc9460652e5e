"""The error model's files: predictions read back, and the model written one class a line, so that a change can be read."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from stcsim.errors import TraceError
from stcsim.files import write_whole
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import Predicted

_PREDICTED = "predicted_us"


def read_predicted(path: Path) -> list[Predicted]:
    """Read measured rows with their predictions, as ``stcsim validate --rows`` writes them.

    Raises:
        TraceError: what :func:`read_measured` raises, or a row without a prediction.
    """
    return [Predicted(row, _prediction(row), math.nan, row.record.get("kernel", ""), "") for row in read_measured([path])]


def _prediction(row: Measured) -> float:
    text = row.record.get(_PREDICTED, "")
    try:
        predicted_us = float(text)
    except ValueError:
        predicted_us = 0.0
    if not 0 < predicted_us < float("inf"):
        raise TraceError(f"{row.where}: {_PREDICTED}", "a time above 0 in microseconds", f"'{text}'")
    return predicted_us


def write_error_model(document: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write an error model (``study.accuracy.build``)."""
    parts = [f' "{name}": {_text(value)}' for name, value in document.items()]
    write_whole(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(json.dumps(each) for each in value) + "\n ]"
    return json.dumps(value)
