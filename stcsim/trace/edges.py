"""Who reads whose output: checks of ``inputs`` and ``fuses_into`` in the operations of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stcsim.errors import TraceError, closest
from stcsim.trace.ops import Memory, Op


def check_edges(ops: Sequence[Op]) -> None:
    """Refuse edges that lead nowhere; operations without any, as in old files, need no unique names.

    Raises:
        TraceError: when a name is taken twice, is that of no earlier operation, or is that of one which itself fuses.
    """
    if not any(op.inputs or _head(op) or _owner(op) for op in ops):
        return
    earlier: dict[str, Op] = {}
    for index, op in enumerate(ops):
        where = f"ops[{index}] {op.kind} '{op.name}'"
        for name in op.inputs:
            _known(f"{where}: inputs", name, earlier)
        if _owner(op):
            _known(f"{where}: weight_of", _owner(op), earlier)
        if _head(op):
            _known(f"{where}: fuses_into", _head(op), earlier)
            through = _head(earlier[_head(op)])
            if through:
                found = f"'{_head(op)}', which fuses into '{through}'"
                raise TraceError(f"{where}: fuses_into", "an operation that fuses into nothing itself", found)
        if op.name in earlier:
            raise TraceError(f"{where}: name", "a name no other operation has", f"'{op.name}' again")
        earlier[op.name] = op


def readers_of(ops: Iterable[Op]) -> dict[str, list[str]]:
    """Return for the name of each operation the names of those that read its output, in network order."""
    readers: dict[str, list[str]] = {}
    for op in ops:
        for name in op.inputs:
            readers[name].append(op.name)
        readers[op.name] = []
    return readers


def _head(op: Op) -> str:
    return op.fuses_into if isinstance(op, Memory) else ""


def _owner(op: Op) -> str:
    return "" if isinstance(op, Memory) else op.weight_of


def _known(where: str, name: str, earlier: dict[str, Op]) -> None:
    if name not in earlier:
        raise TraceError(where, "the name of an earlier operation", f"'{name}'{closest(name, earlier)}")
