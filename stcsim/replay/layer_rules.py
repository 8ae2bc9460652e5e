"""What a run asks of single layers: which stay dense, and which run in another element type."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from stcsim.errors import UnsupportedError, closest
from stcsim.isa import DType
from stcsim.isa import dtype as find_dtype
from stcsim.trace import Memory, Op, Trace

FIRST, LAST = "first", "last"
"""Words that stand for the first and the last layer with weights."""


class LayerRules:
    """Element type and exceptions of every operation of one trace.

    Args:
        trace: whose operations the patterns name.
        dtype: element type of what no pattern names; the trace's own by default.
        keep_dense: patterns of layers that are not pruned.
        dtype_of: element type by pattern; the last pattern that fits is the rule. It may name memory operations too.

    A pattern is an operation's name with ``*``, ``?`` and ``[...]`` as in a shell, or ``first`` or ``last``.

    Raises:
        UnsupportedError: for a pattern that fits nothing, or an unknown type.
    """

    def __init__(
        self, trace: Trace, dtype: str | None, keep_dense: Sequence[str] = (), dtype_of: Mapping[str, str] | None = None
    ) -> None:
        self.element = find_dtype(dtype or trace.dtype)
        layers = [op.name for op in trace.ops if op.weight_elements]
        self._ends = {FIRST: layers[:1], LAST: layers[-1:]}
        self._dense = {name: pattern for pattern in keep_dense for name in self._named("--keep-dense", pattern, layers)}
        every = [op.name for op in trace.ops]
        self._types = {
            name: find_dtype(word)
            for pattern, word in (dtype_of or {}).items()
            for name in self._named("--dtype-of", pattern, every)
        }

    def _named(self, option: str, pattern: str, names: Sequence[str]) -> Iterable[str]:
        """Return the names that ``pattern`` stands for."""
        found = self._ends.get(pattern) or [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            expected = "the name of a layer, a pattern such as '*.fc*', first or last"
            raise UnsupportedError(option, expected, f"'{pattern}', which no layer has{closest(pattern, names)}")
        return found

    def type_of(self, op: Op) -> DType:
        """Return the element type ``op`` runs in."""
        return self._types.get(op.name, self.element)

    @property
    def types(self) -> set[DType]:
        """Every element type in use."""
        return {self.element, *self._types.values()}

    def why_dense(self, op: Op) -> str | None:
        """Return why ``op`` is not pruned although it could be, or ``None``."""
        pattern = None if isinstance(op, Memory) else self._dense.get(op.name)
        return None if pattern is None else f"kept dense ({pattern})"
