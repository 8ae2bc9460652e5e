"""Did an answer change unannounced?"""

from __future__ import annotations

import json

from tests.golden.predictions import FILE, predictions


def test_predictions_are_as_they_were() -> None:
    now, then = predictions(), json.loads(FILE.read_text(encoding="utf-8"))
    changed = {key: (then.get(key), now.get(key)) for key in now.keys() | then.keys() if now.get(key) != then.get(key)}
    assert not changed, "if this is meant: python -m tests.golden.predictions, and a line in the CHANGELOG"
