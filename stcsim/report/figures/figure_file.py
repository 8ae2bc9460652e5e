"""Writing a figure as PNG, SVG or PDF, the same bytes each time; matplotlib is imported only when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stcsim.errors import StcsimError
from stcsim.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATELESS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""The kinds of file, each with what keeps the date out of it."""

_STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans", "svg.hashsalt": "stcsim", "svg.fonttype": "none", "pdf.fonttype": 42
}  # fmt: skip


def check_figure(path: Path, option: str) -> None:
    """Refuse a file that is not PNG, SVG or PDF.

    Args:
        path: where the figure is to go.
        option: what the user called it, e.g. ``"--figure"``, for the error.

    Raises:
        StcsimError: when it is another.
    """
    if path.suffix.lower() not in _DATELESS:
        raise StcsimError(f"{option} {path}", "a name that ends in .png, .svg or .pdf", f"'{path.suffix}'")


def write_drawing(
    draw: Callable[[], Figure], path: Path, option: str, style: Mapping[str, object] | None = None, dpi: int = 150
) -> None:
    """Write what ``draw`` returns into ``path``, whole or not at all, drawn in the house style and ``style``.

    Raises:
        StcsimError: when the file is not PNG, SVG or PDF, or cannot be written.
    """
    import matplotlib

    check_figure(path, option)
    suffix, drawn = path.suffix.lower(), io.BytesIO()
    settings: Any = {**_STYLE, **(style or {})}
    with matplotlib.rc_context(settings):
        draw().savefig(drawn, format=suffix[1:], dpi=dpi, metadata=_DATELESS[suffix])
    try:
        write_whole(path, drawn.getvalue())
    except StcsimError as error:
        raise StcsimError(f"{option} {path}", error.expected, error.found) from None
