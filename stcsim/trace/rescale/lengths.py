"""A transformer at another length of its input, derived from its trace alone: exactly, or not at all.

Sizes are recognised by their number: a layer with weights has as many columns for each sample as there are tokens (or one, for a
pooled output), a product of two activations in self-attention has two of its three sizes in tokens, or one in new and cached
tokens where some are cached. Where a number may also be something else, such as the size of a head, the trace is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from stcsim.errors import TraceError
from stcsim.trace.rescale.follow import Outputs
from stcsim.trace.trace import Conv2d, Gemm, Memory, Op, Trace, TraceOrName, load_trace
from stcsim.words import size, text

_TITLE_WORDS = {"tokens": ("tokens", "new"), "cached": ("cached",)}


def at_length(trace: TraceOrName, name: str, value: int) -> Trace:
    """Return the same network with another length of its input; its batch stays.

    Args:
        trace: a trace, or its name or file; its ``input_shape`` names the length.
        name: ``"tokens"``, or ``"cached"`` for those that came before.
        value: how many for each sample.

    Raises:
        UnsupportedError: when ``value`` is no whole number.
        TraceError: when there is no such trace, it does not name the length, or some size does not follow from it without doubt.
    """
    trace = load_trace(trace)
    name = text(name, "name", "'tokens' or 'cached'").lower()
    value = size(value, "value", 0 if name == "cached" else 1)
    shape, place = trace.input_shape, f"{trace.name}: {name} = {value}"
    if not isinstance(shape, dict) or name not in shape or not set(shape) <= {"tokens", "cached"}:
        known = "tokens alone" if name == "tokens" else "tokens and cached"
        raise TraceError(place, f"a trace whose input_shape has {known}", str(shape))
    if shape[name] == value:
        return trace
    if name == "tokens" and shape[name] == 1:
        raise TraceError(place, "a trace of several tokens", "one, which no size can be recognised by")
    new = {**shape, name: value}
    ops = _Lengths(place, trace, shape, new).ops()
    title = trace.title
    for word in _TITLE_WORDS[name]:
        title = title.replace(f"{shape[name]} {word}", f"{value} {word}")
    return trace.unbounded().changed(title=title, input_shape=new, ops=ops)


class _Lengths:
    """All operations of one network when its input changes from ``old`` to ``new`` lengths."""

    def __init__(self, place: str, trace: Trace, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        self._place, self._trace = place, trace
        self._tokens, span = (old["tokens"], new["tokens"]), (sum(old.values()), sum(new.values()))
        self._new = dict([self._tokens, span])
        self._in_product = {span[0]: 2} if span == self._tokens else {old["tokens"]: 1, span[0]: 1}
        self._outputs = Outputs(trace, self._tokens)

    def ops(self) -> tuple[Op, ...]:
        """Return them in network order.

        Raises:
            TraceError: for a convolution, whose shape does not show tokens, and where lengths do not follow.
        """
        ops: list[Op] = []
        for op in self._trace.ops:
            where = f"{self._place}: {op.kind} '{op.name}'"
            if isinstance(op, Conv2d):
                raise TraceError(where, "GEMMs and memory operations", "a convolution, which does not show tokens")
            if isinstance(op, Memory):
                ops.append(self._outputs.followed(where, op, None, self._constants(where, op)))
                continue
            ops.append(self._layer(where, op) if op.weight_operand else self._product(where, op))
            self._outputs.add(op, ops[-1])
        return tuple(ops)

    def _layer(self, where: str, gemm: Gemm) -> Gemm:
        batch = self._trace.batch if gemm.scales_with_batch == "n" else 1
        if gemm.spread_rows and gemm.spread_rows % self._tokens[0] == 0:
            return gemm.with_rows(gemm.spread_rows // self._tokens[0] * self._tokens[1])
        columns, rest = divmod(gemm.n, batch)
        if rest or columns != 1 and columns not in self._new:
            expected = f"{' or '.join(map(str, self._new))} or 1 for each sample"
            raise TraceError(f"{where}: n", expected, f"{gemm.n} at batch {self._trace.batch}")
        return gemm.changed(n=batch * self._new.get(columns, 1))

    def _product(self, where: str, gemm: Gemm) -> Gemm:
        sizes = {"m": gemm.m, "n": gemm.n, "k": gemm.k}
        for length, times in self._in_product.items():
            found = list(sizes.values()).count(length)
            if found != times and self._new[length] != length:
                expected = f"a product with {times} of its 3 sizes equal to {length}"
                raise TraceError(where, expected, f"{found}, which may be something else" if found > times else str(found))
        return gemm.changed(**{field: self._new.get(size, size) for field, size in sizes.items()})

    def _constants(self, where: str, op: Memory) -> int:
        """Return the parameters ``op`` reads: a row of a table for each token, or the same for all tokens."""
        (old, new), constants = self._tokens, op.constant_elements
        per_token, rest = divmod(constants, old)
        elements = op.elements_written // self._trace.batch if op.scales_with_batch else op.elements_written
        if old == new or not constants or rest or op.operator.endswith("_norm") or constants * old == elements:
            return constants
        if op.operator == "rope" or constants == elements:
            return per_token * new
        raise TraceError(f"{where}: constant_elements", "one for each element, or one for each feature", str(constants))
