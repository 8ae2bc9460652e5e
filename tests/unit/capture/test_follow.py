"""What grows with the batch, from the same network at two batches."""

from __future__ import annotations

import pytest

from stcsim.capture.follow import follow_batch
from stcsim.trace import Conv2d, Gemm, Memory, Op


def gemm(batch: int = 1, **sizes: object) -> Gemm:
    return Gemm(**{"name": "g", "m": 4, "n": 6, "k": 8, "batch": batch, **sizes})


def step(read: int, written: int, constant: int = 0) -> Memory:
    return Memory(name="s", operator="add", elements_read=read, elements_written=written, constant_elements=constant)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (gemm(), gemm(n=12), gemm(scales_with_batch="n")),
        (gemm(), gemm(), gemm()),
        (gemm(weight_operand=None), gemm(2, weight_operand=None), gemm(weight_operand=None, scales_with_batch="batch")),
        (
            gemm(weight_operand=None, inputs=("a", "b")),
            gemm(weight_operand=None, m=8, inputs=("a", "b")),
            gemm(weight_operand=None, m=6, n=4, scales_with_batch="n", inputs=("b", "a")),
        ),
        (gemm(), gemm(2), None),  # a batch of weights is not one of samples
        (gemm(), gemm(k=16), None),
        (gemm(), gemm(m=8, n=12), None),
        (gemm(), gemm(n=18), None),
        (step(20, 10), step(40, 20), step(20, 10)),
        (step(20, 10, 5), step(40, 20, 5), step(20, 10, 5)),
        (step(10, 10, 10), step(20, 20, 20), step(20, 10)),  # a mask made for each sample
        (step(25, 10), step(45, 20), step(20, 10, 5)),
        (step(20, 10), step(20, 10), step(20, 10).changed(scales_with_batch=False)),
        (step(20, 10), step(60, 20), None),
        (step(20, 10), step(40, 15), None),
    ],
)
def test_one_operation(one: Op, two: Op, expected: Op | None) -> None:
    ops, problems = follow_batch([one], [two])
    assert ops == [expected or one]
    assert problems == ([] if expected else [f"{one.name} does not follow the batch"])


def test_a_convolution() -> None:
    conv = Conv2d(name="c", batch=2, c=4, h=5, w=5, k=4, r=3, s=3)
    assert follow_batch([conv], [conv.changed(batch=4)]) == ([conv], [])
    assert follow_batch([conv], [conv.changed(batch=4, h=6)]) == ([conv], ["c does not follow the batch"])


def test_a_network_that_takes_no_other_batch() -> None:
    assert follow_batch([gemm()], []) == ([gemm()], ["the network does not take twice the batch"])


def test_what_two_samples_do_counts_when_one_does_something_else() -> None:
    copy = step(12, 12)
    once, twice, fourfold = [gemm()], [gemm(n=12), step(24, 24)], [gemm(n=24), step(48, 48)]
    assert follow_batch(once, twice, fourfold) == ([gemm(scales_with_batch="n"), copy], [])
    assert follow_batch(once, twice, [gemm(n=24)]) == ([gemm()], ["the operations depend on the batch"])
    odd = [gemm(n=7), step(24, 24)], [gemm(n=14), step(48, 48)]
    assert follow_batch(once, *odd) == ([gemm()], ["the operations depend on the batch"])
