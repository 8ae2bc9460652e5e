"""How long a board is under load: how much of a burst is left on average, and the words that ask for it."""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.errors import UnsupportedError
from stcsim.timing.board.duration import BURST, SUSTAINED, Duration, parse_duration


def integrated(duration: Duration, launch_us: float, response_us: float) -> float:
    """Return the mean of ``1 / (1 + t / response)`` over the stretch of ``duration``, by the midpoints of a million pieces."""
    begins_us = duration.before * launch_us
    lasts_us = 1e3 * duration.ms if duration.ms is not None else (duration.launches or 0) * launch_us
    pieces = 1_000_000
    times_us = begins_us + (np.arange(pieces) + 0.5) * lasts_us / pieces
    return float(np.mean(1 / (1 + times_us / response_us)))


@pytest.mark.parametrize(
    "duration",
    [
        Duration(100),
        Duration(1),
        Duration(100, 50),
        Duration(40, 2_000),
        Duration(ms=2),
        Duration(ms=250),
        Duration(ms=5, before=70),
    ],
)
def test_the_mean_share_of_a_burst_is_its_integral(duration: Duration) -> None:
    assert duration.burst_share(130, 60_000) == pytest.approx(integrated(duration, 130, 60_000), rel=1e-9)


def test_a_mean_lies_between_what_is_left_at_its_ends() -> None:
    for launches, before in ((100, 0), (100, 400), (3_000, 150)):
        first, last = (1 / (1 + 200 * at / 60_000) for at in (before, before + launches))
        assert last < Duration(launches, before).burst_share(200, 60_000) < first


def test_a_burst_is_whole_and_lasting_load_has_none_left() -> None:
    assert BURST.burst_share(1e6, 60_000) == Duration(0, 9).burst_share(0, 60_000) == 1
    assert SUSTAINED.burst_share(1, 60_000) == 0 and SUSTAINED.sustained and not BURST.sustained
    assert Duration(100).burst_share(10, 0) == 0  # a board that enforces its limit at once


@pytest.mark.parametrize(
    ("words", "meant", "written"),
    [
        ("burst", BURST, "burst"), (" Sustained ", SUSTAINED, "sustained"), ("40ms", Duration(ms=40), "40ms"),
        ("2s", Duration(ms=2000), "2s"), ("0.5 S", Duration(ms=500), "500ms"), ("1234567.25ms", Duration(ms=1234567.25), None),
        ("0.1ms", Duration(ms=0.1), "0.1ms"), (Duration(7, 3), Duration(7, 3), "7 launches after 3"),
    ],
)  # fmt: skip
def test_words_are_read_and_written_so_that_they_read_the_same(words: object, meant: Duration, written: str | None) -> None:
    found = parse_duration(words)
    assert found == meant and (written is None or str(found) == written)
    if meant.launches is None:
        assert parse_duration(str(found)) == found


@pytest.mark.parametrize("words", ["", "40", 40, None, "40us", "0ms", "-1s", "nanms", "infs", "1e400ms", "ms", "burst!", True])
def test_other_words_are_refused_in_one_sentence(words: object) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse_duration(words)
    assert str(caught.value).startswith("duration: expected burst, sustained, or a time under load such as 40ms or 2s, found ")
    assert "\n" not in str(caught.value)
