"""Documents and lines as files: every figure exact, every file whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from stcsim.files import write_whole
from stcsim.result.document import csv_text, json_text


def write_json(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``document`` as JSON; a NaN or an infinity in it is a bug and raises ``ValueError``."""
    write_whole(path, json_text(document))


def write_lines(lines: Sequence[Mapping[str, object]], path: str | os.PathLike[str]) -> None:
    """Write flat ``lines`` as CSV with the columns of all of them; what a line lacks is left empty."""
    write_whole(path, csv_text(lines))
