"""Did an answer change unannounced?"""

from __future__ import annotations

import pytest

from tests.golden.predictions import Case, predicted, stored


@pytest.mark.parametrize("case", stored(), ids=lambda each: each.case)
def test_predictions_are_as_they_were(case: Case) -> None:
    assert predicted(case.case) == case.prediction, (
        f"this guards {case.guards}; if the change is meant: python -m tests.golden.predictions, and a line in the CHANGELOG"
    )
