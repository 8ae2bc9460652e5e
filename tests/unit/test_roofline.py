"""A roofline: intensities worked out by hand, layers under the right roof, and the same figures in table, CSV and picture."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim import cli
from stcsim.errors import StcsimError
from stcsim.report.roofline_export import row_lines
from stcsim.report.roofline_figure import write_roofline_figure
from stcsim.study import roofline_of
from stcsim.study.roofline import Roofline, RooflineLayer, Roofs, Spot
from stcsim.trace import Conv2d, Gemm, Memory, Source, Trace

A100 = stcsim.load_arch("a100")
SOURCE = Source(model="by hand", library="none", version="0")
FC = Gemm(name="fc", m=256, n=128, k=512, scales_with_batch="n")
QK = Gemm(name="qk", m=64, n=32, k=128, batch=4, weight_operand=None, scales_with_batch="batch")
CONV = Conv2d(name="conv", batch=2, c=32, h=16, w=16, k=64, r=3, s=3, padding=(1, 1))


def network(*ops: Gemm | Conv2d | Memory) -> Trace:
    return Trace(name="net", title="Net", source=SOURCE, batch=2, input_shape=(3, 16, 16), ops=ops)


@pytest.fixture(scope="module")
def net() -> Roofline:
    return roofline_of(network(FC, QK, CONV, FC.changed(name="fc2")), A100)


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]


def test_bytes_and_intensities_by_hand(net: Roofline) -> None:
    fc, qk, conv, _ = net.layers
    assert fc.dense.bytes == 2 * (256 * 512 + 512 * 128 + 256 * 128)
    assert fc.dense.intensity == 2 * 256 * 512 * 128 / fc.dense.bytes
    assert fc.sparse and fc.sparse.bytes == 256 * 512 * 9 // 8 + 2 * (512 * 128 + 256 * 128)  # 16-bit: 9/16 of the weights
    assert qk.sparse is None and qk.dense.bytes == 4 * 2 * (64 * 128 + 128 * 32 + 64 * 32)
    assert conv.dense.bytes == 2 * (64 * 32 * 9 + 2 * 32 * 16 * 16 + 2 * 64 * 16 * 16)  # the input once, not once for each tap
    assert conv.dense.intensity == 2 * 2 * 64 * 32 * 9 * 16 * 16 / conv.dense.bytes


def test_times_are_those_of_the_run(net: Roofline) -> None:
    result = stcsim.run(network(FC, QK, CONV, FC.changed(name="fc2")), A100)
    for layer, row in zip(net.layers, result.rows, strict=True):
        assert row.dense and layer.dense.time_us == row.dense.time_us and layer.dense.tops == pytest.approx(row.dense.tops)
        assert (layer.sparse.time_us if layer.sparse else None) == (row.sparse.time_us if row.sparse else None)
    assert sum(layer.dense.share_of_time for layer in net.layers) == pytest.approx(1)
    sparse_us = sum((layer.sparse or layer.dense).time_us for layer in net.layers)
    shares = [(layer.sparse.share_of_time, layer.sparse.time_us / sparse_us) for layer in net.layers if layer.sparse]
    assert len(shares) == 3 and all(found == pytest.approx(wanted) for found, wanted in shares)
    assert net.inputs == result.inputs


def test_the_roof_is_the_lower_of_the_two(net: Roofline) -> None:
    roofs = Roofs(100.0, 200.0, 1000.0)  # the slope reaches 100 TOPS at 100 operations for each byte
    assert [roofs.tops_at(intensity, False) for intensity in (50, 100, 150, 400)] == [50, 100, 100, 100]
    assert [roofs.tops_at(intensity, True) for intensity in (50, 100, 150, 400)] == [50, 100, 150, 200]
    assert (net.roofs.dense_tops, net.roofs.dram_gb_per_s) == (A100.peak_tops("fp16", False), A100.dram.bandwidth_gb_per_s)
    for layer in net.layers:
        assert layer.dense.share_of_roof == layer.dense.tops / net.roofs.tops_at(layer.dense.intensity, False)


def test_layers_of_equal_sizes_are_one_with_all_their_time(net: Roofline) -> None:
    together = net.alike()
    assert sorted((layer.name, layer.count) for layer in together) == [("conv", 1), ("fc", 2), ("qk", 1)]
    assert [layer.dense.share_of_time for layer in together] == sorted((x.dense.share_of_time for x in together), reverse=True)
    fc, (one, _, _, two) = next(layer for layer in together if layer.name == "fc"), net.layers
    assert fc.dense.time_us == pytest.approx((one.dense.time_us + two.dense.time_us) / 2)
    assert fc.dense.share_of_time == pytest.approx(one.dense.share_of_time + two.dense.share_of_time)
    assert fc.dense.bytes == one.dense.bytes and fc.sparse and fc.dense.tops == pytest.approx(2e-6 * FC.macs / fc.dense.time_us)


def test_what_is_fused_into_a_layer_is_read_by_it() -> None:
    before = FC.changed(name="before", k=256)
    bias = Memory(name="add", operator="add", elements_read=2 * 256 * 128, elements_written=256 * 128, inputs=("fc", "before"),
                  fuses_into="fc")  # fmt: skip
    plain = roofline_of(network(before, FC.changed(inputs=("before",))), A100).layers[1]
    fused = roofline_of(network(before, FC.changed(inputs=("before",)), bias), A100).layers[1]
    assert fused.dense.bytes == plain.dense.bytes + 2 * 256 * 128 and fused.dense.intensity < plain.dense.intensity


def test_a_gpu_without_sparse_tensor_cores_has_one_roof(tmp_path: Path) -> None:
    only = roofline_of(network(FC), stcsim.load_arch("t4"))
    assert only.roofs.sparse_tops is None and only.layers[0].sparse is None
    write_roofline_figure(only, tmp_path / "roofline.svg")
    shown = texts(tmp_path / "roofline.svg")
    assert "peak dense, 65 TOPS" in shown and not any("2:4" in each for each in shown)


def test_a_trace_without_products_is_refused() -> None:
    copy = Memory(name="copy", operator="copy", elements_read=8, elements_written=8)
    with pytest.raises(StcsimError, match="^net: expected a GEMM or convolution, found none"):
        roofline_of(network(copy), A100)


def test_the_command_prints_and_writes_the_same_figures(
    net: Roofline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, table, document, figure = (tmp_path / name for name in ("net.json", "net.csv", "out.json", "net.svg"))
    network(FC, QK, CONV, FC.changed(name="fc2")).save(trace)
    options = ["--csv", str(table), "--json", str(document), "--figure", str(figure)]
    with pytest.raises(SystemExit) as stop:
        cli.main(["roofline", str(trace), "--arch", "a100", *options])
    assert stop.value.code == 0
    lines = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    for line, wanted in zip(lines, row_lines(net), strict=True):
        assert {name: value for name, value in line.items() if value} == {name: str(value) for name, value in wanted.items()}
    assert json.loads(document.read_text(encoding="utf-8"))["layers"][2]["dense"]["bytes"] == net.layers[2].dense.bytes
    printed = capsys.readouterr()
    assert printed.err == "" and "net · batch 2 · a100 · fp16" in printed.out and "fc ×2" in printed.out
    shown = texts(figure)
    assert {"peak dense, 312 TOPS", "peak 2:4, 624 TOPS", "peak DRAM, 2,039 GB/s", "layer, dense", "1", "2", "3"} <= set(shown)
    assert sum("256×128×512" in each for each in shown) == 1


def crowded(count: int) -> Roofline:
    """Return layers of different sizes that all stand at one place."""
    macs = 2**28
    spot = Spot(macs / 50, 100.0, 10.0, 2e-6 * macs / 10, 100.0, 1 / count)
    sizes = [(2**m, 2**n, 2 ** (28 - m - n)) for m in range(14) for n in range(14)]
    layers = tuple(RooflineLayer(f"layer{at}", *sizes[at], 1, 1, spot, spot) for at in range(count))
    return Roofline("net", 1, "gpu", "fp16", Roofs(100.0, 200.0, 1000.0), layers, {})


@pytest.mark.parametrize("count", [1, 6, 40])
def test_numbers_find_a_place_however_crowded(count: int, tmp_path: Path) -> None:
    write_roofline_figure(crowded(count), tmp_path / "roofline.svg")
    shown = texts(tmp_path / "roofline.svg")
    assert [each for each in shown if each in "123456789"] == [str(at + 1) for at in range(min(count, 6))]
    places = [
        element.attrib["transform"]
        for element in ElementTree.parse(tmp_path / "roofline.svg").iter()
        if element.tag.endswith("}text") and "".join(element.itertext()) in "123456"
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resnet34", "--arch", "a100", "--dtype", "fp8"], "a100: expected a type of its tensor cores"),
        (["resnet34", "--arch", "a100", "--figure", "r.jpg"], "--figure r.jpg: expected a name that ends in .png, .svg or .pdf"),
        (["resnet34", "--arch", "a100", "--batch", "0"], "resnet34: batch: expected a whole number above 0, found 0"),
    ],
)
def test_misuse_is_refused_in_one_sentence(arguments: list[str], sentence: str, refused: Callable[..., str]) -> None:
    assert refused("roofline", *arguments).startswith(sentence)
