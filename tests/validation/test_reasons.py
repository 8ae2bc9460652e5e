"""What is said to help most does, on a sample of what ``stcsim evidence reasons`` runs."""

from __future__ import annotations

from stcsim.study.evidence.reasons import Reason, gemms, reasons

LEAST_RIGHT = 0.95


def test_the_resource_that_is_named_is_the_one_that_helps() -> None:
    found = [each for case in gemms(16, seed=3) for each in reasons(case)]
    wrong = [each for each in found if not each.is_right]
    assert len(found) == 32 and len(wrong) <= (1 - LEAST_RIGHT) * len(found), wrong


def test_a_wrong_reason_is_seen() -> None:
    saved = {"tensor": 0.05, "l2": 0.02}
    assert Reason("", "tensor", saved).is_right and not Reason("", "l2", saved).is_right and not Reason("", None, saved).is_right
    assert Reason("", None, {"tensor": 0.0005}).is_right and Reason("", "l2", {"tensor": 0.0205, "l2": 0.02}).is_right
