"""A run says how long its board is under load, and how many sets of weights are launched in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim import RunResult
from stcsim.arch import load_arch
from stcsim.errors import UnsupportedError

#: A board that holds a large GEMM far below its highest clock.
HELD = load_arch("a100-pcie", ["power.board_limit_w=200", "power.burst_ratio=1.5", "power.response_ms=60"])
LARGE = (8192, 8192, 4096)
DURATIONS = ("burst", "40ms", "2s", "sustained")
TIME = "burst, sustained, or a time under load such as 40ms or 2s"


def both(result: RunResult) -> tuple[float, float]:
    """Return the times of the one GEMM, dense and 2:4."""
    (row,) = result.rows
    assert row.dense is not None and row.sparse is not None
    return row.dense.time_us, row.sparse.time_us


# --- how long the board is under load


def test_the_longer_a_board_is_under_load_the_slower_a_gemm() -> None:
    dense, sparse = zip(*(both(stcsim.gemm(*LARGE, HELD, duration=each)) for each in DURATIONS), strict=True)
    assert list(dense) == sorted(dense) and list(sparse) == sorted(sparse)
    assert dense[-1] > 1.1 * dense[0]


@pytest.mark.parametrize(("trace", "arch"), [("resnet34", "l40s"), ("vit-b-16", "a100-pcie")])
def test_a_network_in_a_burst_is_never_slower_than_under_lasting_load(trace: str, arch: str) -> None:
    burst, some, lasting = (stcsim.run(trace, arch, duration=each).totals for each in ("burst", "100ms", "sustained"))
    assert burst.best_us <= some.best_us <= lasting.best_us and burst.dense_us and lasting.dense_us
    assert burst.dense_us <= lasting.dense_us and burst.best_clock_mhz >= lasting.best_clock_mhz


def test_what_no_limit_binds_takes_as_long_in_every_state() -> None:
    burst, lasting = (stcsim.gemm(1024, 16, 1024, "a100", duration=each) for each in ("burst", "sustained"))
    assert burst.rows == lasting.rows and burst.totals == lasting.totals


def test_the_clock_that_a_panel_gives_for_a_burst_is_about_the_one_of_a_burst() -> None:
    lasting, burst = (stcsim.gemm(*LARGE, HELD, duration=each).totals for each in ("sustained", "burst"))
    assert burst.dense_clock_mhz and lasting.dense_clock_mhz
    assert lasting.dense_burst_clock_mhz == pytest.approx(burst.dense_clock_mhz, rel=0.01)
    assert lasting.dense_clock_mhz < 0.95 * burst.dense_clock_mhz
    assert burst.dense_burst_clock_mhz == pytest.approx(burst.dense_clock_mhz, rel=1e-3)


@pytest.mark.parametrize("duration", ["burst", "40ms", " SUSTAINED ", "2500ms"])
def test_a_result_keeps_its_duration_and_runs_again_with_it(duration: str, tmp_path: Path) -> None:
    result = stcsim.gemm(*LARGE, HELD, duration=duration)
    written = {" SUSTAINED ": "sustained", "2500ms": "2.5s"}.get(duration, duration)
    assert result.duration == result.inputs["duration"] == written and stcsim.rerun(result.inputs) == result
    result.save(tmp_path / "result.json")
    assert RunResult.load(tmp_path / "result.json") == result


def test_a_network_runs_again_with_its_duration() -> None:
    result = stcsim.run("resnet34", HELD, duration="burst")
    assert result.inputs["duration"] == "burst" and stcsim.rerun(result.inputs).totals == result.totals


def test_results_of_earlier_versions_are_of_the_sustained_state() -> None:
    result = stcsim.gemm(512, 64, 512, "a100")
    older = {name: value for name, value in result.inputs.items() if name not in ("duration", "weight_copies")}
    assert stcsim.rerun(older) == result and result.duration == "sustained"


def test_an_explanation_is_of_the_state_that_was_asked_for() -> None:
    explained = {each: stcsim.explain(*LARGE, HELD, duration=each) for each in ("burst", "sustained")}
    for duration, found in explained.items():
        times = tuple(side.result.time_us for side in found.sides)
        assert times == both(stcsim.gemm(*LARGE, HELD, duration=duration)) and found.inputs["duration"] == duration
    held = explained["sustained"].sides[0]
    assert held.burst_clock_mhz == pytest.approx(explained["burst"].sides[0].result.clock_mhz, rel=0.01)


def test_a_curve_is_of_the_state_that_was_asked_for() -> None:
    burst, lasting = (stcsim.sweep("8192x8192xk", "k=512,4096", HELD, duration=each) for each in ("burst", "sustained"))
    assert burst.inputs["duration"] == "burst"
    for fast, slow in zip(burst.points, lasting.points, strict=True):
        assert fast.totals.dense_us and slow.totals.dense_us and fast.totals.dense_us < slow.totals.dense_us


def test_other_durations_are_refused(refused: Callable[..., str]) -> None:
    for command in (("gemm", 64, 64, 64), ("explain", 64, 64, 64), ("run", "resnet34"), ("curve", "--over", "n=1..8")):
        assert refused(*command, "--arch", "a100", "--duration", "40") == f"--duration: expected {TIME}, found '40'"
    for call in (
        lambda: stcsim.run("resnet34", "a100", duration=3),  # type: ignore[arg-type]
        lambda: stcsim.sweep("64x64xk", "k=64", "a100", duration=3),  # type: ignore[arg-type]
    ):
        with pytest.raises(UnsupportedError, match=f"^duration: expected {TIME}, found 3$"):
            call()


def test_panels_say_the_state_where_a_limit_holds_a_clock_and_nowhere_else(ran: Callable[..., str]) -> None:
    held = ("--arch", "a100-pcie", "--set", "power.board_limit_w=200")
    for command in (("gemm", *LARGE), ("explain", *LARGE)):
        assert "sustained state: the limit of 200 W holds dense at " in ran(*command, *held)
        assert "short burst: its power holds dense at " in ran(*command, *held, "--duration", "burst")
        assert "sustained state" not in ran(command[0], 512, 16, 512, *held)
    curve = ("curve", "--over", "m,n,k=256,8192", *held)
    held_at = "mean of the first 40ms under load; a power limit holds it down at 1 of 2 points"
    assert held_at in " ".join(ran(*curve, "--duration", "40ms").split())
    assert "clock:" not in ran("curve", "--over", "m,n,k=256", *held)


# --- weights in turn


def test_more_sets_of_weights_take_longer_from_all_in_l2_to_cold() -> None:
    sizes = 2048, 64, 2048  # 8 MiB of the 32 that A100's L2 keeps
    times = [both(stcsim.gemm(*sizes, "a100", weight_copies=copies))[0] for copies in (1, 2, 5, 50)]
    warm, cold = (both(stcsim.gemm(*sizes, "a100", weights_in_l2=each))[0] for each in (True, False))
    assert times == sorted(times) and times[0] == times[1] == warm < cold
    assert times[-1] >= cold  # and their results are written to DRAM


def test_one_set_is_weights_in_l2() -> None:
    one, warm = stcsim.gemm(2048, 64, 2048, "a100", weight_copies=1), stcsim.gemm(2048, 64, 2048, "a100", weights_in_l2=True)
    assert one == warm and one.inputs["weights_in_l2"] is True and one.inputs["weight_copies"] == 1
    many = stcsim.gemm(2048, 64, 2048, "a100", weights_in_l2=True, weight_copies=50)
    assert many == stcsim.gemm(2048, 64, 2048, "a100", weight_copies=50) and many.totals != warm.totals
    cold = stcsim.gemm(2048, 64, 2048, "a100").inputs
    assert (cold["weights_in_l2"], cold["weight_copies"]) == (False, None)


def test_a_result_with_weights_in_turn_runs_again() -> None:
    for options in ({"weight_copies": 5}, {"weights_in_l2": True}, {}):
        result = stcsim.gemm(2048, 64, 2048, "a100", **options)  # type: ignore[arg-type]
        assert stcsim.rerun(json.loads(json.dumps(result.inputs))) == result


def test_an_explanation_says_what_is_in_l2_at_the_start(ran: Callable[..., str]) -> None:
    gemm, options = (2048, 64, 2048), ("--arch", "a100", "--sparsity", "dense")
    five = json.loads(ran("explain", *gemm, *options, "--weight-copies", 50, "--json", "-"))
    assert (five["inputs"]["gemm"]["weights_in_l2"], five["inputs"]["gemm"]["weight_copies"]) == (True, 50)
    assert five["sides"][0]["plan"]["in L2 at the start"] == "0 % of A, 100 % of B, 50 sets of weights in turn"
    assert "100 % of A, 100 % of B" in ran("explain", *gemm, *options, "--weights-in-l2")
    cold = json.loads(ran("explain", *gemm, *options, "--json", "-"))
    assert cold["inputs"]["gemm"]["weight_copies"] is None and "in L2 at the start" not in cold["sides"][0]["plan"]
    explained = stcsim.explain(*gemm, "a100", weight_copies=5)
    assert tuple(side.result.time_us for side in explained.sides) == both(stcsim.gemm(*gemm, "a100", weight_copies=5))


@pytest.mark.parametrize("copies", [0, True, 2.0])
def test_a_number_of_sets_is_a_whole_one_above_0(copies: object) -> None:
    for call in (stcsim.gemm, stcsim.explain):
        with pytest.raises(UnsupportedError, match=f"^weight_copies: expected a whole number above 0, found {copies}$"):
            call(64, 64, 64, "a100", weight_copies=copies)  # type: ignore[operator]


def test_other_numbers_of_sets_are_refused_in_one_sentence(refused: Callable[..., str]) -> None:
    for command in ("gemm", "explain"):
        said = refused(command, 64, 64, 64, "--arch", "a100", "--weight-copies", 0)
        assert said == "--weight-copies: expected a whole number above 0, found 0"
