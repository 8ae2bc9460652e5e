"""The published INT8 speedups of ResNet-34 on the A40: how close the predictions came, held."""

from __future__ import annotations

import pytest

from stcsim.study.reproduce.run import find_study, reproduce
from stcsim.study.reproduce.studies import STUDIES

LARGEST_DIFFERENCE = 0.10
LARGEST_DIP = 0.021
"""How far a speedup may lie below a smaller batch's: tiles that do not divide a layer show at every batch."""


@pytest.mark.parametrize("name", ["resnet34-batch", "resnet34-resolution"])
def test_every_published_speedup_is_met(name: str) -> None:
    (found,) = reproduce([find_study(name, STUDIES)])
    published = [(row.predicted, row.point.published) for row in found.rows if row.point.published is not None]
    for predicted, figure in published:
        assert figure.low - LARGEST_DIFFERENCE <= predicted <= figure.high + LARGEST_DIFFERENCE, figure.text
    highest = 0.0
    for row in found.rows:
        assert row.predicted >= highest - LARGEST_DIP, row.point.value
        highest = max(highest, row.predicted)
