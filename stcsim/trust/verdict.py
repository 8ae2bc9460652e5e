"""Whether pruning pays, in one word, from the interval of its speedup."""

from __future__ import annotations

from enum import StrEnum

from stcsim.result import Interval

HARDLY = 1.02
"""A speedup that is no more than this, in all likelihood, is not worth pruning for."""


class Verdict(StrEnum):
    """What a speedup's interval says."""

    PAYS = "pays"
    DOES_NOT_PAY = "does not pay"
    CANNOT_TELL = "cannot tell"


def verdict_of(speedup: Interval) -> Verdict:
    """Return the verdict of a speedup: it pays where all of its interval is above 1, and does not where all is 1.02 or less."""
    if speedup.low > 1:
        return Verdict.PAYS
    return Verdict.DOES_NOT_PAY if speedup.high <= HARDLY else Verdict.CANNOT_TELL
