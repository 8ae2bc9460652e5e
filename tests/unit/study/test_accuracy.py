"""How far predictions may be off: classes and intervals by hand, error bars on a run, and a model learned from known errors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim import cli
from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.isa import dtype
from stcsim.replay.intervals import Bars
from stcsim.result import Interval, LayerRow, RunResult, Totals
from stcsim.study.error_model.build import (
    CHECK,
    FITTED,
    LEANING,
    TABLE,
    build,
    errors_of,
    leaning,
    level_for,
    part_of,
    rows_for,
    speedup_errors_of,
    spread_of,
    together,
)
from stcsim.study.error_model.coverage import Coverage, Verdicts, cover
from stcsim.study.error_model.file import read_predicted, write_error_model
from stcsim.study.measured import Measured
from stcsim.study.validate import Predicted
from stcsim.trust.accuracy import (
    LEAST_ROWS,
    LEVEL,
    WIDEST,
    ErrorModel,
    Evidence,
    Known,
    Spread,
    error_model,
    from_document,
    keys_of,
    parent_of,
    read_error_model,
    size_class,
    width_class,
)
from stcsim.trust.verdict import Verdict, verdict_of
from tests.unit.runs import layer, run_of, step

FP16, INT8 = dtype("fp16"), dtype("int8")
A100 = load_arch("a100")
Shape = tuple[int, int, int]

# --- the error model -------------------------------------------------------------------------------------------------------


def entry(key: Sequence[str], low: float, high: float, rows: int = 100) -> dict[str, Any]:
    return {"class": list(key), "rows": rows, "low": low, "median": (low + high) / 2, "high": high}


def model_of(*times: dict[str, Any], speedups: Iterable[dict[str, Any]] = (), **changes: object) -> ErrorModel:
    """Return an error model of a100, h100 and l40s; where no class says more, times lie within 10 %, speedups within 5 %."""
    document: dict[str, Any] = {
        "made": "by hand",
        "boards": {"a100": "GA100", "h100": "GH100", "l40s": "AD102"},
        "fitted": ["a100", "h100"],
        "together": 0.25,
        "times": [entry(WIDEST, -0.1, 0.1), *times],
        "speedups": [entry(WIDEST, -0.05, 0.05), *speedups],
    }
    return from_document(document | changes)


@pytest.mark.parametrize(
    ("operations", "decade"),
    [
        (0, "10^8"),  # the smallest and the largest are open
        (99_999_999, "10^8"),
        (1e8, "10^8"),
        (999_999_999, "10^8"),
        (1e9, "10^9"),
        (2 * 4096**3, "10^11"),
        (1e12, "10^12"),
        (1e15, "10^12"),
    ],
)
def test_sizes_are_decades(operations: float, decade: str) -> None:
    assert size_class(operations) == decade


@pytest.mark.parametrize(("name", "bits"), [("fp16", "16"), ("bf16", "16"), ("int8", "8"), ("fp8", "8"), ("tf32", "32")])
def test_types_of_one_width_are_alike(name: str, bits: str) -> None:
    assert width_class(dtype(name)) == bits


def test_the_finest_class_of_a_measured_board_is_its_own() -> None:
    keys = keys_of(Known("a100", Evidence.BOARD), True, INT8, 3e9)
    assert keys == [
        ("a100", "2:4", "8", "10^9"),
        ("a100", "2:4", "8", "*"),
        ("a100", "2:4", "*", "*"),
        ("board", "2:4", "8", "10^9"),
        ("board", "2:4", "8", "*"),
        ("board", "2:4", "*", "*"),
        ("*", "2:4", "*", "*"),
        WIDEST,
    ]


@pytest.mark.parametrize("evidence", [Evidence.SIBLING, Evidence.GENERATION])
def test_a_board_that_was_not_measured_has_no_class_of_its_own(evidence: Evidence) -> None:
    keys = keys_of(Known("a100", evidence), False, FP16, 3e9)
    assert [key[0] for key in keys] == [evidence.value] * 3 + ["*"] * 2
    assert keys[0] == (evidence.value, "dense", "16", "10^9") and keys[-1] == WIDEST


def test_the_whole_of_a_board_leans_on_all_boards_and_not_on_a_part_of_them() -> None:
    chain = keys_of(Known("a100", Evidence.BOARD), True, INT8, 3e9)
    assert parent_of(chain[0], chain) == ("a100", "2:4", "8", "*")
    assert parent_of(("a100", "2:4", "*", "*"), chain) == ("board", "2:4", "*", "*")
    assert parent_of(("board", "2:4", "*", "*"), chain) == ("*", "2:4", "*", "*")
    assert parent_of(("*", "2:4", "*", "*"), chain) == WIDEST


def changed_file(folder: Path, name: str, base: str) -> Arch:
    path = folder / f"{name}.yaml"
    path.write_text(f"base: {base}\nname: {name}\n", encoding="utf-8")
    return load_arch(path)


def test_what_is_known_of_a_gpu_follows_from_what_was_measured(tmp_path: Path) -> None:
    model = model_of()
    assert model.known(A100) == Known("a100", Evidence.BOARD)
    # a what-if is a sibling of itself, so is a file of the user's own with that die
    assert model.known(load_arch("a100", ["dram.capacity_gib=96"])) == Known("a100", Evidence.SIBLING)
    assert model.known(changed_file(tmp_path, "mine", "a100")) == Known("mine", Evidence.SIBLING)
    # not measured, but its die was; neither it nor its die
    assert model.known(load_arch("h100-pcie")) == Known("h100-pcie", Evidence.SIBLING)
    assert model.known(load_arch("a40")) == Known("a40", Evidence.GENERATION)
    assert model.known(changed_file(tmp_path, "mine", "a40")) == Known("mine", Evidence.GENERATION)


def test_the_finest_class_that_is_there_answers() -> None:
    model = model_of(
        entry(("a100", "dense", "16", "10^9"), -0.01, 0.01),
        entry(("a100", "dense", "16", "*"), -0.02, 0.02),
        entry(("board", "dense", "8", "*"), -0.03, 0.03),
        entry(("sibling", "dense", "*", "*"), -0.04, 0.04),
        entry(("*", "2:4", "*", "*"), -0.06, 0.06),
    )

    def high(gpu: str, sparse: bool, name: str, operations: float, *settings: str) -> float:
        return model.of_time(model.known(load_arch(gpu, settings)), sparse, dtype(name), operations).high

    assert high("a100", False, "fp16", 1e9) == 0.01
    assert high("a100", False, "bf16", 1e11) == 0.02  # no class of that size
    assert high("a100", False, "int8", 1e9) == high("l40s", False, "int8", 1e9) == 0.03  # none of the board
    assert high("a100", False, "fp16", 1e9, "power.board_limit_w=300") == high("h100-pcie", False, "fp16", 1e9) == 0.04
    assert high("a100", True, "fp16", 1e9) == 0.06
    assert high("a40", False, "fp16", 1e9) == 0.1  # nothing but the widest


def test_speedups_are_looked_up_as_2_4() -> None:
    model = model_of(speedups=[entry(("a100", "2:4", "16", "*"), -0.01, 0.02)])
    assert model.of_speedup(model.known(A100), FP16, 1e9).high == 0.02
    assert model.of_speedup(model.known(A100), INT8, 1e9).high == 0.05


def test_an_interval_is_the_prediction_times_measured_over_predicted() -> None:
    interval = Spread(9, math.log(0.9), 0.0, math.log(1.25)).of(8.0)
    assert (interval.low, interval.high) == pytest.approx((7.2, 10.0))


WIDE = Spread(50, -0.2, 0.1, 0.4)


def ends(spread: Spread) -> tuple[float, float, float]:
    """Return low, median and high."""
    return spread.low, spread.median, spread.high


def test_a_sum_of_one_part_is_as_wide_as_the_part() -> None:
    found = model_of().of_sum([(7.0, WIDE)])
    assert found.rows == 50 and ends(found) == pytest.approx((-0.2, 0.1, 0.4))


@pytest.mark.parametrize("parts", [2, 9, 100])
def test_errors_that_are_all_in_common_do_not_average_out(parts: int) -> None:
    found = model_of(together=1.0).of_sum([(3.0, WIDE)] * parts)
    assert ends(found) == pytest.approx((-0.2, 0.1, 0.4))


@pytest.mark.parametrize("parts", [2, 9, 100])
def test_errors_of_their_own_shrink_with_the_root_of_the_number_of_equal_parts(parts: int) -> None:
    found = model_of(together=0.0).of_sum([(3.0, WIDE)] * parts)
    root = math.sqrt(parts)  # the median, which is a bias, stays
    assert ends(found) == pytest.approx((0.1 - 0.3 / root, 0.1, 0.1 + 0.3 / root))


def test_what_is_in_common_and_what_is_not_add_up_as_variances() -> None:
    # a quarter in common, four equal parts: sqrt(1/4 + 3/4 * 1/4)
    found = model_of(together=0.25).of_sum([(3.0, WIDE)] * 4)
    assert found.high - found.median == pytest.approx(0.3 * math.sqrt(0.4375))


def test_a_sum_is_biased_as_its_parts_are_by_their_time() -> None:
    parts = [(30.0, Spread(50, 0.2, 0.2, 0.2)), (10.0, Spread(9, -0.2, -0.2, -0.2))]
    found = model_of().of_sum(parts)
    assert found.rows == 9  # as many as the weakest has
    assert ends(found) == pytest.approx((0.1, 0.1, 0.1))


def test_a_sum_of_nothing_has_no_width() -> None:
    assert model_of().of_sum([]) == Spread(0, 0.0, 0.0, 0.0)


def test_the_error_model_that_ships_knows_its_boards() -> None:
    model = error_model()
    assert {"a100", "a100-pcie", "h100", "h100-pcie"} <= set(model.boards)
    assert model.times[WIDEST].rows >= 900 and WIDEST in model.speedups
    rows, _, source = model.made.partition(" rows of ")
    assert source and rows.split()[-1].replace(",", "").isdecimal()
    assert 0 <= model.together <= 1


# --- verdicts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.001, 1.5, Verdict.PAYS),
        (1.001, 1.01, Verdict.PAYS),
        (1.0, 1.5, Verdict.CANNOT_TELL),  # not above 1
        (0.9, 1.02, Verdict.DOES_NOT_PAY),
        (1.0, 1.0, Verdict.DOES_NOT_PAY),
        (0.9, 1.021, Verdict.CANNOT_TELL),
        (0.5, 0.9, Verdict.DOES_NOT_PAY),
    ],
)
def test_a_verdict_is_what_all_of_the_interval_says(low: float, high: float, verdict: Verdict) -> None:
    assert verdict_of(Interval(low, high)) == verdict


# --- error bars on a run ---------------------------------------------------------------------------------------------------

BARRED = model_of(
    entry(("a100", "dense", "*", "*"), -0.1, 0.3, rows=80),
    entry(("a100", "2:4", "*", "*"), -0.2, 0.2, rows=60),
    speedups=[entry(("a100", "2:4", "*", "*"), -0.04, 0.06)],
)
BARS = Bars(A100, BARRED, BARRED.known(A100))
SQUARE = (1024, 1024, 1024)


def barred(*rows: LayerRow, **options: Any) -> tuple[RunResult, Totals]:
    result = run_of(*rows, **options)
    return result, BARS.totals(result.totals, result.rows, result.memory)


def relative(interval: Interval | None, figure: float | None) -> tuple[float, float]:
    """Return the ends of an interval as logarithms over its figure."""
    assert interval is not None and figure is not None
    return math.log(interval.low / figure), math.log(interval.high / figure)


def near(low: float, high: float) -> tuple[Any, Any]:
    return pytest.approx(low), pytest.approx(high)


def test_each_side_of_a_layer_has_the_interval_of_its_class() -> None:
    row = BARS.layer(layer("fc", SQUARE, 20.0, 14.0))
    assert row.dense and row.sparse
    assert relative(row.dense.time_us_interval, 20.0) == near(-0.1, 0.3)
    assert relative(row.sparse.time_us_interval, 14.0) == near(-0.2, 0.2)
    assert row.chosen == row.sparse  # 2:4 in best of both
    assert relative(row.speedup_interval, 20 / 14) == near(-0.04, 0.06)


def test_a_rate_is_in_the_inverse_of_the_interval_of_its_time() -> None:
    row = BARS.layer(layer("fc", SQUARE, 20.0, 14.0))
    for kernel in (row.dense, row.sparse):
        assert kernel and kernel.time_us_interval and kernel.tops_interval
        operations = kernel.tops * kernel.time_us
        assert kernel.tops_interval.low * kernel.time_us_interval.high == pytest.approx(operations)
        assert kernel.tops_interval.high * kernel.time_us_interval.low == pytest.approx(operations)


def test_an_energy_is_as_far_off_as_its_time() -> None:
    row = BARS.layer(layer("fc", SQUARE, 20.0, None))
    assert row.dense and relative(row.dense.energy_uj_interval, row.dense.energy_uj) == near(-0.1, 0.3)
    assert row.speedup_interval is None and row.sparse is None


def test_a_memory_operation_is_as_far_off_as_a_dense_gemm() -> None:
    row = BARS.memory(step("norm", "layer_norm", 10.0))
    for kernel in (row.dense, row.sparse, row.chosen):
        assert kernel and relative(kernel.time_us_interval, 10.0) == near(-0.1, 0.3)


def test_a_network_of_copies_of_one_gemm_is_as_far_off_as_the_gemm() -> None:
    copies = [layer(f"fc.{at}", SQUARE, 20.0, 14.0, count=at + 1) for at in range(5)]
    result, totals = barred(*copies)
    assert relative(totals.dense_us_interval, result.totals.dense_us) == near(-0.1, 0.3)
    assert relative(totals.sparse_us_interval, result.totals.sparse_us) == near(-0.2, 0.2)
    assert relative(totals.best_us_interval, result.totals.best_us) == near(-0.2, 0.2)
    assert relative(totals.speedup_interval, result.totals.speedup) == near(-0.04, 0.06)
    assert relative(totals.sparse_speedup_interval, result.totals.sparse_speedup) == near(-0.04, 0.06)


def test_a_network_of_different_gemms_is_less_far_off_than_each() -> None:
    layers = [layer(f"fc.{at}", (1024, 1024, 1024 + 64 * at), 20.0, None) for at in range(4)]
    result, totals = barred(*layers)
    # median 0.1; below and above it 0.2, of which sqrt(1/4 + 3/4 * 1/4) is left
    left = 0.2 * math.sqrt(0.4375)
    assert relative(totals.dense_us_interval, result.totals.dense_us) == near(0.1 - left, 0.1 + left)


def test_all_memory_operations_are_off_together() -> None:
    steps = tuple(step(f"norm.{at}", "layer_norm", 10.0) for at in range(2))
    result, totals = barred(layer("fc", SQUARE, 20.0, None), memory=steps)
    # two halves of the time: sqrt(1/4 + 3/4 * 1/2)
    left = 0.2 * math.sqrt(0.625)
    assert relative(totals.dense_us_interval, result.totals.dense_us) == near(0.1 - left, 0.1 + left)


def test_the_speedup_of_a_network_with_nothing_pruned_is_certain() -> None:
    slower = (layer("fc", SQUARE, 20.0, 25.0), layer("fc2", (512, 512, 512), 10.0, 12.0))
    result, totals = barred(*slower, memory=(step("norm", "layer_norm", 10.0),))
    assert result.totals.speedup == 1 and totals.speedup_interval == Interval(1.0, 1.0)
    assert totals.sparse_speedup_interval and totals.sparse_speedup_interval.low < totals.sparse_speedup_interval.high


def test_the_sums_of_a_network_have_rates_and_energies_like_its_time() -> None:
    result, totals = barred(layer("fc", SQUARE, 20.0, 14.0))
    assert relative(totals.dense_tops_interval, result.totals.dense_tops) == near(-0.3, 0.1)
    assert relative(totals.best_tops_interval, result.totals.best_tops) == near(-0.2, 0.2)
    assert relative(totals.dense_uj_interval, result.totals.dense_uj) == near(-0.1, 0.3)
    assert relative(totals.sparse_uj_interval, result.totals.sparse_uj) == near(-0.2, 0.2)
    assert relative(totals.best_uj_interval, result.totals.best_uj) == near(-0.2, 0.2)


def test_what_was_not_asked_for_has_no_interval() -> None:
    _, totals = barred(layer("fc", SQUARE, 20.0, None), sparsity="dense")
    assert totals.sparse_us_interval is totals.speedup_interval is totals.sparse_speedup_interval is None
    assert totals.dense_us_interval == totals.best_us_interval


def test_trust_says_what_is_known_and_names_what_is_assumed() -> None:
    result, totals = barred(layer("fc", SQUARE, 20.0, 14.0), layer("fc2", SQUARE, 20.0, None))
    trust = BARS.trust(totals, result.rows)
    assert (trust.evidence, trust.rows, trust.made) == ("board", 60, "by hand")  # 2:4 has fewer rows than dense
    assert "l2.port_bytes_per_clk_per_sm" in trust.assumed and "sm.count" not in trust.assumed
    what_if = load_arch("a100", ["sm.count=100"])
    trust = Bars(what_if, BARRED, BARRED.known(what_if)).trust(totals, result.rows)
    assert trust.evidence == "sibling" and "sm.count" in trust.assumed


@pytest.mark.parametrize(
    ("sparse_us", "verdict"),
    [
        (14.0, "pays"),  # 20 / 14, 4 % less at worst
        (19.8, "cannot tell"),  # 1.01, up to 6 % more
        (25.0, "does not pay"),  # 0.8 if it were pruned
    ],
)
def test_the_verdict_is_on_what_is_pruned_or_else_on_all_that_may_be(sparse_us: float, verdict: str) -> None:
    result, totals = barred(layer("fc", SQUARE, 20.0, sparse_us))
    assert BARS.trust(totals, result.rows).verdict == verdict


def test_there_is_no_verdict_where_there_is_nothing_to_prune() -> None:
    result, totals = barred(layer("fc", SQUARE, 20.0, None))
    assert BARS.trust(totals, result.rows).verdict is None


# --- building an error model -----------------------------------------------------------------------------------------------


def test_percentiles_are_those_of_the_next_row() -> None:
    # of 9 errors the first and the last have a tenth of the next rows below and above them; of 19 the second and the last but one
    assert ends(spread_of([9, 2, 3, 4, 5, 6, 7, 8, 1])) == pytest.approx((1, 5, 9))
    assert ends(spread_of(range(19))) == pytest.approx((1, 9, 17)) and spread_of(range(19)).rows == 19


def test_percentiles_between_two_rows_are_in_proportion() -> None:
    # 24 errors: ranks 2.5, 12.5 and 22.5, counted from 1
    assert ends(spread_of(range(24))) == pytest.approx((1.5, 11.5, 21.5))


def test_few_rows_have_their_ends_for_percentiles() -> None:
    assert spread_of([0.3]) == Spread(1, 0.3, 0.3, 0.3)
    assert ends(spread_of([0.3, 0.1])) == pytest.approx((0.1, 0.2, 0.3))


def test_a_higher_level_has_wider_percentiles() -> None:
    # 99 errors: of rank 5 from either end for 90 %, of rank 25 for 50 %
    assert ends(spread_of(range(99), 0.9)) == pytest.approx((4, 49, 94))
    assert ends(spread_of(range(99), 0.5)) == pytest.approx((24, 49, 74))


def test_a_class_leans_on_the_wider_one_the_more_the_fewer_rows_it_has() -> None:
    wider = Spread(1000, -0.1, 0.1, 0.3)
    half = leaning(Spread(LEANING, -0.2, 0.0, 0.2), wider)
    assert half.rows == LEANING and ends(half) == pytest.approx((-0.15, 0.05, 0.25))
    most = leaning(Spread(9 * LEANING, -0.2, 0.0, 0.2), wider)
    assert most.rows == 9 * LEANING and ends(most) == pytest.approx((-0.19, 0.01, 0.21))
    assert leaning(wider, None) == wider


def measured(
    shape: Shape, time_us: float, sparse: bool = False, gpu: str = "a100", name: str = "fp16", batch: int = 1
) -> Measured:
    m, n, k = shape
    return Measured(gpu, sparse, name, name, m, n, k, batch, time_us, "graph", 0, "randn", 100, 50, False, "A", "by hand", {})


def predicted(shape: Shape, log: float, sparse: bool = False, predicted_us: float = 10.0, **options: Any) -> Predicted:
    """Return a row that took ``exp(log)`` times what was predicted."""
    return Predicted(measured(shape, predicted_us * math.exp(log), sparse, **options), predicted_us, 0.0, "", "")


def shapes(number: int, part: str | None = None) -> list[Shape]:
    """Return so many shapes, of a billion operations and more; of one part if it is given."""
    every = ((64 * m, 2048, 4096) for m in count(1))
    return list(islice((shape for shape in every if part in (None, part_of(measured(shape, 1.0)))), number))


def test_rows_of_one_shape_stay_together() -> None:
    for shape in shapes(50):
        parts = {
            part_of(measured(shape, time_us, sparse, gpu, name))
            for time_us, sparse, gpu, name in ((1, False, "a100", "fp16"), (2, True, "a100", "int8"), (3, False, "h100", "fp16"))
        }
        assert len(parts) == 1


def test_shapes_are_divided_by_all_their_sizes() -> None:
    for sizes in (((64, 64, 64 * at), 1) for at in range(1, 40)), (((64, 64 * at, 64), 1) for at in range(1, 40)), (
        ((64, 64, 64), at) for at in range(1, 40)
    ):  # fmt: skip
        assert {part_of(measured(shape, 1.0, batch=batch)) for shape, batch in sizes} == {FITTED, TABLE, CHECK}


def test_half_of_the_shapes_may_be_fitted_and_a_quarter_each_makes_tables_and_checks_them() -> None:
    rows = [predicted(shape, 0.0) for shape in shapes(3000)]
    fitted, table, check = (len(rows_for(part, rows)) for part in (FITTED, TABLE, CHECK))
    assert fitted + table + check == 3000
    assert fitted == pytest.approx(1500, abs=110) and check == pytest.approx(750, abs=95)  # four standard deviations


def test_an_error_is_the_logarithm_of_measured_over_predicted() -> None:
    (error,) = errors_of([Predicted(measured(SQUARE, 30.0), 10.0, 0.0, "", "")])
    assert error.log == pytest.approx(math.log(3)) and not error.sparse and error.board == "a100"
    assert error.keys(Evidence.BOARD)[0] == ("a100", "dense", "16", "10^9")  # 2 * 1024^3
    assert error.keys(Evidence.SIBLING)[0] == ("sibling", "dense", "16", "10^9")


def test_the_error_of_a_speedup_is_that_of_the_quotient() -> None:
    # dense 20 us, 2:4 12 us; predicted 18 and 15: 1.67 where 1.2 was said
    rows = [Predicted(measured(SQUARE, 20.0), 18.0, 0.0, "", ""), Predicted(measured(SQUARE, 12.0, True), 15.0, 0.0, "", "")]
    (error,) = speedup_errors_of(rows)
    assert error.log == pytest.approx(math.log((20 / 12) / 1.2)) and error.sparse
    assert speedup_errors_of(rows[:1]) == []


def test_errors_in_common_are_those_that_go_together() -> None:
    def common(*logs: float, **options: Any) -> float:
        return together(errors_of([predicted((64 * at, 64, 64), log, **options) for at, log in enumerate(logs, 1)]))

    assert common(0.1, 0.1, 0.1) == 1.0
    assert common(0.1, -0.1) == 0.0  # -1 is no share
    # products 0.03 over mean square (0.01 + 0.09) / 2
    assert common(0.1, 0.3) == pytest.approx(0.6)
    # products -0.02, 0.03, -0.06 have no mean above 0
    assert common(0.1, -0.2, 0.3) == 0.0


def test_only_gemms_that_may_be_of_one_network_are_compared() -> None:
    alike = predicted((64, 64, 64), 0.1)
    for other in (
        predicted((64, 128, 64), 0.1),
        predicted((64, 64, 64), 0.1, sparse=True),
        predicted((64, 64, 64), 0.1, name="int8"),
        predicted((64, 64, 64), 0.1, gpu="h100"),
    ):
        assert together(errors_of([alike, other])) == 1.0  # no pair: as cautious as can be
        apart = [alike, other, predicted((128, 64, 64), -0.1)]
        assert together(errors_of(apart)) == 0.0  # the pair of the first and the last alone


def drawn(seed: int, number: int, width: float, bias: float = 0.0, part: str | None = None, **options: Any) -> list[Predicted]:
    """Return rows whose errors are normal in logarithms."""
    logs = np.random.default_rng(seed).normal(bias, width, number)
    return [predicted(shape, float(log), **options) for shape, log in zip(shapes(number, part), logs, strict=True)]


def built(rows: Sequence[Predicted], fitted: Sequence[str] = (), **options: Any) -> ErrorModel:
    """Return the error model of ``rows``, written as JSON and read back."""
    return from_document(json.loads(json.dumps(build(rows, fitted, **options))))


def test_a_document_says_what_it_was_made_from() -> None:
    rows = [*drawn(1, 30, 0.1, part=TABLE), *drawn(2, 20, 0.1, part=CHECK), *drawn(3, 12, 0.1, part=TABLE, gpu="l40s")]
    document = build(rows, ["h100", "a100"], source="a test")
    assert document["made"].endswith(": 42 rows of a test")
    assert (document["fitted"], document["boards"]) == (["a100", "h100"], {"a100": "GA100", "l40s": "AD102"})
    assert from_document(document).times[WIDEST].rows == 42  # those that check it are not in it


@pytest.fixture(scope="module")
def known_errors() -> list[Predicted]:
    """Both sides of 3,000 shapes: dense 10 % slower than predicted, give or take 10 %; 2:4 on the spot, give or take 20 %."""
    return [*drawn(40, 3000, 0.1, bias=0.1), *drawn(41, 3000, 0.2, sparse=True)]


def test_four_of_five_rows_that_were_held_out_lie_in_their_interval(known_errors: list[Predicted]) -> None:
    report = cover(known_errors, built(known_errors))
    assert report.rows == len(rows_for(CHECK, known_errors)) > 1400
    assert all(0.75 < each.inside < 0.85 for each in (*report.times, *report.speedups) if each.label[2] == "all")
    assert {each.label for each in report.times} >= {("all", "dense", "all"), ("all", "2:4", "all"), ("a100", "2:4", "all")}
    assert {each.label for each in report.speedups} >= {("all", "2:4", "all")}


def test_intervals_are_the_percentiles_of_the_errors(known_errors: list[Predicted]) -> None:
    # a tenth of a normal distribution lies beyond 1.2816 standard deviations; speedups have both sides' variance
    model = built(known_errors)
    known = model.known(A100)
    dense, sparse = (model.of_time(known, side, FP16, 1e11) for side in (False, True))
    speedup = model.of_speedup(known, FP16, 1e11)
    for spread, bias, width in ((dense, 0.1, 0.1), (sparse, 0.0, 0.2), (speedup, 0.1, math.hypot(0.1, 0.2))):
        expected = (bias - 1.2816 * width, bias, bias + 1.2816 * width)
        assert ends(spread) == pytest.approx(expected, abs=0.15 * width)


def of_time(model: ErrorModel, gpu: str, name: str, operations: float) -> Spread:
    return model.of_time(model.known(load_arch(gpu)), False, dtype(name), operations)


@pytest.mark.parametrize(("rows", "answers"), [(LEAST_ROWS - 1, False), (LEAST_ROWS, True)])
def test_a_class_with_too_few_rows_leaves_the_answer_to_a_wider_one(rows: int, answers: bool) -> None:
    model = built([*drawn(6, 200, 0.1, part=TABLE), *drawn(7, rows, 0.1, bias=0.5, part=TABLE, name="int8")])
    whole = model.times["a100", "dense", "*", "*"]
    assert whole.rows == 200 + rows
    assert (of_time(model, "a100", "int8", 1e15).rows == rows) == answers
    assert (of_time(model, "a100", "int8", 1e15) == whole) == (not answers)


def test_a_class_of_other_errors_is_told_apart() -> None:
    model = built([*drawn(8, 200, 0.05, part=TABLE), *drawn(9, 200, 0.05, bias=0.5, part=TABLE, name="int8")])
    assert of_time(model, "a100", "fp16", 1e9).high < 0.15 < 0.35 < of_time(model, "a100", "int8", 1e9).low


def test_boards_without_a_fit_answer_for_siblings_and_generations() -> None:
    rows = [
        *drawn(10, 30, 0.1, part=TABLE),  # fitted
        *drawn(11, 40, 0.1, part=TABLE, gpu="h100"),
        *drawn(12, 50, 0.1, part=TABLE, gpu="h100-pcie"),
        *drawn(13, 60, 0.1, part=TABLE, gpu="l40s"),  # the only one with its die
    ]
    model = built(rows, ["a100"])
    assert model.times["sibling", "dense", "*", "*"].rows == 90
    assert model.times["generation", "dense", "*", "*"].rows == 150
    assert model.times["board", "dense", "*", "*"].rows == model.times[WIDEST].rows == 180


def test_blind_rows_answer_for_siblings() -> None:
    model = built(drawn(14, 30, 0.1, part=TABLE), ["a100"], blind=drawn(15, 70, 0.1, bias=1.0, gpu="a100-pcie"))
    assert model.times["sibling", "dense", "*", "*"].rows == 70
    assert ("generation", "dense", "*", "*") not in model.times
    assert of_time(model, "a100-pcie", "fp16", 1e15).low > 0.5 > of_time(model, "a100", "fp16", 1e15).high
    assert "a100-pcie" not in model.boards  # no row of it was predicted as the GPU that ships


def told(word: str) -> list[Predicted]:
    """Return 70 rows of an A40, predicted twice too fast, of which the column ``evidence`` says ``word``."""
    rows = drawn(18, 70, 0.1, bias=1.0, gpu="a40")
    return [replace(row, measured=replace(row.measured, record={"evidence": word})) for row in rows]


def test_blind_rows_say_whether_a_sibling_or_another_die_predicted_them() -> None:
    rows = drawn(14, 30, 0.1, part=TABLE)
    for word, other in (("generation", "sibling"), ("sibling", "generation"), ("", "generation")):
        model = built(rows, ["a100"], blind=told(word))
        assert model.times[word or "sibling", "dense", "*", "*"].rows == 70 and (other, "dense", "*", "*") not in model.times
    with pytest.raises(TraceError, match="by hand: evidence: expected sibling or generation, found 'board'"):
        built(rows, ["a100"], blind=told("board"))


def test_a_gpu_without_rows_has_the_intervals_of_what_is_known_of_it() -> None:
    model = built(
        drawn(19, 30, 0.1, part=TABLE), ["a100"], blind=[*drawn(15, 70, 0.1, bias=0.5, gpu="a100-pcie"), *told("generation")]
    )
    for gpu, median in (("a100", 0.0), ("a30", 0.5), ("a100-40gb", 0.5), ("rtx4070s", 1.0), ("t4", 1.0), ("a10", 1.0)):
        assert of_time(model, gpu, "fp16", 1e15).median == pytest.approx(median, abs=0.06), gpu


def strangers(*biases: float) -> float:
    rows = [
        drawn(20 + at, 150, 0.05, bias, part=TABLE, gpu=gpu) for at, (gpu, bias) in enumerate(zip(THREE, biases, strict=True))
    ]
    return level_for(errors_of([row for board in rows for row in board]), Evidence.SIBLING)


THREE = ("a100", "h100", "l40s")


def test_intervals_for_strangers_are_wider_where_boards_differ() -> None:
    alike, apart = strangers(0.0, 0.0, 0.0), strangers(-0.06, 0.0, 0.06)
    assert alike == pytest.approx(LEVEL, abs=0.03)
    assert apart >= alike + 0.05


def test_one_board_says_nothing_of_others() -> None:
    assert level_for(errors_of(drawn(16, 200, 0.1)), Evidence.SIBLING) == LEVEL
    assert level_for([], Evidence.GENERATION) == LEVEL


# --- checking it -----------------------------------------------------------------------------------------------------------


def labelled(found: Iterable[Coverage]) -> dict[tuple[str, str, str], Coverage]:
    return {each.label: each for each in found}


def test_rows_in_their_interval_are_counted() -> None:
    # within 10 % are two of these four; what made the table is not looked at
    held = [predicted(shape, log) for shape, log in zip(shapes(4, CHECK), (0.05, 0.2, -0.05, -0.3), strict=True)]
    others = [predicted(shape, 0.0) for shape in shapes(9, TABLE)]
    report = cover([*held, *others], model_of())
    assert report.rows == 4 and report.speedups == ()
    (found,) = report.times  # of 4 rows no class but the widest is listed
    assert (found.label, found.rows, found.inside) == (("all", "dense", "all"), 4, 0.5)
    assert found.width == pytest.approx(math.exp(0.2))


def test_classes_of_a_hundred_rows_are_listed() -> None:
    rows = [predicted(shape, 0.0 if at % 4 else 1.0) for at, shape in enumerate(shapes(100, CHECK))]
    rows += [predicted(shape, 0.0, gpu="l40s") for shape in shapes(99, CHECK)]
    found = labelled(cover(rows, model_of()).times)
    assert found["a100", "dense", "all"].inside == found["a100", "dense", "fp16"].inside == 0.75
    assert found["all", "dense", "all"].rows == 199 and ("l40s", "dense", "all") not in found
    assert all(each.rows >= 100 for each in found.values())


@pytest.mark.parametrize(
    ("said", "dense_us", "expected"),
    [
        (1.5, 14.0, Verdicts(1, 0, 0, 0, 0)),  # pays, and 2:4 takes 10 of 14
        (1.5, 9.0, Verdicts(1, 1, 0, 0, 0)),  # said to pay, and slower
        (0.9, 9.0, Verdicts(0, 0, 1, 0, 0)),
        (0.9, 14.0, Verdicts(0, 0, 1, 1, 0)),
        (1.02, 14.0, Verdicts(0, 0, 0, 0, 1)),  # from 0.97 to 1.07
    ],
)
def test_verdicts_are_held_against_the_truth(said: float, dense_us: float, expected: Verdicts) -> None:
    (shape,) = shapes(1, CHECK)
    sides = (measured(shape, dense_us), said * 10.0), (measured(shape, 10.0, sparse=True), 10.0)
    rows = [Predicted(row, predicted_us, 0.0, "", "") for row, predicted_us in sides]
    assert cover(rows, model_of()).verdicts == expected


# --- files and the command line --------------------------------------------------------------------------------------------

HEADER = "arch,sparsity,dtype,m,n,k,time_us"


def table(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_predictions_are_read_back(tmp_path: Path) -> None:
    lines = ("a100,dense,fp16,1024,512,1024,20.0,15.0,some_kernel", "a100,2:4,int8,64,64,64,5,1e1,")
    first, second = read_predicted(table(tmp_path / "blind.csv", *lines, header=f"{HEADER},predicted_us,kernel"))
    assert (first.measured.m, first.measured.time_us, first.predicted_us, first.kernel) == (1024, 20.0, 15.0, "some_kernel")
    assert second.measured.sparse and second.predicted_us == 10.0 and second.error == pytest.approx(1.0)


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "inf", "nan"])
def test_a_row_without_a_prediction_is_named(value: str, tmp_path: Path) -> None:
    lines = ("a100,dense,fp16,64,64,64,5,7", f"a100,dense,fp16,64,64,128,5,{value}")
    path = table(tmp_path / "blind.csv", *lines, header=f"{HEADER},predicted_us")
    with pytest.raises(TraceError) as error:
        read_predicted(path)
    assert str(error.value) == f"{path}:3: predicted_us: expected a time above 0 in microseconds, found '{value}'"


def test_an_error_model_is_written_one_class_a_line_and_read_back(tmp_path: Path) -> None:
    document = build(drawn(17, 60, 0.1, part=TABLE), ["a100"], source="a test")
    write_error_model(document, tmp_path / "model.json")
    lines = (tmp_path / "model.json").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('  {"class": [') for line in lines) == len(document["times"]) + len(document["speedups"])
    assert read_error_model(tmp_path / "model.json") == from_document(document)


MINIMAL = {"made": "", "boards": {}, "fitted": [], "together": 0.5, "times": [entry(WIDEST, 0, 0)], "speedups": []}
BROKEN = {
    "no JSON": "hello",
    "a list": "[]",
    "no times": json.dumps({key: value for key, value in MINIMAL.items() if key != "times"}),
    "times of no classes": json.dumps(MINIMAL | {"times": 5}),
    "a class without rows": json.dumps(MINIMAL | {"times": [{"class": list(WIDEST)}]}),
    "no class of all rows": json.dumps(MINIMAL | {"times": []}),
    "speedups but none of all rows": json.dumps(MINIMAL | {"speedups": [entry(("*", "2:4", "*", "*"), 0, 0)]}),
    "a percentile that is no number": json.dumps(MINIMAL | {"times": [{**MINIMAL["times"][0], "low": "x"}]}),
    "percentiles out of order": json.dumps(MINIMAL | {"times": [{**MINIMAL["times"][0], "low": 9.0}]}),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_no_error_model_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StcsimError) as error:
        read_error_model(path)
    assert str(error.value).startswith(f"{path}: expected a file that `stcsim accuracy build` wrote, found ")


def small_table(folder: Path) -> Path:
    """Return both sides of three small GEMMs for the table and two for the check, all 10 us."""
    every: Iterable[Shape] = ((64 * m, 64, 256) for m in count(1))
    found: dict[str, list[Shape]] = {FITTED: [], TABLE: [], CHECK: []}
    for shape in islice(every, 40):
        found[part_of(measured(shape, 1.0))].append(shape)
    chosen = [*found[TABLE][:3], *found[CHECK][:2]]
    return table(
        folder / "measured.csv",
        *(f"a100,{side},fp16,{m},{n},{k},10.0" for m, n, k in chosen for side in ("dense", "2:4")),
    )


def succeed(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0


def test_an_error_model_is_built_and_checked_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured_csv, model, shares = small_table(tmp_path), tmp_path / "model.json", tmp_path / "shares.json"
    succeed("accuracy", "build", measured_csv, "-o", model, "--fitted", "a100", "--source", "a test")
    found = read_error_model(model)
    assert found.made.endswith(": 6 rows of a test") and found.fitted == ("a100",) and found.boards == {"a100": "GA100"}
    assert found.times[WIDEST].rows == 6 and found.speedups[WIDEST].rows == 3

    capsys.readouterr()
    succeed("accuracy", "check", measured_csv, "--model", model, "--json", shares)
    assert "4 measured rows that no" in capsys.readouterr().out
    succeed("accuracy", "check", measured_csv, "--model", model, "--format", "csv")
    assert capsys.readouterr().out.startswith("of,label,rows,inside,")
    report = json.loads(shares.read_text(encoding="utf-8"))
    assert report["schema"] == "stcsim/accuracy-1" and report["inputs"]["grade"] == "A"
    assert report["rows"] == 4 and {tuple(each["label"]) for each in report["times"]} == {
        ("all", "dense", "all"), ("all", "2:4", "all")
    }  # fmt: skip


def test_rows_of_other_grades_are_left_out(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = table(tmp_path / "c.csv", "a100,dense,fp16,64,64,64,5,C", header=f"{HEADER},grade")
    assert refused("accuracy", "build", path, "-o", tmp_path / "model.json").startswith(f"{path}: expected rows of a known GPU")
    assert not (tmp_path / "model.json").exists()


def test_a_broken_error_model_is_refused_in_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "model.json"
    path.write_text("{}", encoding="utf-8")
    sentence = refused("accuracy", "check", small_table(tmp_path), "--model", path)
    assert sentence.startswith(f"{path}: expected a file that `stcsim accuracy build` wrote, found ")
    missing = refused("accuracy", "check", small_table(tmp_path), "--model", tmp_path / "none.json")
    assert missing.startswith(f"{tmp_path / 'none.json'}: expected a file that `stcsim accuracy build` wrote")


def test_a_model_of_dense_rows_is_checked_on_times_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both, model, shares = small_table(tmp_path), tmp_path / "model.json", tmp_path / "shares.json"
    dense = table(tmp_path / "dense.csv", *(line for line in both.read_text().splitlines()[1:] if ",dense," in line))
    succeed("accuracy", "build", dense, "-o", model)
    assert read_error_model(model).speedups == {}
    succeed("accuracy", "check", both, "--model", model, "--json", shares)
    report = json.loads(shares.read_text(encoding="utf-8"))
    assert report["schema"] == "stcsim/accuracy-1" and report["inputs"]["grade"] == "A"
    assert report["rows"] == 4 and report["speedups"] == [] and not any(report["verdicts"].values())
    assert "2:4 speedups in their" not in capsys.readouterr().out


def test_a_table_without_rows_for_it_makes_no_model(tmp_path: Path, refused: Callable[..., str]) -> None:
    kept = next((m, 64, 256) for m in count(64, 64) if part_of(measured((m, 64, 256), 1.0)) == CHECK)
    path = table(tmp_path / "one.csv", "a100,dense,fp16,{},{},{},10".format(*kept))
    sentence = refused("accuracy", "build", path, "-o", tmp_path / "model.json")
    assert sentence.startswith("measured rows: expected some of the shapes that make a table (a quarter, by a hash), found")
    assert sentence.endswith("none in 1 rows") and not (tmp_path / "model.json").exists()


def test_a_gpu_that_there_is_not_was_not_fitted(tmp_path: Path, refused: Callable[..., str]) -> None:
    sentence = refused("accuracy", "build", small_table(tmp_path), "-o", tmp_path / "model.json", "--fitted", "a100, a101")
    assert sentence.startswith("--fitted: expected names of GPUs with commas between (a10, a100, ")
    assert sentence.endswith("found 'a101'") and not (tmp_path / "model.json").exists()


def test_rows_of_which_none_is_for_checking_check_nothing(tmp_path: Path, refused: Callable[..., str]) -> None:
    kept = next((m, 64, 256) for m in count(64, 64) if part_of(measured((m, 64, 256), 1.0)) == TABLE)
    path = table(tmp_path / "one.csv", "a100,dense,fp16,{},{},{},10".format(*kept))
    sentence = refused("accuracy", "check", path)
    assert sentence == "measured rows: expected some of the shapes that check (a quarter, by a hash), found none in 1 rows"


def test_a_bad_blind_file_is_refused_before_any_work(tmp_path: Path, refused: Callable[..., str]) -> None:
    blind = table(tmp_path / "blind.csv", "a100,dense,fp16,64,64,64,5,never", header=f"{HEADER},predicted_us")
    sentence = refused("accuracy", "build", tmp_path / "none.csv", "-o", tmp_path / "model.json", "--blind", blind)
    assert sentence == f"{blind}:2: predicted_us: expected a time above 0 in microseconds, found 'never'"
    table(blind, "a100,dense,fp16,64,64,64,5,7,cousin", header=f"{HEADER},predicted_us,evidence")
    sentence = refused("accuracy", "build", tmp_path / "none.csv", "-o", tmp_path / "model.json", "--blind", blind)
    assert sentence == f"{blind}:2: evidence: expected sibling or generation, found 'cousin'"
