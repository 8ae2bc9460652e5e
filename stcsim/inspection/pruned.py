"""Which layers of a trace are pruned: as a checkpoint has them, or as a list of names says."""

from __future__ import annotations

import os
from pathlib import Path

from stcsim.checkpoint.open import FORMATS, PICKLES
from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.inspection.look import inspect_checkpoint
from stcsim.inspection.matching import Match, match_layers
from stcsim.trace import Memory, Trace, TraceOrName, load_trace
from stcsim.trace.choose import chosen
from stcsim.words import path_of

_COMMENT = "#"


def pruned_layers(trace: TraceOrName, pruned: str | os.PathLike[str], *, dtype: str | None = None) -> tuple[str, ...]:
    """Return the layers of ``trace`` that are pruned in ``pruned``: what ``run(…, pruned_as=…)`` takes.

    Args:
        trace: the network, or the name or file of its trace.
        pruned: a checkpoint, of which the layers count that are 2:4, or a text file of names and patterns, one a line.
        dtype: element type of all layers; the trace's by default.

    Raises:
        StcsimError: when the file cannot be read or fits no layer, or weights fit a layer in two ways that disagree.
    """
    return match_pruned(load_trace(trace), pruned, dtype=dtype).pruned


def match_pruned(trace: Trace, pruned: str | os.PathLike[str], *, dtype: str | None = None) -> Match:
    """Return the same with everything that found no partner. Arguments and errors are those of :func:`pruned_layers`."""
    path = path_of(pruned, "pruned")
    if not path.is_dir() and path.suffix.lower() not in FORMATS + PICKLES:
        return _match_list(trace, path)
    found = inspect_checkpoint(path, dtype=trace.dtype if dtype is None else dtype, magnitudes=False)
    return match_layers([op for op in trace.ops if not isinstance(op, Memory)], found)


def _match_list(trace: Trace, path: Path) -> Match:
    """Return the layers that the lines of a file name; what stands behind a ``#`` at the start or after a space is left out."""
    layers = [op for op in trace.ops if op.weight_elements]
    pruned: set[str] = set()
    unmatched = []
    for entry in _entries(path):
        try:
            pruned |= set(chosen(trace.ops, entry, "pruned_as", layers))
        except UnsupportedError:
            unmatched.append(entry)
    if not pruned:
        example = f"such as {quoted(unmatched[0])}" if unmatched else "none"
        such_as = f", one a line, such as {layers[0].name}" if layers else ", which has none with weights"
        raise StcsimError(str(path), f"names of layers of {trace.name}{such_as}", example)
    names = [op.name for op in layers]
    kept = tuple(name for name in names if name in pruned)
    return Match(kept, tuple(name for name in names if name not in pruned), (), tuple(unmatched))


def _entries(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        found = "no such file" if not path.exists() else (error.strerror or str(error)).lower()
        raise StcsimError(str(path), "a checkpoint, or a text file of layer names", found) from None
    except UnicodeDecodeError:
        raise StcsimError(str(path), "a checkpoint, or a text file of layer names", "bytes that are no text") from None
    named = (line for line in lines if not line.startswith(_COMMENT))
    return [entry for line in named if (entry := line.partition(f" {_COMMENT}")[0].strip())]
