"""How long a board has been under load while a time is taken: by that a power limit has taken hold, or not yet.

Measured boards keep the clock of a short burst for some tens of milliseconds and lose it over the next tenths of a second
(docs/accuracy.md, "When a power limit takes hold"). Of the difference between the two clocks the share ``1 / (1 + t / response)``
is left after ``t`` under load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stcsim.errors import UnsupportedError, quoted

_UNITS_MS = {"ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Duration:
    """The stretch of load that one time is the mean of, from its start.

    Attributes:
        launches: how often a kernel (or network) ran in that stretch; ``None``: so long that nothing changes any more.
        before: how often it had run before, in the same load.
        ms: milliseconds, instead of launches.
    """

    launches: int | None = None
    before: int = 0
    ms: float | None = None

    @property
    def sustained(self) -> bool:
        """Whether it is so long that nothing changes any more."""
        return self.launches is None and self.ms is None

    def burst_share(self, launch_us: float, response_us: float) -> float:
        """Return how much of the burst is left on average: 1 for the first moment, 0 once nothing changes any more.

        Args:
            launch_us: what one launch takes.
            response_us: after which half of it is left.
        """
        if self.sustained or response_us == 0:
            return 0.0
        begins_us = self.before * launch_us
        lasts_us = 1e3 * self.ms if self.ms is not None else (self.launches or 0) * launch_us
        if lasts_us == 0:
            return 1.0
        return math.log1p(lasts_us / (response_us + begins_us)) * response_us / lasts_us

    def __str__(self) -> str:
        """Return it as :func:`parse_duration` reads it, where it can."""
        if self.sustained:
            return "sustained"
        if self.ms is not None:
            return "burst" if self.ms == 0 else _time_text(self.ms)
        return f"{self.launches} launches after {self.before}"


def _time_text(ms: float) -> str:
    """Return a time with every digit, since it is read again: ``40ms``, ``2s``."""
    seconds = ms / _UNITS_MS["s"]
    whole = seconds >= 1 and seconds * _UNITS_MS["s"] == ms
    return f"{seconds if whole else ms!r}".removesuffix(".0") + ("s" if whole else "ms")


SUSTAINED, BURST = Duration(), Duration(ms=0.0)


def parse_duration(text: object) -> Duration:
    """Read ``burst``, ``sustained``, or a time under load such as ``40ms`` or ``2s``.

    Raises:
        UnsupportedError: for anything else.
    """
    if isinstance(text, Duration):
        return text
    word = text.strip().lower() if isinstance(text, str) else ""
    known = {"sustained": SUSTAINED, "burst": BURST}
    if word in known:
        return known[word]
    unit = "ms" if word.endswith("ms") else "s"
    try:
        ms = float(word.removesuffix(unit)) * _UNITS_MS[unit] if word.endswith(unit) else math.nan
    except ValueError:
        ms = math.nan
    if not 0 < ms < math.inf:
        raise UnsupportedError("duration", "burst, sustained, or a time under load such as 40ms or 2s", quoted(text))
    return Duration(ms=ms)
