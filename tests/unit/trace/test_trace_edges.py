"""Do the edges of a trace lead to earlier operations, each of a name of its own?"""

from __future__ import annotations

from typing import Any

import pytest

from stcsim.errors import TraceError
from stcsim.trace import Gemm, Memory, Op, Source, Trace


def gemm(name: str, *inputs: str) -> Gemm:
    return Gemm(name=name, m=4, n=4, k=4, inputs=inputs)


def step(name: str, *inputs: str, into: str = "") -> Memory:
    return Memory(name=name, operator="add", elements_read=8, elements_written=4, inputs=inputs, fuses_into=into)


def trace(*ops: Op) -> Trace:
    source = Source(model="by hand", library="none", version="0")
    return Trace(name="t", title="T", source=source, batch=1, input_shape=(4,), ops=ops)


def test_edges_are_kept() -> None:
    ops = (gemm("a"), step("b", "a", into="a"), gemm("c", "b"), step("d", "c", "b", into="c"))
    assert trace(*ops).ops == ops


def test_names_may_repeat_where_there_are_no_edges() -> None:
    assert len(trace(gemm("a"), gemm("a")).ops) == 2


def test_a_shared_weight_counts_once() -> None:
    shared = trace(gemm("a"), gemm("b").changed(weight_of="a"), step("c", "b"), gemm("d"))
    assert shared.weight_elements == 32
    assert shared.ops[1].name == "b" and "weight_of" in shared.to_json() and "weight_of" not in trace(gemm("a")).to_json()


BAD: list[tuple[tuple[Op, ...], str]] = [
    ((gemm("a"), gemm("b", "a"), gemm("a")), "ops[2] gemm 'a': name: expected a name no other operation has, found 'a' again"),
    (
        (gemm("fc1"), gemm("b", "fc2")),
        "ops[1] gemm 'b': inputs: expected the name of an earlier operation, found 'fc2' (did you mean 'fc1'?)",
    ),
    ((step("b", "a"), gemm("a")), "ops[0] memory 'b': inputs: expected the name of an earlier operation, found 'a'"),
    (
        (gemm("b").changed(weight_of="a"), gemm("a")),
        "ops[0] gemm 'b': weight_of: expected the name of an earlier operation, found 'a'",
    ),
    ((gemm("a", "a"),), "ops[0] gemm 'a': inputs: expected the name of an earlier operation, found 'a'"),
    ((gemm("a"), step("b", into="z")), "ops[1] memory 'b': fuses_into: expected the name of an earlier operation, found 'z'"),
    (
        (gemm("a"), step("b", "a", into="a"), step("c", "b", into="b")),
        "ops[2] memory 'c': fuses_into: expected an operation that fuses into nothing itself, found 'b', which fuses into 'a'",
    ),
]


@pytest.mark.parametrize(("ops", "sentence"), BAD, ids=[sentence[:40] for _, sentence in BAD])
def test_an_edge_that_leads_nowhere(ops: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(TraceError) as refused:
        trace(*ops)
    assert str(refused.value) == sentence
