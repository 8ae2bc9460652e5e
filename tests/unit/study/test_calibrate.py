"""Calibration: known parameters are found again, bounds hold, the file loads, and what cannot be fitted is refused."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, TraceError
from stcsim.report.terminal.calibration import calibration_table, document, notes
from stcsim.study.calibration.calibrate import Calibration, calibrate, cost_of, split_rows
from stcsim.study.calibration.fit import PARAMETERS, Range, choose, parse_bounds, search
from stcsim.study.calibration.fitted_file import arch_text, check_target
from stcsim.study.measured import read_measured
from stcsim.study.validate import Predicted, predict

pytest.importorskip("scipy")

SHAPES = [(m, n, k) for m in (512, 2048) for n in (16, 256) for k in (256, 1024, 4096)]
START = ("dram.achieved_fraction=0.77", "kernel.prologue_cycles=3105", "kernel.k_iteration_cycles=52.5")
"""Where fits begin, whatever the shipped values are."""
TRUTH = {"dram.achieved_fraction": 0.6, "kernel.prologue_cycles": 3500.0, "kernel.k_iteration_cycles": 110.0}


def table(folder: Path, times_us: Sequence[float], arch: str = "a100", timing: str = "graph", grade: str = "A") -> Path:
    """Write times of ``SHAPES``, dense fp16 from cold weights."""
    lines = [
        f"{arch},dense,fp16,{m},{n},{k},{time_us!r},{timing},{grade}" for (m, n, k), time_us in zip(SHAPES, times_us, strict=True)
    ]
    path = folder / "mine.csv"
    path.write_text("\n".join(["arch,sparsity,dtype,m,n,k,time_us,timing,grade", *lines]) + "\n", encoding="utf-8")
    return path


def as_timed_on(arch: Arch, folder: Path) -> Path:
    """Write the table that ``arch`` itself would measure."""
    rows = read_measured([table(folder, [1.0] * len(SHAPES))])
    return table(folder, [predict(row, arch).predicted_us for row in rows])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """A fit of three parameters, from ``START``, to times made with ``TRUTH``."""
    path = as_timed_on(load_arch("a100", TRUTH), tmp_path_factory.mktemp("data"))
    return calibrate("a100", [path], START, params=list(TRUTH), evaluations=70, jobs=1)


def test_parameters_that_made_the_table_are_found_again(found: Calibration) -> None:
    assert found.fit.values == pytest.approx(TRUTH, rel=0.05)
    assert found.fit.evaluations <= 70 and not found.fit.idle and not found.fit.interrupted
    training, held_out = (next(each for each in found.errors if each.part == part) for part in ("training", "held out"))
    assert training.count + held_out.count == len(SHAPES)
    assert training.before[0] > 0.09 and training.after[0] < 0.01
    assert held_out.before[0] > 0.05 and held_out.after[0] < 0.02


def test_the_file_holds_the_fitted_leaves_and_loads_again(found: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(arch_text(found, path), encoding="utf-8")
    written, shipped = load_arch(path), load_arch("a100")

    assert written.name == "a100"  # so that `stcsim validate --arch mine.yaml` finds the rows
    changed = {leaf.path: leaf.value for leaf in written.leaves() if leaf.value != shipped.value(leaf.path)}
    assert changed == found.fit.values
    for name in found.fit.values:
        source = written.sources[name]
        assert source.kind == "fitted" and source.source.startswith("stcsim calibrate 20")
        assert source.source.endswith(": 8 rows of mine.csv")


def test_a_seed_gives_one_answer(found: Calibration, tmp_path: Path) -> None:
    path = as_timed_on(load_arch("a100", TRUTH), tmp_path)
    short = [calibrate("a100", [path], params=list(TRUTH), evaluations=12, seed=seed, jobs=1) for seed in (3, 3, 4)]
    assert short[0].fit == short[1].fit and short[0].errors == short[1].errors
    assert short[0].fit.values != short[2].fit.values


def test_the_report_says_what_happened(found: Calibration) -> None:
    saved = json.loads(json.dumps(document(found), allow_nan=False))
    assert [each["path"] for each in saved["parameters"]] == list(TRUTH)
    assert {each["part"] for each in saved["errors"]} == {"training", "held out"}
    assert notes(found) == ["8 rows for 3 parameters are few; name fewer with --params, or trust the held-out rows only"]
    stopped = replace(found, fit=replace(found.fit, interrupted=True, values={}), after=found.before)
    assert [note.split(";")[0].split(":")[0] for note in notes(stopped)[:2]] == [
        f"stopped by Ctrl-C after {found.fit.evaluations} evaluations", "nothing better was found"
    ]  # fmt: skip
    calibration_table(stopped)


def test_overrides_are_kept_and_the_base_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    base = tmp_path / "board.yaml"
    base.write_text("base: a100\nname: board\nsm: {count: 100}\n", encoding="utf-8")
    data = table(tmp_path, [10.0] * len(SHAPES), arch="board")
    result = calibrate(str(base), [data], ["l2.capacity_mib=20"], ["launch.graph_us"], evaluations=6, jobs=1)
    output = tmp_path / "deep" / "new.yaml"
    output.write_text(arch_text(result, output), encoding="utf-8")

    written = load_arch(output)
    assert (written.name, written.sm.count, written.l2.capacity_mib) == ("board", 100, 20)
    assert written.launch.graph_us == result.fit.values["launch.graph_us"]
    assert written.sources["l2.capacity_mib"].source == "--set"


def test_values_never_leave_their_bounds() -> None:
    for parameter, name in itertools.product(PARAMETERS, ("a100", "h100", "t4")):
        limits = parameter.range_on(load_arch(name))
        assert 0 <= limits.low < limits.high
        for logit in (-1e9, -3.0, 0.0, 3.0, 1e9):
            assert limits.low <= limits.value(logit) <= limits.high
        middle = limits.value(0.3)
        assert limits.value(limits.logit(middle)) == pytest.approx(middle, rel=1e-3)


RANGES = (Range("a", 0, 10, ""), Range("idle", 0, 1, ""), Range("b", 0, 10, ""))


def bowl(values: Sequence[float]) -> float:
    a, _, b = values
    return abs(a - 3) + abs(b - 20)  # b would like to leave


def test_the_search_stays_within_bounds_and_leaves_alone_what_changes_nothing() -> None:
    seen: list[tuple[int, float]] = []
    fit = search(bowl, RANGES, (5.0, 0.5, 5.0), 200, lambda done, cost: seen.append((done, cost)))
    assert fit.idle == ("idle",) and set(fit.values) == {"a", "b"}
    assert fit.values["a"] == pytest.approx(3, abs=0.01) and 9.9 < fit.values["b"] <= 10
    assert [done for done, _ in seen] == list(range(1, fit.evaluations + 1)) and fit.evaluations <= 200
    assert all(later <= earlier for (_, earlier), (_, later) in itertools.pairwise(seen))


def test_what_matters_elsewhere_only_is_found_out() -> None:
    """As the energy of a MAC does not matter until the power limit binds."""
    fit = search(lambda values: abs(values[0] - 6) + max(0, values[0] - 5) * abs(values[1] - 8) / 8, RANGES[::2], (2.0, 3.0), 200)
    assert fit.idle == () and fit.evaluations <= 200
    assert fit.values == pytest.approx({"a": 6, "b": 8}, abs=0.05)


def test_a_start_that_is_best_is_kept() -> None:
    fit = search(lambda values: math.dist(values, (5.0, 5.0)), (RANGES[0], RANGES[2]), (5.0, 5.0), 40)
    assert fit.values == {} and fit.cost == 0


def test_ctrl_c_keeps_the_best_so_far() -> None:
    count = itertools.count(1)

    def stopped(values: Sequence[float]) -> float:
        if next(count) > 9:
            raise KeyboardInterrupt
        return bowl(values)

    fit = search(stopped, RANGES, (5.0, 0.5, 5.0), 200)
    assert fit.interrupted and fit.evaluations == 9 and fit.cost < bowl((5.0, 0.5, 5.0)) and set(fit.values) <= {"a", "b"}


def test_ctrl_c_before_the_first_evaluation_leaves_nothing() -> None:
    def stopped(values: Sequence[float]) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(stopped, RANGES, (5.0, 0.5, 5.0), 200)


def test_cost_is_the_mean_log_error_and_a_part_of_the_median(tmp_path: Path) -> None:
    rows = read_measured([table(tmp_path, [10.0] * len(SHAPES))])[:3]
    predicted = [Predicted(row, 10 * math.exp(error), 1.0, "k", "l2") for row, error in zip(rows, (-0.1, 0.1, 0.4), strict=True)]
    assert cost_of(predicted) == pytest.approx(0.2 + 0.3 * 0.1)


def test_rows_of_one_shape_stay_together(tmp_path: Path) -> None:
    rows = read_measured([table(tmp_path, [10.0] * len(SHAPES))])
    twice = [*rows, *(replace(row, dtype="bf16", where=f"{row.where}0") for row in rows)]
    split = split_rows(twice, 7, seed=1)
    shapes = [{(row.m, row.n, row.k) for row in part} for part in (split.training, split.held_out)]
    assert len(split.training) == 8 and len(split.held_out) == 16 and not shapes[0] & shapes[1]
    assert len(split_rows(twice, 1000, seed=1).training) == 16  # two thirds of 12 shapes, two rows each


def test_only_launches_that_rows_have_are_fitted(tmp_path: Path) -> None:
    data = table(tmp_path, [10.0] * len(SHAPES), timing="stream")
    ranges = calibrate("a100", [data], evaluations=22, jobs=1).ranges
    assert [each.path for each in ranges if each.path.startswith("launch")] == ["launch.stream_us"]
    with pytest.raises(StcsimError, match="params launch.graph_us: expected training rows of graph timing, found none"):
        calibrate("a100", [data], params=["launch.graph_us"], evaluations=20, jobs=1)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("sm.count", "found sm.count, which is the vendor's figure (an override changes it)"),
        ("l2.near_latency_cycles", "found l2.near_latency_cycles, which no fit changes unless bounds say how far"),
        ("launch.early_us", "found launch.early_us, which a100 does not have"),
        ("l2.speed", "found 'l2.speed', which no arch file has"),
    ],
)
def test_what_may_not_be_fitted_is_refused(path: str, sentence: str) -> None:
    with pytest.raises(StcsimError, match="params: expected one or more of l2.bandwidth_bytes_per_clk, ") as refusal:
        choose([path], load_arch("a100"))
    assert str(refusal.value).endswith(sentence)


def test_bounds_of_the_user(tmp_path: Path) -> None:
    """They replace the usual ones and make further leaves free; the fit stays inside."""
    bounds = parse_bounds(["kernel.prologue_cycles = 2500:2600", "l2.near_latency_cycles=100:300"])
    assert bounds == {"kernel.prologue_cycles": (2500, 2600), "l2.near_latency_cycles": (100, 300)}
    every = {each.path: each for each in choose(None, load_arch("a100"), bounds)}
    assert {each.path for each in PARAMETERS} - set(every) == {"launch.early_us"} and "l2.near_latency_cycles" in every
    assert (every["kernel.prologue_cycles"].low, every["kernel.prologue_cycles"].high) == (2500, 2600)
    assert [each.path for each in choose([], load_arch("a100"), bounds)] == list(bounds)

    data = as_timed_on(load_arch("a100", TRUTH), tmp_path)
    found = calibrate("a100", [data], START, params=["dram.achieved_fraction"], evaluations=20, jobs=1, bounds=bounds)
    assert [each.path for each in found.ranges] == ["dram.achieved_fraction", *bounds]
    for path, (low, high) in bounds.items():
        assert low <= found.fit.values[path] <= high
    assert found.errors[0].after < found.errors[0].before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("l2.shared_fraction", "--bounds: expected PATH=LOW:HIGH .*, found 'l2.shared_fraction'"),
        (
            "l2.shared_fraction=0.6:0.4",
            "--bounds: expected PATH=LOW:HIGH with LOW below HIGH, .*, found 'l2.shared_fraction=0.6:0.4'",
        ),
        ("l2.shared_fraction=0.4:nan", "--bounds: expected PATH=LOW:HIGH"),
        ("l2.shared_fraction=0.4:1.5", "--bounds l2.shared_fraction: expected a number from 0.001 to 1, found 1.5"),
        ("l2.speed=1:2", "--bounds: expected a quantity that may be fitted, found 'l2.speed', which no arch file has"),
        ("dram.bandwidth_gb_per_s=1:2", "found dram.bandwidth_gb_per_s, which is the vendor's figure"),
        ("kernel.family=1:2", "found kernel.family, which is the vendor's figure"),
        ("sm.sms_per_gpc=1:2", "found sm.sms_per_gpc, which is "),
        ("launch.early_us=1:2", "found launch.early_us, which a100 does not have"),
        ("launch.stream_us=1:2", "--bounds launch.stream_us: expected training rows of stream timing, found none"),
    ],
)
def test_bounds_that_cannot_be_are_refused(text: str, sentence: str, refused: Callable[..., str], tmp_path: Path) -> None:
    data = table(tmp_path, [10.0] * len(SHAPES))
    said = refused("calibrate", "a100", "--data", data, "--bounds", text, "-o", tmp_path / "new.yaml")
    assert re.search(sentence, said) and not (tmp_path / "new.yaml").exists()


def test_too_little_is_refused(tmp_path: Path) -> None:
    data = table(tmp_path, [10.0] * len(SHAPES), grade="B")
    with pytest.raises(TraceError, match="mine.csv: expected rows of a100 of grade A, found 12 of grade B"):
        calibrate("a100", [data])
    with pytest.raises(StcsimError, match="evaluations: expected at least 4 for 1 parameters, found 3"):
        calibrate("a100", [data], params=["launch.graph_us"], grades="AB", evaluations=3)
    with pytest.raises(StcsimError, match="params: expected each parameter once, found 'launch.graph_us' twice"):
        calibrate("a100", [data], params=["launch.graph_us"] * 2, grades="B")
    with pytest.raises(TraceError, match="data: expected rows of at least 3 shapes, .*, found 2"):
        split_rows(read_measured([data])[:2], 10, 0)


def test_the_new_file_may_not_replace_its_base(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: a100\n", encoding="utf-8")
    (tmp_path / "above.yaml").write_text("base: mine.yaml\n", encoding="utf-8")
    for base in (mine, tmp_path / "above.yaml"):
        with pytest.raises(StcsimError, match="mine.yaml: expected another file than ARCH and its bases, found one of them"):
            check_target(str(base), mine)
    check_target(str(mine), tmp_path / "new.yaml")


def test_without_scipy_one_sentence_says_so(refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = table(tmp_path, [10.0] * len(SHAPES))
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    sentence = refused("calibrate", "a100", "--data", data, "-o", tmp_path / "new.yaml")
    assert sentence == "calibrate: expected the scipy package (pip install 'stcsim[calibrate]'), found none"
    assert not (tmp_path / "new.yaml").exists()


def test_the_command_refuses_before_any_work_and_writes_nothing(refused: Callable[..., str], tmp_path: Path) -> None:
    data = table(tmp_path, [10.0] * len(SHAPES))
    before = sorted(tmp_path.iterdir())
    new = tmp_path / "new.yaml"
    assert refused("calibrate", "a100", "--data", data, "-o", tmp_path / "no" / "x.yaml").startswith("--output ")
    assert "sm.count, which is the vendor's" in refused("calibrate", "a100", "--data", data, "--params", "sm.count", "-o", new)
    assert "found none" in refused("calibrate", "a100", "--data", data, "--params", ",", "-o", new)
    assert "did you mean 'a100'" in refused("calibrate", "a1000", "--data", data, "-o", new)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_writes_both_files_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, other = table(tmp_path, [10.0] * len(SHAPES)), tmp_path / "other.csv"
    other.write_text("arch,sparsity,dtype,m,n,k,time_us\na100,dense,fp16,64,64,64,4.0\n", encoding="utf-8")
    new, figures = tmp_path / "new.yaml", tmp_path / "new.json"
    arguments = ["calibrate", "a100", "--data", data, other, "--params", "launch.graph_us", "--evaluations", "8", "-o", new]
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, arguments), "--json", str(figures)])
    printed = capsys.readouterr()

    assert stop.value.code == 0 and load_arch(new).sources["launch.graph_us"].kind == "fitted"
    assert "held out" in printed.out and "launch.graph_us" in printed.out
    assert "evaluation 2 of 8" in printed.err and f"{new} written" in printed.err
    assert json.loads(figures.read_text(encoding="utf-8"))["arch"] == "a100"
