"""The published INT8 speedups of ResNet-34 on the A40: how close the predictions came, held."""

from __future__ import annotations

import pytest

from stcsim.study.axis import Value
from stcsim.study.reproduce.run import find_study, reproduce
from stcsim.study.reproduce.studies import STUDIES

#: How far the prediction lies from each published figure, or from the nearer end of a published range; below 0 it is lower.
REACHED: dict[str, dict[Value, float]] = {
    "resnet34-batch": {1: -0.126, 2048: 0.0},
    "resnet34-resolution": {(224, 224): 0.024, (800, 1280): 0.015, (1024, 2048): 0.0, (2048, 4096): -0.079},
}
MARGIN = 0.005
"""How much further from the figure a prediction may come to lie."""
LARGEST_DIP = 0.021
"""How far a speedup may lie below a smaller batch's: tiles that do not divide a layer show at every batch."""


@pytest.mark.parametrize("name", REACHED)
def test_every_published_speedup_is_met_as_closely_as_it_was(name: str) -> None:
    (found,) = reproduce([find_study(name, STUDIES)])
    published = {row.point.value: (row.predicted, row.point.published) for row in found.rows if row.point.published is not None}
    assert set(published) == set(REACHED[name])
    for value, (predicted, figure) in published.items():
        off = predicted - min(max(predicted, figure.low), figure.high)
        print(f"\n{name} {value}: {predicted:.3f}, off by {off:+.3f}", end="")
        assert abs(off) <= abs(REACHED[name][value]) + MARGIN, figure.text
    highest = 0.0
    for row in found.rows:
        assert row.predicted >= highest - LARGEST_DIP, row.point.value
        highest = max(highest, row.predicted)
