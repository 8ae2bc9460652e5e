"""Exceptions of code that is not stcsim's, in one sentence: a library that cannot be imported, a factory that raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stcsim.errors import StcsimError, TraceError

#: What code of others may raise instead of returning; to interrupt it stays the user's right.
STOPS = (Exception, SystemExit)


def first_line(error: BaseException) -> str:
    """Return an exception as one short line: its type, and the first line of what it says."""
    while isinstance(error, ImportError) and error.__cause__:  # of a lazy import, which says less than what stopped it
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


@contextmanager
def imports(place: str, library: str) -> Iterator[None]:
    """Say in one sentence that ``library``, or one that it needs, is installed but broken.

    Args:
        place: what needs it, for the error.
        library: imported inside of the context.

    Raises:
        TraceError: for whatever the import raises.
    """
    try:
        yield
    except StcsimError:
        raise
    except STOPS as error:
        raise TraceError(place, f"a {library} that can be imported", first_line(error)) from error
