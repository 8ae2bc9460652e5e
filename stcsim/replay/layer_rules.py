"""What a run asks of single layers: which stay dense, and which run in another element type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError, quoted
from stcsim.isa import DType
from stcsim.replay.door import element_of, element_on
from stcsim.trace import Gemm, Memory, Op, Trace
from stcsim.trace.choose import EXPECTED, chosen
from stcsim.words import texts

NOT_PRUNED = "not among the layers that are pruned"
"""Why a layer stays dense where a run is told what is pruned."""


class LayerRules:
    """Element type and exceptions of every operation of one trace.

    Args:
        trace: whose operations the patterns name.
        dtype: element type of what no pattern names and the trace gives no type of its own; the trace's by default.
        keep_dense: patterns of layers that are not pruned.
        dtype_of: element type by pattern; the last pattern that fits is the rule. It may name memory operations too.
        arch: the GPU, whose sparsity pattern says how elements are cut and stored; that of hardware without one.
        pruned_as: names or patterns of the layers that are pruned, so that all others stay dense; ``None`` where all may be.

    A pattern is what ``stcsim.trace.choose`` understands: an operation's name, with ``*``, ``?`` and ``[...]`` as in a shell, the
    number of a layer, a range of them, ``first`` or ``last``, or several of these with commas between.

    Raises:
        UnsupportedError: for a pattern that fits nothing, or an unknown type.
    """

    def __init__(
        self,
        trace: Trace,
        dtype: str | None,
        keep_dense: str | Sequence[str] = (),
        dtype_of: Mapping[str, str] | None = None,
        arch: Arch | None = None,
        pruned_as: str | Sequence[str] | None = None,
    ) -> None:
        found = element_of if arch is None else partial(element_on, arch)
        self.element = found(trace.dtype if dtype is None else dtype)
        self.keep_dense = texts(keep_dense, "keep_dense", EXPECTED)
        if not isinstance(dtype_of or {}, Mapping):
            raise UnsupportedError("dtype_of", "a mapping of patterns to element types", quoted(dtype_of))
        self.dtype_of = dict(dtype_of or {})
        layers = [op for op in trace.ops if op.weight_elements]
        self._dense = {name: pattern for pattern in self.keep_dense for name in chosen(trace.ops, pattern, "keep_dense", layers)}
        self.pruned_as = None if pruned_as is None else texts(pruned_as, "pruned_as", EXPECTED)
        self._pruned = None if self.pruned_as is None else set(_named(trace, self.pruned_as, layers))
        self._own = {word: found(word) for word in {op.dtype for op in trace.ops if isinstance(op, Gemm)} if word}
        self._types = {
            name: found(word, "dtype_of")
            for pattern, word in self.dtype_of.items()
            for name in chosen(trace.ops, pattern, "dtype_of", trace.ops)
        }

    def type_of(self, op: Op) -> DType:
        """Return the element type ``op`` runs in."""
        own = self._own.get(op.dtype) if isinstance(op, Gemm) else None
        return self._types.get(op.name) or own or self.element

    @property
    def types(self) -> set[DType]:
        """Every element type in use."""
        return {self.element, *self._own.values(), *self._types.values()}

    def why_dense(self, op: Op) -> str | None:
        """Return why ``op`` is not pruned although it could be, or ``None``."""
        pattern = None if isinstance(op, Memory) else self._dense.get(op.name)
        if pattern is not None:
            return f"kept dense ({pattern})"
        left_out = self._pruned is not None and not isinstance(op, Memory) and op.weight_elements and op.name not in self._pruned
        return NOT_PRUNED if left_out else None


def _named(trace: Trace, pruned_as: Sequence[str], layers: Sequence[Op]) -> Iterator[str]:
    """Yield the layers that are pruned; a whole name needs no search."""
    known = {op.name for op in layers}
    for word in pruned_as:
        yield from (word,) if word in known else chosen(trace.ops, word, "pruned_as", layers)
