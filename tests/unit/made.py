"""Captures modules that a test makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stcsim.capture import capture
from stcsim.trace import Memory, Op, Trace

_MADE: list[Any] = []


def made_here() -> Any:
    return _MADE[-1]


def captured(made: Any, *shape: int, batch: int | None = None, inputs: Sequence[str] | None = None) -> Trace:
    """Return the trace of a module fed with one tensor of ``shape`` for each sample, or with ``inputs``."""
    _MADE[:] = [made]
    return capture(f"{__name__}:made_here", batch, shape or None, inputs=inputs)


def steps(trace: Trace) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return (operator, name, what it reads, what it fuses into) of every step of a trace."""
    return [(op.operator, op.name, op.inputs, op.fuses_into) for op in trace.ops if isinstance(op, Memory)]


def elements(op: Op) -> tuple[int, int, int]:
    """Return the elements a step reads and writes, and the constants."""
    assert isinstance(op, Memory)
    return op.elements_read, op.elements_written, op.constant_elements
