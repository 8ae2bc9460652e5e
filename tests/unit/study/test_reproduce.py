"""Published case studies: differences computed right, every study whole and with its source, the same figures in every output."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import stcsim
from stcsim import cli
from stcsim.arch import arch_from_dict, load_arch
from stcsim.errors import StcsimError
from stcsim.report.export.reproduce import document, row_lines
from stcsim.report.figures.reproduce import write_overview_figure, write_study_figure
from stcsim.report.terminal.reproduce import figure_text, published_text
from stcsim.result import RunResult
from stcsim.study.reproduce.model import Case, Execution, Point, Published, Reproduction, Study, about, almost, exactly, up_to
from stcsim.study.reproduce.run import QUANTITIES, find_study, reproduce
from stcsim.study.reproduce.studies import STUDIES
from stcsim.trace import Trace, load_trace
from tests.unit.runs import layer, run_of

NAMES = [study.name for study in STUDIES]

known_arch, known_trace = cache(load_arch), cache(load_trace)


def network(batch: int, gpu: str = "a100", **options: object) -> Execution:
    return replace(Execution("resnet34", gpu, "int8", batch=batch), **options)  # type: ignore[arg-type]


#: Made by hand, a run takes 4 us and 1 us for each sample of a batch, 2:4 half of the latter, both at 250 W.
TOY = Study(
    "toy", "a toy network over the batch", "A100", "2:4 is 1.3 times as fast", "nobody, nowhere",
    (
        Point("speedup", (Case(network(4)),), exactly(1.6), 4),
        Point("speedup", (Case(network(12)),), Published(1.5, 1.7), 12),
        Point("speedup", (Case(network(4)), Case(network(12))), up_to(1.25), label="largest speedup"),
        Point("per-watt", (Case(network(4)),), None, 4),
        Point("time", (Case(network(12).dense),), exactly(20.0), 12, series="dense"),
        Point("time", (Case(network(12, side="2:4")),), exactly(8.0), 12, series="2:4"),
        Point("throughput", (Case(network(12)),), exactly(2e6), 12),
    ),
    ("nothing",), "batch",
)  # fmt: skip

#: What hand-made runs give for these points, and the difference to the published figure.
EXPECTED = [(8 / 6, 8 / 6 / 1.6 - 1), (1.6, 0.0), (1.6, 0.28), (8 / 6, None), (16.0, -0.2), (10.0, 0.25), (1.2e6, -0.4)]

PARTS = Study(
    "parts", "parts of a toy", "A100", "some", "nobody, nowhere",
    (
        Point("peak", (Case(Execution(((64, 64, 64),), "a100", "fp16", "2:4")),), exactly(624), label="fp16 2:4"),
        Point("saved", (Case(network(4)),), exactly(0.4375), label="weights"),
        Point("throughput", (Case(network(4)),), exactly(1e6), label="toy"),
    ),
    ("nothing", "at all"),
)  # fmt: skip


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Trace]:
    """Runs are made by hand; the traces that were run, in order."""
    ran: list[Trace] = []

    def hand_made(trace: Trace, arch: stcsim.arch.Arch, **_: object) -> RunResult:
        ran.append(trace)
        sparse_us = 4 + trace.batch / 2 if arch.supports("int8", True) else None
        return run_of(layer("all", (64, trace.batch, 64), 4.0 + trace.batch, sparse_us))

    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: True)
    monkeypatch.setattr("stcsim.replay.run", hand_made)
    monkeypatch.setenv("COLUMNS", "120")
    return ran


@pytest.fixture
def toy(counted: list[Trace]) -> Reproduction:
    return reproduce([TOY])[0]


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]


def test_predictions_and_differences_are_those_of_the_runs(toy: Reproduction) -> None:
    for row, (predicted, difference) in zip(toy.rows, EXPECTED, strict=True):
        assert row.predicted == pytest.approx(predicted)
        assert row.difference == (None if difference is None else pytest.approx(difference))


def test_what_studies_share_runs_once_and_is_counted(counted: list[Trace]) -> None:
    done: list[tuple[int, int]] = []
    reproduce([TOY, TOY, PARTS], lambda *each: done.append(each))
    assert sorted(trace.batch for trace in counted) == [4, 12] and done == [(1, 2), (2, 2)]


def test_a_difference_is_to_the_nearer_end() -> None:
    published = Published(1.2, 1.5)
    assert [round(published.difference(each), 3) for each in (0.6, 1.2, 1.3, 1.5, 1.8)] == [-0.5, 0, 0, 0, 0.2]
    assert (about(1.4).low, about(1.4).high, about(1.4).text) == (1.35, 1.45, "about 1.4")
    assert (almost(2.0).low, almost(2.0).high) == (1.9, 2.0)
    assert up_to(1.2).difference(1.32) == pytest.approx(0.1) and up_to(1.2).difference(1.08) == pytest.approx(-0.1)


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_every_study_is_whole(study: Study) -> None:
    assert NAMES.count(study.name) == 1 and study.title and study.claim and study.source and study.assumed
    assert any(point.published for point in study.points)
    for point in study.points:
        assert (point.value is not None) != bool(point.label) and (not point.value or study.axis)
        assert point.quantity in QUANTITIES and point.cases
        assert point.published is None or 0 < point.published.low <= point.published.high
        for execution in (each for case in point.cases for each in (case.of, case.base)):
            arch = known_arch(execution.gpu, execution.settings)
            assert arch.supports(execution.dtype, execution.side == "2:4")
            if isinstance(execution.work, str):
                trace = known_trace(execution.work)
                assert trace.rescalable or execution.batch == trace.batch
                stcsim.replay.LayerRules(trace, execution.dtype, execution.keep_dense)


def test_published_figures_stand_as_they_were_read() -> None:
    def figures(name: str, quantity: str, series: str = "") -> dict[object, tuple[float, float]]:
        points = [each for each in find_study(name, STUDIES).points if (each.quantity, each.series) == (quantity, series)]
        return {each.value or each.label: (each.published.low, each.published.high) for each in points if each.published}

    assert figures("resnet34-batch", "speedup") == {1: (1.20, 1.21), 2048: (1.40, 1.42)}
    assert figures("resnet34-resolution", "speedup") == {
        (224, 224): (1.25, 1.26), (800, 1280): (1.35, 1.45), (1024, 2048): (1.55, 1.65), (2048, 4096): (1.65, 1.66)
    }  # fmt: skip
    assert figures("resnext101-batch", "speedup", "1410 MHz") == {"largest speedup": (1.20, 1.20)}
    assert figures("peaks", "peak", "peak")["int8 2:4"] == (1248, 1248)
    assert figures("inception-a6000", "speedup") == {32: (1.043,) * 2, 64: (1.039,) * 2, 128: (1.034,) * 2, 256: (0.814,) * 2}
    assert figures("sam-vit-h", "throughput") == {
        "dense": (22.75,) * 2, "MLPs 2:4": (24.81,) * 2, "MLPs and attention 2:4": (24.3,) * 2
    }  # fmt: skip
    assert figures("bert-squad", "time", "compiled, 2:4")[64] == (36_920.0, 36_920.0)


def test_peaks_and_storage_follow_from_their_definitions() -> None:
    peaks, storage = (find_study(name, STUDIES) for name in ("peaks", "storage"))
    defined = replace(peaks, points=tuple(point for point in peaks.points if point.quantity == "peak"))
    for found in reproduce([defined, storage]):
        assert all(abs(row.difference or 0) < 1e-3 for row in found.rows)


def test_two_points_of_a_real_study_are_real_runs() -> None:
    study = find_study("resnet34-batch", STUDIES)
    chosen = tuple(point for point in study.points if point.value in (1, 8))
    (found,) = reproduce([replace(study, points=chosen)])
    for row, batch in zip(found.rows, (1, 8), strict=True):
        result = stcsim.run(load_trace("resnet34").with_batch(batch), load_arch("a40"), dtype="int8")
        assert row.predicted == result.totals.speedup
    assert found.rows[0].difference is not None and found.rows[1].difference is None


def test_gemms_are_alone_and_warm_or_in_a_row() -> None:
    shape = (256, 128, 512)
    alone = Execution((shape,), "a100", "fp16", "2:4", launch="stream", warm=True)
    row = Execution((shape, (512, 128, 256)), "a100", "fp16", "dense")
    points = (Point("time", (Case(alone),), label="alone"), Point("time", (Case(row),), label="in a row"))
    (found,) = reproduce([replace(PARTS, points=points)])
    direct = stcsim.gemm(*shape, load_arch("a100"), launch="stream", weights_in_l2=True).totals
    assert found.rows[0].predicted == direct.sparse_us
    assert found.rows[1].predicted > stcsim.gemm(*shape, load_arch("a100")).totals.dense_us  # type: ignore[operator]


def test_figures_are_written_with_units() -> None:
    units = {name: quantity for name, (quantity, _) in QUANTITIES.items()}
    assert figure_text(units["speedup"], 1.2) == "1.20×" and figure_text(units["saved"], 0.375) == "37.50 %"
    assert figure_text(units["time"], 11_470.0) == "11.47 ms" and figure_text(units["peak"], 312.0) == "312 TOPS"
    assert published_text(units["speedup"], about(1.4)) == "about 1.4×"
    assert published_text(units["speedup"], Published(1.2, 1.21)) == "1.20×–1.21×"


def test_csv_and_json_hold_the_figures_and_what_they_rest_on(toy: Reproduction) -> None:
    lines = row_lines([toy])
    assert [line["predicted"] for line in lines] == [row.predicted for row in toy.rows]
    assert {line["source"] for line in lines} == {TOY.source} and lines[2]["published_text"] == "up to 1.25"
    (study,) = json.loads(json.dumps(document([toy])))["studies"]
    assert study["assumed"] == ["nothing"] and study["inputs"]["trace_sha256"] == {"resnet34": load_trace("resnet34").sha256}
    run = study["rows"][2]["runs"][1]
    assert (run["of"]["batch"], run["of"]["side"], run["over"]["side"]) == (12, "best", "dense")
    assert arch_from_dict(study["inputs"]["archs"]["a100"]).to_dict() == load_arch("a100").to_dict()


def test_settings_of_a_gpu_are_in_its_name(counted: list[Trace]) -> None:
    slow = network(4, settings=("clock.sustained_mhz=1095",))
    (found,) = reproduce([replace(PARTS, points=(Point("speedup", (Case(slow),), label="slow"),))])
    assert found.inputs["archs"]["a100 clock.sustained_mhz=1095"]["clock"]["sustained_mhz"]["value"] == 1095


def test_curves_show_predictions_published_figures_and_differences(toy: Reproduction, tmp_path: Path) -> None:
    write_study_figure(toy, tmp_path / "toy.svg")
    shown = texts(tmp_path / "toy.svg")
    assert {"speedup (×)", "time (µs)", "throughput (samples/s)", "batch", "toy · A100", "predicted", "published"} <= set(shown)
    assert {"dense", "2:4", "-17 %", "-40 %", "dashed: published, up to 1.25× (+28 %)"} <= set(shown)


def test_points_without_an_axis_are_lines(counted: list[Trace], tmp_path: Path) -> None:
    (found,) = reproduce([PARTS])
    write_study_figure(found, tmp_path / "parts.svg")
    shown = texts(tmp_path / "parts.svg")
    assert {"fp16 2:4", "weights", "toy", "rate (TOPS)", "weight memory saved (%)", "-33 %"} <= set(shown)


def test_the_overview_has_what_was_measured(counted: list[Trace], tmp_path: Path) -> None:
    for kind in ("svg", "png", "pdf"):
        write_overview_figure(reproduce([TOY, PARTS]), tmp_path / f"all.{kind}")
    shown = texts(tmp_path / "all.svg")
    assert {"toy", "parts", "batch 4", "batch 12", "largest speedup", "dense, batch 12", "speedup or gain (×)"} <= set(shown)
    assert not {"fp16 2:4", "weights"} & set(shown)


@pytest.fixture
def shipped(counted: list[Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.study.reproduce.studies.STUDIES", (TOY, PARTS))


def run_cli(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["reproduce", *arguments])
    assert stop.value.code == 0


def test_without_a_name_all_studies_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.study.reproduce.run.reproduce", lambda *_: pytest.fail("a study ran"))
    monkeypatch.setenv("COLUMNS", "100")
    run_cli()
    shown = " ".join(capsys.readouterr().out.split())
    for study in STUDIES:
        assert study.name in shown and study.gpu in shown and study.source.split(",")[0].split("(")[0].strip()[:20] in shown


def test_one_study_is_printed_and_written(shipped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / f"toy.{kind}" for kind in ("csv", "json", "pdf")}
    run_cli("toy", "--csv", str(files["csv"]), "--json", str(files["json"]), "--figure", str(files["pdf"]))
    printed = capsys.readouterr()
    assert printed.err == "" and "nobody, nowhere" in printed.out and "nothing" in printed.out
    assert "1.50×–1.70×" in printed.out and "-16.7 %" in printed.out and "+28.0 %" in printed.out
    lines = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert len(lines) == len(TOY.points) and lines[3]["difference"] == ""
    assert json.loads(files["json"].read_text(encoding="utf-8"))["studies"][0]["name"] == "toy"
    assert files["pdf"].read_bytes().startswith(b"%PDF")


def test_all_studies_are_printed_and_drawn_together(shipped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_cli("--all", "--figure", str(tmp_path / "all.svg"))
    shown = capsys.readouterr().out
    assert "toy: a toy network" in shown and "parts: parts of a toy" in shown
    assert {"toy", "parts"} <= set(texts(tmp_path / "all.svg"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resnet34"], "reproduce: expected one of peaks, storage, int8-gemm, resnet34-batch, "),
        (["toy", "--all"], "command line: expected either a study or --all, found both"),
        (["--figure", "x.png"], "--figure: expected a study, or --all, to draw, found neither"),
        (["peaks", "--figure", "x.jpg"], "--figure x.jpg: expected a name that ends in .png, .svg or .pdf"),
        (["peaks", "--json", "no/such/folder/x.json"], "--json no/such/folder/x.json: expected "),
    ],
)
def test_misuse_is_refused_before_anything_runs(
    arguments: list[str], sentence: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.study.reproduce.run.reproduce", lambda *_: pytest.fail("a study ran"))
    assert refused("reproduce", *arguments).startswith(sentence)


def test_a_side_that_a_gpu_lacks_is_one_sentence(counted: list[Trace]) -> None:
    study = replace(PARTS, points=(Point("speedup", (Case(network(4, gpu="t4")),), label="t4"),))
    with pytest.raises(StcsimError, match="^resnet34 on t4: expected a GPU with Sparse Tensor Cores"):
        reproduce([study])
