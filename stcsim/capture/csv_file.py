"""A table as a trace: CSV with the columns m, n, k and, if wanted, more; or a topology file of SCALE-Sim."""

from __future__ import annotations

from pathlib import Path

from stcsim.capture.tables.gather import Gathered, gather
from stcsim.capture.tables.text import Table, encoding_of
from stcsim.errors import TraceError
from stcsim.trace import Conv2d, Source, Trace
from stcsim.trace.model import inside

_USUAL = "fp16"
"""The type of a table that names none."""


def open_csv(path: Path) -> Trace:
    """Return a trace of one GEMM for each line of a table; it is right at its own batch only, since n is given as it is.

    Args:
        path: a file whose first line names the columns, in any order and any case, between commas, semicolons, tabs or bars:
            ``m,n,k`` and, if wanted, ``name``, ``batch`` (independent products, 1 by default), ``count`` (identical launches,
            1), ``weights`` (``yes`` or ``no``, yes) and ``dtype`` (of this line; empty is the type of the run). Or one of the
            topology files of SCALE-Sim, ``Layer,M,N,K`` or ``Layer name, IFMAP Height, …``, whose convolutions follow the batch.
            Of a table of more than 1,000 lines, equal ones become one operation that is launched as often.

    Raises:
        TraceError: naming the line of the first cell that cannot be used.
    """
    found = _gathered(path)
    with inside(str(path), joint=": "):
        if found.layout is None or not found.ops:
            nothing = "an empty file" if found.layout is None else "column names only"
            raise TraceError("table", "a line of column names, then at least one GEMM", nothing)
        return Trace(
            name=path.stem,
            title=f"{path.stem}, {_counted(found)}",
            source=_source(path, found),
            batch=1,
            input_shape={},
            dtype=found.dtype or _USUAL,
            rescalable=not _fixed(found),
            ops=found.ops,
        )


def _gathered(path: Path) -> Gathered:
    """Return what the lines of a table hold."""
    try:
        with path.open(encoding=encoding_of(path), newline="") as file, inside(str(path), joint=": "):
            return gather(Table(file))
    except UnicodeError:
        raise TraceError(str(path), "a table as text (CSV)", "a file that is no text") from None
    except OSError as error:
        raise TraceError(str(path), "a file that can be read", error.strerror or str(error)) from None


def _source(path: Path, found: Gathered) -> Source:
    """Return where the trace comes from, with what its columns mean."""
    says = found.layout.says if found.layout else ""
    return Source(model=path.name, library=found.ops[0].origin, version="none", notes=says, fixed_batch=_fixed(found))


def _counted(found: Gathered) -> str:
    """Return how many operations there are, for people."""
    what = "convolution" if isinstance(found.ops[0], Conv2d) else "GEMM"
    count = f"{found.lines:,} {what}{'s' if found.lines > 1 else ''}"
    return count if len(found.ops) == found.lines else f"{count} of {len(found.ops):,} sizes, each timed once"


def _fixed(found: Gathered) -> tuple[str, ...]:
    """Return why another batch cannot be had."""
    if found.layout is not None and found.layout.follows_batch:
        return ()
    return ("the sizes of a table are of its own batch",)
