"""Published anchors: every one has a prediction, and none is further off than when it was written down.

Regression gates, no targets: several anchors are far off, and ``stcsim evidence anchors`` says by how much.
"""

from __future__ import annotations

import math

import pytest

from stcsim.study.evidence.anchors import ANCHORS, Compared, compare


@pytest.fixture(scope="module")
def rows() -> tuple[Compared, ...]:
    return compare()


def test_every_anchor_is_predicted(rows: tuple[Compared, ...]) -> None:
    assert len(rows) == len(ANCHORS)
    assert all(math.isfinite(row.predicted) and row.predicted > 0 and row.anchor.source for row in rows)
    assert all((row.difference is None) == (row.anchor.high == 0) for row in rows)


@pytest.mark.parametrize("at", range(len(ANCHORS)), ids=[f"{each.gpu}-{each.what}-{each.high}" for each in ANCHORS])
def test_no_anchor_drifts_away(at: int, rows: tuple[Compared, ...]) -> None:
    assert abs(rows[at].difference or 0) <= rows[at].anchor.gate


def test_a_range_is_met_anywhere_inside_it() -> None:
    speedup = next(each for each in ANCHORS if each.low < each.high)
    middle, above = (Compared(speedup, value).difference for value in ((speedup.low + speedup.high) / 2, 1.1 * speedup.high))
    assert middle == 0 and above == pytest.approx(0.1)
