"""Einsums of ONNX graphs as GEMMs, operand by operand from left to right, as ONNX Runtime computes them.

Letters that no later operand and no output has are summed in the product in which they come last; those of one operand alone are
summed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from stcsim.capture.onnx_import.node import Node, Unread, sources
from stcsim.capture.onnx_import.products import product
from stcsim.capture.onnx_import.values import Shape, Value
from stcsim.trace import Gemm, Memory

Term = tuple[Value, dict[str, int]]
"""An operand with the sizes of its letters."""


def einsum(node: Node) -> list[Gemm | Memory]:
    """Return an Einsum; letters of both operands and of what comes after are the batch of a product.

    Raises:
        Unread: an equation that does not fit the operands.
    """
    terms, out = _terms(node)
    ops: list[Gemm | Memory] = []
    left = terms[0]
    for place, right in enumerate(terms[1:], 1):
        kept = set(out).union(*(letters for _, letters in terms[place + 1 :]))
        part = f".{place}" if len(terms) > 2 else ""
        made = _pair(replace(node, name=f"{node.name}{part}"), left, right, kept)
        ops += made
        sizes = {
            letter: max(left[1].get(letter, 1), right[1].get(letter, 1)) for letter in {**left[1], **right[1]} if letter in kept
        }
        left = replace(left[0], role="activation", sources=tuple(op.name for op in made), strides=None, parameter=""), sizes
    return ops


def sums_nothing(node: Node) -> bool:
    """Whether an Einsum is an element-wise product or moves data only: no letter of two operands is summed."""
    if node.operator != "Einsum" or any(value is None or value.shape is None for value in node.inputs):
        return False
    terms, out = _terms(node)
    seen = [letter for _, letters in terms for letter in letters]
    return all(letter in out or seen.count(letter) == 1 for letter in seen)


def _pair(node: Node, left: Term, right: Term, kept: set[str]) -> list[Gemm | Memory]:
    """Return the product of two operands, of which ``kept`` letters are needed later."""
    (a, a_sizes), (b, b_sizes) = left, right
    sizes = {letter: max(a_sizes.get(letter, 1), b_sizes.get(letter, 1)) for letter in {**a_sizes, **b_sizes}}
    rows = [letter for letter in a_sizes if letter not in b_sizes and letter in kept]
    columns = [letter for letter in b_sizes if letter not in a_sizes and letter in kept]
    both = [letter for letter in a_sizes if letter in b_sizes]
    m, n = (prod(sizes[letter] for letter in letters) for letters in (rows, columns))
    k = prod(sizes[letter] for letter in both if letter not in kept)
    batch = prod(sizes[letter] for letter in both if letter in kept)
    if set(both) <= kept and 0 not in (m, n, batch):
        return [_elementwise(node, (a, b), m * n * batch)]
    return [*product(node, (a, (batch, m, k)), (b, (batch, k, n)))]


def _elementwise(node: Node, operands: Sequence[Value], written: int) -> Memory:
    """Return two operands multiplied without a sum."""
    read = sum(value.distinct for value in operands if not value.is_constant)
    constants = sum(value.elements for value in operands if value.is_constant)
    return Memory(
        name=node.name,
        operator="mul",
        elements_read=read,
        elements_written=written,
        constant_elements=constants,
        inputs=sources(*operands),
        origin=node.origin,
    )


def _terms(node: Node) -> tuple[list[Term], str]:
    """Return the operands with their letters, and the letters of the output; "..." is digits, counted from the last axis.

    A letter twice in one operand is its diagonal, one axis of it.

    Raises:
        Unread: when the equation does not fit the operands.
    """
    equation = str(node.attribute("equation", "")).replace(" ", "")
    words, arrow, out = equation.partition("->")
    tensors = [node.tensor(place) for place in range(len(node.inputs))]
    split = words.split(",")
    if len(split) != len(tensors) or not tensors:
        raise Unread(f"{len(tensors)} operands for {equation}")
    spelled = [_spelled(word, len(shape)) for word, (_, shape) in zip(split, tensors, strict=True)]
    longest = max(("".join(letter for letter in word if letter.isdecimal()) for word in spelled), key=len)
    if not arrow:
        every = "".join(split).replace(".", "")
        out = longest + "".join(sorted(letter for letter in set(every) if every.count(letter) == 1))
    return [(value, _sizes(word, shape)) for word, (value, shape) in zip(spelled, tensors, strict=True)], out.replace(
        "...", longest
    )


def _spelled(word: str, rank: int) -> str:
    dots = rank - len(word.replace("...", ""))
    if dots < 0 or dots > 10 or (dots and "..." not in word):
        raise Unread(f"{word} for {rank} axes")
    return word.replace("...", "9876543210"[10 - dots :] if dots else "")


def _sizes(word: str, shape: Shape) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for letter, size in zip(word, shape, strict=True):
        sizes[letter] = max(sizes.get(letter, 0), size)
    return sizes
