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
    ("one", "two", "expected"),  # of which none is what does not follow, by these sizes
    [
        (gemm(), gemm(n=12), gemm(scales_with_batch="n")),
        (gemm(), gemm(), gemm()),
        (gemm(weight_operand=None), gemm(2, weight_operand=None), gemm(weight_operand=None, scales_with_batch="batch")),
        (
            gemm(weight_operand=None, inputs=("a", "b")),
            gemm(weight_operand=None, m=8, inputs=("a", "b")),
            gemm(weight_operand=None, m=6, n=4, scales_with_batch="n", inputs=("b", "a")),
        ),
        (gemm(), gemm(2), "batch is 1, at twice the batch 2"),  # a batch of weights is not one of samples
        (gemm(), gemm(k=16), "k is 8, at twice the batch 16"),
        (gemm(), gemm(m=8, n=12), "m is 4, at twice the batch 8, n is 6, at twice the batch 12"),
        (gemm(), gemm(n=18), "n is 6, at twice the batch 18"),
        (step(20, 10), step(40, 20), step(20, 10)),
        (step(20, 10, 5), step(40, 20, 5), step(20, 10, 5)),
        (step(10, 10, 10), step(20, 20, 20), step(20, 10)),  # a mask made for each sample
        (step(25, 10), step(45, 20), step(20, 10, 5)),
        (step(20, 10), step(20, 10), step(20, 10).changed(scales_with_batch=False)),
        (step(20, 10), step(60, 20), "elements read is 20, at twice the batch 60, elements written is 10, at twice the batch 20"),
        (step(20, 10), step(40, 15), "elements read is 20, at twice the batch 40, elements written is 10, at twice the batch 15"),
    ],
)
def test_one_operation(one: Op, two: Op, expected: Op | str) -> None:
    ops, problems = follow_batch([one], [two])
    if isinstance(expected, str):
        assert ops == [one] and [problem.partition(" does not follow the batch: ")[2] for problem in problems] == [expected]
    else:
        assert (ops, problems) == ([expected], [])


def test_the_operator_that_does_not_follow_is_named() -> None:
    mean = Memory(name="odd.mean#2", operator="mean", elements_read=8, elements_written=4)
    _, problems = follow_batch([mean], [mean.changed(elements_written=6)])
    assert problems == ["odd.mean#2 does not follow the batch: elements written is 4, at twice the batch 6"]
    assert follow_batch([gemm()], [gemm(2)])[1] == ["g (gemm) does not follow the batch: batch is 1, at twice the batch 2"]
    turns = [gemm().changed(count=12)], [gemm().changed(count=24)]
    assert follow_batch(*turns)[1] == ["g (gemm) does not follow the batch: count is 12, at twice the batch 24"]


def test_a_convolution() -> None:
    conv = Conv2d(name="c", batch=2, c=4, h=5, w=5, k=4, r=3, s=3)
    assert follow_batch([conv], [conv.changed(batch=4)]) == ([conv], [])
    assert follow_batch([conv], [conv.changed(batch=4, h=6)]) == (
        [conv],
        ["c (conv2d) does not follow the batch: batch is 2, at twice the batch 4, h is 5, at twice the batch 6"],
    )


def test_a_network_that_takes_no_other_batch() -> None:
    assert follow_batch([gemm()], []) == ([gemm()], ["the network does not take twice the batch"])
    assert follow_batch([gemm()], [], refusal="no")[1] == ["the network does not take twice the batch: no"]


def test_what_two_samples_do_counts_when_one_does_something_else() -> None:
    copy = step(12, 12)
    once, twice, fourfold = [gemm()], [gemm(n=12), step(24, 24)], [gemm(n=24), step(48, 48)]
    assert follow_batch(once, twice, fourfold) == ([gemm(scales_with_batch="n"), copy], [])
    only = "the operations depend on the batch: only twice the batch has s (add)"
    assert follow_batch(once, twice, [gemm(n=24)]) == ([gemm()], [only])
    odd = [gemm(n=7), step(24, 24)], [gemm(n=14), step(48, 48)]
    assert follow_batch(once, *odd) == ([gemm()], [only])
    other = "the operations depend on the batch: twice the batch has s (add) in place of g (gemm)"
    assert follow_batch(once, [copy]) == ([gemm()], [other])
    again = "the operations depend on the batch: s (add) is another operation at twice the batch"
    assert follow_batch([copy], [copy.changed(inputs=("x",))]) == ([copy], [again])
