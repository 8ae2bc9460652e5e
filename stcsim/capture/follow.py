"""What grows with the batch: the operations of one network at two batches, compared line by line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stcsim.errors import TraceError
from stcsim.trace import Conv2d, Gemm, Memory, Op


def follow_batch(
    once: Sequence[Op], twice: Sequence[Op], fourfold: Sequence[Op] = (), refusal: str = ""
) -> tuple[list[Op], list[str]]:
    """Return the operations, each with what grows with the batch, and why some do not follow it.

    Args:
        once, twice: the operations at a batch and at twice that; none where the network does not take it.
        fourfold: those at four times the batch. They count where the network does something else with one sample than with
            two (the transposed image of one lies in memory as before, that of two is copied); else they may be left out.
        refusal: what the network said to twice the batch, where it does not take it.
    """
    if not twice:
        return list(once), [f"the network does not take twice the batch{': ' + refusal if refusal else ''}"]
    if alike(once, twice):
        return _grown(once, twice)
    if alike(twice, fourfold):
        grown, problems = _grown(twice, fourfold)
        with suppress(TraceError):
            if not problems:
                return [op.rescaled(1, 2) for op in grown], []
    return list(once), [f"the operations depend on the batch: {_first_difference(once, twice)}"]


def _first_difference(once: Sequence[Op], twice: Sequence[Op]) -> str:
    """Return the first operation that only one of two runs has."""
    for one, two in zip(once, twice, strict=False):
        if not alike([one], [two]):
            here = f"twice the batch has {two.name}{_operator(two)} in place of {one.name}{_operator(one)}"
            return here if one.name != two.name else f"{one.name}{_operator(one)} is another operation at twice the batch"
    more = once[len(twice) :] or twice[len(once) :]
    return f"only {'one batch' if len(once) > len(twice) else 'twice the batch'} has {more[0].name}{_operator(more[0])}"


def evened(op: Op) -> Op:
    """Return a product of experts that all have the same number of rows as one of that many rows for each."""
    even = isinstance(op, Gemm) and op.spread_rows and op.experts and op.spread_rows % op.experts == 0
    return op.changed(spread_rows=None, experts=None) if even else op


def alike(one: Sequence[Op], other: Sequence[Op]) -> bool:
    """Whether two runs did the same, whatever the sizes."""
    return [(op.kind, op.name, op.inputs) for op in one] == [(op.kind, op.name, op.inputs) for op in other]


def _grown(once: Sequence[Op], twice: Sequence[Op]) -> tuple[list[Op], list[str]]:
    pairs = [(one, _grow(one, two)) for one, two in zip(once, twice, strict=True)]
    two_of = {one.name: two for one, two in zip(once, twice, strict=True)}
    return [op or one for one, op in pairs], [_reason(one, two_of[one.name]) for one, op in pairs if op is None]


def _reason(one: Op, two: Op) -> str:
    """Return which operator does not follow the batch, and in which of its sizes."""
    sizes = [name for name in _SIZES[one.kind] if getattr(one, name) != getattr(two, name)]
    told = ", ".join(f"{name} is {getattr(one, name)}, at twice the batch {getattr(two, name)}" for name in sizes)
    return f"{one.name}{_operator(one)} does not follow the batch: {told.replace('_', ' ')}"


def _operator(op: Op) -> str:
    """Return what an operation is, where its name does not end in that."""
    operator = op.operator if isinstance(op, Memory) else op.kind
    return "" if op.name.rpartition(".")[2].partition("#")[0] == operator else f" ({operator})"


#: What is compared of each kind of operation.
_SIZES = {
    "gemm": ("m", "n", "k", "batch", "count"),
    "conv2d": ("batch", "c", "h", "w", "k", "r", "s", "groups", "count"),
    "memory": ("elements_read", "elements_written", "constant_elements", "count"),
}


def _grow(one: Op, two: Op) -> Op | None:
    """Return ``one`` with what doubled with the batch, or ``None`` when that says nothing simple."""
    if one.count != two.count:
        return None
    if isinstance(one, Conv2d):
        return one if two == one.changed(batch=2 * one.batch) else None
    if isinstance(one, Gemm) and isinstance(two, Gemm):
        return _grow_product(one, two)
    if isinstance(one, Memory) and isinstance(two, Memory):
        return _grow_step(one, two)
    return None


def _grow_product(one: Gemm, two: Gemm) -> Gemm | None:
    if one.spread_rows and two.spread_rows:
        same = (one.m, one.k, one.experts) == (two.m, two.k, two.experts) and two.spread_rows == 2 * one.spread_rows
        return one.changed(scales_with_batch="n") if same else None
    sizes = ("m", "n", "k", "batch")
    grown = [size for size in sizes if getattr(one, size) != getattr(two, size)]
    if not grown:
        return one.changed(scales_with_batch=None)
    size = grown[0]
    if len(grown) > 1 or getattr(two, size) != 2 * getattr(one, size):
        return None
    if size == "n" or (size == "batch" and one.weight_operand is None):
        return one.changed(scales_with_batch=size)
    if size == "m" and one.weight_operand is None:  # D^T = B^T . A^T: without a weight either operand may come first
        return one.changed(m=one.n, n=one.m, scales_with_batch="n", inputs=one.inputs[::-1])
    return None


def _grow_step(one: Memory, two: Memory) -> Memory | None:
    """Return a step whose activations are what doubles, and whose constants are the rest of what it reads."""
    once, twice = one.elements_read + one.constant_elements, two.elements_read + two.constant_elements
    if (one.elements_written, once) == (two.elements_written, twice):
        return one.changed(scales_with_batch=False)
    if two.elements_written != 2 * one.elements_written or not once <= twice <= 2 * once:
        return None
    return one.changed(elements_read=twice - once, constant_elements=2 * once - twice)
