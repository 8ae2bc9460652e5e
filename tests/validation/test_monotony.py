"""A sample of ``stcsim evidence monotony``: more hardware is not slower."""

from __future__ import annotations

import pytest

from stcsim.study.evidence.monotony import RESOURCES, Change, More, Work, changes, summary, works

SAMPLE = [work for work in works(3, seed=2) if work.gemm]


@pytest.mark.parametrize("work", SAMPLE, ids=str)
def test_more_of_anything_is_not_slower(work: Work) -> None:
    found = changes(work)
    assert {change.resource for change in found} == set(RESOURCES)
    assert max(change.longer for change in found if change.resource != "SMs") < 0.001
    assert max(change.longer for change in found if change.resource == "SMs") < 0.02
    assert min(change.longer for change in found) < -0.02  # something helps


def test_the_summary_names_the_worst() -> None:
    found = summary([Change("l2", -0.1, "a"), Change("l2", 0.02, "b"), Change("dram", 0.0, "c")])
    assert found == (More("l2", 2, 1, 0.02, "b"), More("dram", 1, 0, 0.0, ""))
