"""A curve: every value run once on every GPU in every type, and the same figures in table, CSV, JSON and picture."""

from __future__ import annotations

import csv
import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim import cli
from stcsim.errors import StcsimError, UnsupportedError
from stcsim.report.export.curve import row_lines
from stcsim.report.figures.curve import METRICS, write_curve_figure
from stcsim.result import Footprint, RunResult
from stcsim.study import parse_gemm, sweep
from stcsim.study.curve import Curve
from stcsim.trace import Conv2d, Gemm, Trace
from tests.unit.runs import layer, run_of

ACTIVATIONS = 12345
A100, H100, T4 = (stcsim.load_arch(name) for name in ("a100", "h100", "t4"))


def hand_made(trace: Trace, arch: stcsim.arch.Arch, **_: object) -> RunResult:
    """Return a run that takes 4 us and 1 us for every 2^20 MACs, 2:4 half of the latter; every layer's work as one GEMM."""
    gemms = [op.gemm() if isinstance(op, Conv2d) else op for op in trace.ops if isinstance(op, Gemm | Conv2d)]
    work = sum(op.macs for op in gemms) / 2**20
    sparse_us = 4 + work / 2 if arch.supports("fp16", True) else None
    result = run_of(layer("all", (gemms[0].m, gemms[0].n, gemms[0].k), 4 + work, sparse_us))
    weights = result.totals.weight_bytes, result.totals.compressed_bytes, result.totals.compressed_bytes
    return dataclasses.replace(result, footprint=Footprint(*weights, ACTIVATIONS, 0, 80 << 30))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are made by hand."""
    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: True)
    monkeypatch.setattr("stcsim.replay.run", hand_made)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def series(quick: None) -> Curve:
    return sweep(stcsim.load_trace("resnet34"), "batch=1..64", [A100, H100], ["fp16", "int8"])


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]


def test_every_value_runs_on_every_gpu_in_every_type(series: Curve) -> None:
    assert list(series.series) == [("a100", "fp16"), ("a100", "int8"), ("h100", "fp16"), ("h100", "int8")]
    assert all([point.value for point in points] == [1, 2, 4, 8, 16, 32, 64] for points in series.series.values())
    assert series.name == "resnet34" and series.batch is None and series.is_network
    assert series.inputs["trace_sha256"] == stcsim.load_trace("resnet34").sha256
    assert list(series.inputs["archs"]) == ["a100", "h100"]


def test_figures_of_a_point_are_those_of_its_run(quick: None) -> None:
    curve = sweep(parse_gemm("1024x1024xk"), "k=1024,2048", [A100, T4])
    point, _, without, _ = curve.points
    assert (point.time_us("dense"), point.time_us("2:4"), point.time_us("best")) == (1028.0, 516.0, 516.0)
    assert point.speedup("2:4") == 1028 / 516 and point.speedup("dense") == 1
    assert point.tops("2:4") == pytest.approx(2 * 1024**3 / 516 / 1e6)
    assert point.tops_per_watt("dense") == pytest.approx(2 * 1024**3 / 1028 / 1e6 / 250)
    weights = {"dense": 2 * 1024**2, "2:4": 2 * 1024**2 * 9 // 16}
    assert (point.weight_bytes("dense"), point.weight_bytes("2:4")) == tuple(weights.values())
    assert (point.memory_bytes("dense"), point.memory_bytes("2:4")) == tuple(size + ACTIVATIONS for size in weights.values())
    assert without.time_us("dense") == 1028.0
    assert (without.time_us("2:4"), without.speedup("best"), without.tops_per_watt("2:4")) == (None, None, None)


def test_a_real_curve_is_a_real_run_point_by_point() -> None:
    done: list[tuple[int, int]] = []
    curve = sweep(parse_gemm("256xnx512"), "n=64,96", [A100], ["int8"], progress=lambda *each: done.append(each))
    for point in curve.points:
        assert isinstance(point.value, int)
        assert point.totals == stcsim.gemm(256, point.value, 512, A100, dtype="int8").totals
    assert done == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("over", "archs", "dtypes", "sentence"),
    [
        ("k=64", [A100], [], "over: expected one of batch, resolution, seq, cached for a network, found k"),
        ("resolution=225", [A100], [], "resnet34: resolution 225x225: conv2d"),
        ("batch=1", [A100, A100], [], "archs: expected each name once, found 'a100' twice"),
        ("batch=1", [A100], ["fp8e4m3", "fp8"], "dtypes: expected each name once, found 'fp8' twice"),
        ("batch=1", [A100], ["fp12"], "dtypes: expected one of fp16"),
        ("batch=1,2", [H100, A100], ["fp8"], "a100: expected a type of its tensor cores"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(
    over: str, archs: list[stcsim.arch.Arch], dtypes: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: pytest.fail("a run began"))
    with pytest.raises((StcsimError, UnsupportedError)) as found:
        sweep(stcsim.load_trace("resnet34"), over, archs, dtypes)
    assert str(found.value).startswith(sentence)


@pytest.mark.parametrize(
    ("gemm", "over"), [("64x64xk", "n=64"), ("64x64x64", "k=64"), ("64xnxk", "k=64"), ("64x64xk", "batch=2")]
)
def test_the_letters_of_a_gemm_are_its_axis(gemm: str, over: str) -> None:
    with pytest.raises(StcsimError, match="^over "):
        sweep(parse_gemm(gemm), over, [A100])


def test_csv_has_the_figures_of_the_result(series: Curve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, document = tmp_path / "curve.csv", tmp_path / "curve.json"
    arguments = ["resnet34", "--arch", "a100,h100", "--dtype", "fp16,int8", "--over", "batch=1..64"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["curve", *arguments, "--csv", str(table), "--json", str(document)])
    assert stop.value.code == 0
    lines = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [(line["arch"], line["dtype"], int(line["batch"])) for line in lines] == [
        (point.arch, point.dtype, point.value) for point in series.points
    ]
    for line, point in zip(lines, series.points, strict=True):
        assert float(line["dense_us"]) == point.time_us("dense") and float(line["sparse_us"]) == point.time_us("2:4")
        assert float(line["sparse_tops"]) == point.tops("2:4") and int(line["weight_bytes"]) == point.weight_bytes("dense")
        assert float(line["best_tops_per_watt"]) == point.tops_per_watt("best")
    written = json.loads(document.read_text(encoding="utf-8"))
    assert len(written["points"]) == len(lines) and written["over"] == ["batch"] and written["inputs"] == series.inputs
    printed = capsys.readouterr()
    assert printed.err == "" and "resnet34\n" in printed.out
    assert sum(line.split()[1:2] in (["fp16"], ["int8"]) for line in printed.out.splitlines()) == len(lines)


def test_images_and_gemms_have_columns_of_their_own(quick: None) -> None:
    images = sweep(stcsim.load_trace("resnet34").with_batch(8), "resolution=224,320x256", [A100])
    assert [(line["batch"], line["height"], line["width"]) for line in row_lines(images)] == [(8, 224, 224), (8, 320, 256)]
    (square,) = row_lines(sweep(parse_gemm("mxnxk"), "m,n,k=64", [A100]))
    assert (square["m"], square["n"], square["k"]) == (64, 64, 64) and "batch" not in square


TITLES = {
    "speedup": "speedup over dense (×)",
    "tops": "effective TOPS",
    "time": "time of one pass (ms)",
    "memory": "weights, activations, cache (KiB)",
    "tops-per-watt": "effective TOPS per watt",
}


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_drawn_with_its_unit_and_legend(metric: str, series: Curve, tmp_path: Path) -> None:
    write_curve_figure(series, tmp_path / "curve.svg", metric)
    shown = texts(tmp_path / "curve.svg")
    labels = ["fp16", "int8"] if metric == "memory" else ["a100 fp16", "a100 int8", "h100 fp16", "h100 int8"]
    sides = {"speedup": ["2:4", "best of both"], "memory": ["dense", "2:4"]}.get(metric, ["dense", "2:4", "best of both"])
    assert {TITLES[metric], "batch", "resnet34", *labels, *sides, *map(str, (1, 2, 4, 8, 16, 32, 64))} <= set(shown)
    assert sorted(label for label in shown if label.startswith(("a100", "h100", "fp16", "int8"))) == labels


@pytest.mark.parametrize(
    ("archs", "dtypes", "panels", "keys"),
    [
        (("a100", "h100", "a40", "l40s"), ("fp16", "int8"), ["fp16", "int8"], ["a100", "a40", "h100", "l40s"]),
        (("a100", "h100", "a40", "l40s", "a10", "a30", "h200", "rtx3090"), ("fp16",), ["a100", "rtx3090"], []),
    ],
)
def test_more_series_than_colours_are_drawn_in_panels(
    archs: tuple[str, ...], dtypes: tuple[str, ...], panels: list[str], keys: list[str], quick: None, tmp_path: Path
) -> None:
    curve = sweep(stcsim.load_trace("resnet34"), "batch=1,8", [stcsim.load_arch(name) for name in archs], dtypes)
    for metric in METRICS:
        write_curve_figure(curve, tmp_path / "curve.svg", metric)
        shown = texts(tmp_path / "curve.svg")
        if metric != "memory":  # it is the same on every GPU, so that there are fewer series
            assert {TITLES[metric], "batch", *panels, *keys, "2:4"} <= set(shown)
            assert all(shown.count(name) == 1 for name in [*panels, *keys])


def test_figures_are_png_svg_and_pdf_and_the_same_each_time(series: Curve, tmp_path: Path) -> None:
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for kind, start in starts.items():
        for name in ("one", "two"):
            write_curve_figure(series, tmp_path / f"{name}.{kind}")
        one, two = (tmp_path / f"{name}.{kind}" for name in ("one", "two"))
        assert one.read_bytes()[: len(start)] == start and one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("over", "shown", "hidden"),
    [
        ("batch=1..2048", ("512", "2048"), ("1024",)),
        ("batch=16..512:16", ("0", "200", "400"), ("16",)),
        ("resolution=224,800x1280", ("224", "800×1280", "image size (pixels)"), ("224×224",)),
        ("batch=8", ("8",), ()),
    ],
)
def test_ticks_are_plain_and_never_touch(
    over: str, shown: tuple[str, ...], hidden: tuple[str, ...], quick: None, tmp_path: Path
) -> None:
    curve = sweep(stcsim.load_trace("resnet34"), over, [A100])
    write_curve_figure(curve, tmp_path / "curve.svg", "time")
    found = texts(tmp_path / "curve.svg")
    assert set(shown) <= set(found) and not set(hidden) & set(found)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--over", "k=1..8"], "command line: expected either a trace or --gemm MxNxK, found neither"),
        (
            ["resnet34", "--gemm", "64x64xk", "--over", "k=1..8"],
            "command line: expected either a trace or --gemm MxNxK, found both",
        ),
        (
            ["resnet34", "--over", "batch=1", "--batch", "8"],
            "--batch: expected a trace whose batch --over does not vary, found 8",
        ),
        (["--over", "m,n,k=64", "--batch", "8"], "--batch: expected a trace whose batch --over does not vary, found 8"),
        (["resnet34", "--over", "batch=1", "--arch", "a100,"], "--arch: expected names with commas between, found 'a100,'"),
        (["resnet34", "--over", "batch=0"], "--over batch: expected numbers with commas between"),
        (
            ["resnet34", "--over", "batch=1", "--figure", "c.jpg"],
            "--figure c.jpg: expected a name that ends in .png, .svg or .pdf",
        ),
        (["resnet34", "--over", "batch=1", "--figure", "c.png", "--arch", "t4"], "--metric speedup: expected a GPU with Sparse"),
        (
            [
                "resnet34",
                "--over",
                "batch=1",
                "--figure",
                "c.png",
                "--arch",
                "a100,h100,a40,l40s,t4,a10,a30,h200,rtx3090",
                "--dtype",
                "fp16,int8,bf16",
            ],
            "--figure: expected at most 24 pairs of a GPU and a type (--csv holds any number), found 27",
        ),
    ],
)
def test_misuse_is_refused_before_anything_runs(
    arguments: list[str], sentence: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.study.curve.sweep", lambda *_: pytest.fail("the sweep began"))
    archs = [] if "--arch" in arguments else ["--arch", "a100"]
    assert refused("curve", *arguments, *archs).startswith(sentence)


def test_a_figure_with_nothing_in_it_is_refused(quick: None, refused: Callable[..., str], tmp_path: Path) -> None:
    curve = sweep(stcsim.load_trace("resnet34"), "batch=1", [T4])
    with pytest.raises(StcsimError, match="^--metric speedup: expected layers that may be pruned"):
        write_curve_figure(curve, tmp_path / "curve.png")
    assert not list(tmp_path.iterdir())
