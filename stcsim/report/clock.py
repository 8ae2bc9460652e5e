"""Which state of a board figures are for, where its power limit holds a clock down: the one sentence that all panels say."""

from __future__ import annotations

from collections.abc import Mapping

_STATES = {"sustained": "sustained state", "burst": "short burst"}
_OTHER_MHZ = 5  # a clock of a burst that is nearer is no other clock

Clocks = Mapping[str, tuple[float | None, float | None]]
"""Of each side, the clock that it holds, and about the one that it holds in a short burst; ``None`` where it was not run."""


def state_text(duration: str) -> str:
    """Return how long a board was under load, in words: ``sustained state``, ``short burst``, ``mean of the first 40ms``."""
    return _STATES.get(duration, f"mean of the first {duration} under load")


def allowed_w(duration: str, limit_w: float, burst_ratio: float) -> float:
    """Return what the board lets pass for so long."""
    return limit_w * (1 if duration == "sustained" else burst_ratio)


def clock_text(duration: str, limit_w: float, highest_mhz: float, clocks: Clocks) -> str:
    """Return which state figures are for and which sides the limit holds down; empty where it holds none.

    Args:
        duration: ``"sustained"``, ``"burst"`` or a time, as in ``RunResult.duration``.
        limit_w: what the board may draw.
        highest_mhz: the clock that no load exceeds.
        clocks: of each side.
    """
    held = {side: (clock, burst or clock) for side, (clock, burst) in clocks.items() if clock is not None and clock < highest_mhz}
    if not held:
        return ""
    sides = " and ".join(f"{side} at {clock:,.0f} MHz" for side, (clock, _) in held.items())
    if duration == "burst":
        return f"{state_text(duration)}: its power holds {sides}, before the limit of {limit_w:,.0f} W has taken hold"
    shown = ""
    if any(burst - clock > _OTHER_MHZ for clock, burst in held.values()):
        bursts = dict.fromkeys(f"{highest_mhz if burst >= highest_mhz else round(burst, -1):,.0f}" for _, burst in held.values())
        shown = f" (a short burst: about {' and '.join(bursts)} MHz)"
    return f"{state_text(duration)}: the limit of {limit_w:,.0f} W holds {sides}{shown}"
