"""A roofline: bytes and intensities worked out by hand, no mark above its roof, the same figures in table, CSV and picture."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import stcsim
from stcsim import cli
from stcsim.errors import StcsimError
from stcsim.report.export.roofline import row_lines
from stcsim.report.figures.roofline import write_roofline_figure
from stcsim.report.terminal.roofline import roofline_table
from stcsim.study import roofline_of
from stcsim.study.roofline import Roofline, RooflineLayer, Roofs, Spot, roofs_of
from stcsim.trace import Conv2d, Gemm, Memory, Source, Trace

A100 = stcsim.load_arch("a100")
SOURCE = Source(model="by hand", library="none", version="0")
FC = Gemm(name="fc", m=256, n=128, k=512, scales_with_batch="n")
QK = Gemm(name="qk", m=64, n=32, k=128, batch=4, weight_operand=None, scales_with_batch="batch")
TALL = Gemm(name="tall", m=8192, n=128, k=4096, scales_with_batch="n")  # weights of 64 MiB stay in no L2
CONV = Conv2d(name="conv", batch=2, c=32, h=16, w=16, k=64, r=3, s=3, padding=(1, 1))


def network(*ops: Gemm | Conv2d | Memory) -> Trace:
    return Trace(name="net", title="Net", source=SOURCE, batch=2, input_shape=(3, 16, 16), ops=ops)


ROOFS = Roofs(
    dense_tops=100.0,
    sparse_tops=200.0,
    dram_gb_per_s=1000.0,
    l2_gb_per_s=4000.0,
    clock_mhz=1500.0,
    data_sheet_mhz=1500.0,
    pattern="2:4",
)


def spot_at(
    tops: float = 50.0,
    intensity: float | None = 100.0,
    l2_intensity: float = 40.0,
    share_of_time: float = 1.0,
    sparse: bool = False,
) -> Spot:
    """Return a kernel of 2^28 multiply-accumulates under ``ROOFS``."""
    operations = 2.0**29
    roof_tops, bound = ROOFS.lowest(sparse, intensity, l2_intensity)
    dram_bytes, time_us = operations / intensity if intensity else 0.0, 1e-6 * operations / tops
    return Spot(dram_bytes, operations / l2_intensity, intensity, l2_intensity, time_us, tops, roof_tops, bound, share_of_time)


def by_hand(*layers: RooflineLayer) -> Roofline:
    return Roofline("net", 1, "gpu", "fp16", ROOFS, layers, {})


@pytest.fixture(scope="module")
def net() -> Roofline:
    return roofline_of(network(FC, QK, CONV, FC.changed(name="fc2")), A100)


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]


def printed_table(roofline: Roofline) -> str:
    console = Console(width=200, file=StringIO())
    console.print(roofline_table(roofline))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_bytes_and_intensities_by_hand() -> None:
    tall = roofline_of(network(TALL), A100).layers[0]
    row = stcsim.run(network(TALL), A100).rows[0]
    assert row.dense and row.sparse and tall.sparse
    dense_rows, sparse_rows = (int(re.findall(r"_(\d+)x128x", kernel.kernel)[0]) for kernel in (row.dense, row.sparse))
    # tiles as wide as the matrix, so each operand comes from DRAM once; every row of tiles reads all of B from L2
    a_bytes, b_bytes, d_bytes = 2 * 8192 * 4096, 2 * 4096 * 128, 2 * 8192 * 128
    assert tall.dense.dram_bytes == a_bytes + b_bytes + d_bytes
    assert tall.dense.l2_bytes == a_bytes + 8192 // dense_rows * b_bytes + d_bytes
    assert tall.dense.dram_intensity == tall.dense.intensity == 2 * 8192 * 4096 * 128 / (a_bytes + b_bytes + d_bytes)
    assert tall.dense.l2_intensity == 2 * 8192 * 4096 * 128 / tall.dense.l2_bytes
    assert tall.sparse.dram_bytes == a_bytes * 9 // 16 + b_bytes + d_bytes  # 16-bit: 9/16 of the weights
    assert tall.sparse.l2_bytes == a_bytes * 9 // 16 + 8192 // sparse_rows * b_bytes + d_bytes


def test_bytes_are_those_that_the_simulated_kernels_moved(net: Roofline) -> None:
    for layer, row in zip(net.layers, stcsim.run(network(FC, QK, CONV, FC.changed(name="fc2")), A100).rows, strict=True):
        for spot, kernel in ((layer.dense, row.dense), (layer.sparse, row.sparse)):
            assert (spot is None) == (kernel is None)
            if spot and kernel:
                assert spot.l2_bytes == kernel.bytes["l2_read"] + kernel.bytes["write"]
                assert spot.dram_bytes == kernel.bytes["dram_read"] + kernel.bytes["dram_write"]


def test_a_kernel_that_stays_in_l2_has_no_intensity_of_dram(net: Roofline) -> None:
    for layer in net.layers:  # all fits in the 40 MiB, and a pass begins with what the one before left
        assert layer.dense.dram_bytes == 0 and layer.dense.dram_intensity is None
        assert layer.dense.intensity == layer.dense.l2_intensity
        slope_tops = 1e-3 * layer.dense.l2_intensity * net.roofs.l2_gb_per_s
        assert layer.dense.roof_tops == pytest.approx(min(net.roofs.dense_tops, slope_tops))


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


def test_the_roof_is_the_lowest_of_three() -> None:
    # DRAM reaches 100 TOPS at 100 operations for each byte, L2 at 25
    assert [ROOFS.lowest(False, at, 100.0) for at in (50, 100.5, 400)] == [(50, "dram"), (100, "compute"), (100, "compute")]
    assert [ROOFS.lowest(True, at, 100.0) for at in (50, 150, 400)] == [(50, "dram"), (150, "dram"), (200, "compute")]
    assert [ROOFS.lowest(False, 90, at) for at in (5, 20, 30)] == [(20, "l2"), (80, "l2"), (90, "dram")]
    assert [ROOFS.lowest(False, None, at) for at in (5, 30)] == [(20, "l2"), (100, "compute")]


def test_peaks_are_those_of_the_gpu(net: Roofline) -> None:
    assert (net.roofs.dense_tops, net.roofs.dram_gb_per_s) == (A100.peak_tops("fp16", False), A100.dram.bandwidth_gb_per_s)
    what_if = stcsim.load_arch("a100", ["l2.bandwidth_bytes_per_clk=4000", "clock.sustained_mhz=1200"])
    assert roofs_of(what_if, "fp16").l2_gb_per_s == pytest.approx(4800)  # 4,000 B each of 1.2e9 times a second
    assert roofs_of(what_if, "fp16").dense_tops == net.roofs.dense_tops  # below the clock of the data sheet


def test_compute_is_at_the_highest_clock_that_is_held() -> None:
    fast = stcsim.load_arch("a100", ["clock.peak_mhz=1000", "clock.boost_mhz=1000", "clock.sustained_mhz=1250"])
    roofs, data_sheet_tops = roofs_of(fast, "int8"), fast.peak_tops("int8", True)
    assert data_sheet_tops and roofs.sparse_tops == pytest.approx(1.25 * data_sheet_tops)
    printed = printed_table(roofline_of(network(FC), fast))
    assert "at 1,250 MHz, above the 1,000 of the data sheet" in printed
    assert "data sheet" not in printed_table(by_hand(RooflineLayer("fc", 256, 128, 512, 1, 1, spot_at(), None)))


@pytest.mark.parametrize(
    ("trace", "batch", "arch", "dtype"),
    [
        ("resnet34", 32, "a100", "int8"),
        ("llama-3-8b-prefill", 1, "h100", "fp8"),
        ("bert-large", 1, "rtx4090", "fp16"),
        ("resnet18", 1, "t4", "int8"),
        ("gpt2", 1, "h100", "fp16"),
        ("llama-3-8b-decode", 8, "h200", "bf16"),
        ("mobilenet-v2", 8, "a10", "fp16"),
        ("vgg16", 4, "l40s", "fp8"),
        ("transformer-xl", 1, "rtx3090", "fp16"),
    ],
)
def test_no_mark_is_above_its_roof(trace: str, batch: int, arch: str, dtype: str) -> None:
    roofline = roofline_of(stcsim.load_trace(trace).with_batch(batch), stcsim.load_arch(arch), dtype)
    layers = [*roofline.layers, *roofline.alike()]
    assert max(spot.share_of_roof for layer in layers for spot in (layer.dense, layer.sparse) if spot) <= 1 + 1e-9


def test_layers_of_equal_sizes_are_one_with_all_their_time(net: Roofline) -> None:
    together = net.alike()
    assert sorted((layer.name, layer.count) for layer in together) == [("conv", 1), ("fc", 2), ("qk", 1)]
    assert [layer.dense.share_of_time for layer in together] == sorted((x.dense.share_of_time for x in together), reverse=True)
    fc, (one, _, _, two) = next(layer for layer in together if layer.name == "fc"), net.layers
    assert fc.dense.time_us == pytest.approx((one.dense.time_us + two.dense.time_us) / 2)
    assert fc.dense.share_of_time == pytest.approx(one.dense.share_of_time + two.dense.share_of_time)
    assert fc.dense.l2_bytes == one.dense.l2_bytes and fc.sparse
    assert fc.dense.tops == pytest.approx(2e-6 * FC.macs / fc.dense.time_us)


def test_the_mean_of_layers_counts_their_launches() -> None:
    # 2e6 operations each; three launches find all in L2, one reads 80,000 B from DRAM
    warm = RooflineLayer("warm", 100, 100, 100, 1, 3, Spot(0.0, 1e5, None, 20.0, 1.0, 2.0, 80.0, "l2", 0.5), None)
    cold = RooflineLayer("cold", 100, 100, 100, 1, 1, Spot(8e4, 1e5, 25.0, 20.0, 5.0, 0.4, 25.0, "dram", 0.5), None)
    (mean,) = by_hand(warm, cold).alike()
    assert (mean.count, mean.dense.dram_bytes, mean.dense.l2_bytes) == (4, 2e4, 1e5)
    assert (mean.dense.dram_intensity, mean.dense.l2_intensity, mean.dense.time_us, mean.dense.tops) == (100, 20, 2, 1)
    assert (mean.dense.roof_tops, mean.dense.bound, mean.dense.share_of_time) == (80, "l2", 1)


def test_what_is_fused_into_a_layer_is_read_by_it() -> None:
    before = FC.changed(name="before", k=256)
    bias = Memory(name="add", operator="add", elements_read=2 * 256 * 128, elements_written=256 * 128, inputs=("fc", "before"),
                  fuses_into="fc")  # fmt: skip
    plain = roofline_of(network(before, FC.changed(inputs=("before",))), A100).layers[1]
    fused = roofline_of(network(before, FC.changed(inputs=("before",)), bias), A100).layers[1]
    assert fused.dense.l2_bytes == plain.dense.l2_bytes + 2 * 256 * 128
    assert fused.dense.l2_intensity < plain.dense.l2_intensity


def test_a_gpu_without_sparse_tensor_cores_has_one_roof(tmp_path: Path) -> None:
    only = roofline_of(network(FC), stcsim.load_arch("t4"))
    assert only.roofs.sparse_tops is None and only.layers[0].sparse is None
    write_roofline_figure(only, tmp_path / "roofline.svg")
    shown = texts(tmp_path / "roofline.svg")
    assert {"dense 65 TOPS", "DRAM 320 GB/s", "per byte of L2"} <= set(shown) and not any("2:4" in each for each in shown)


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
        figures = {name: str(value) for name, value in wanted.items() if value is not None}
        assert {name: value for name, value in line.items() if value} == figures
    assert json.loads(document.read_text(encoding="utf-8"))["layers"][2]["dense"]["l2_bytes"] == net.layers[2].dense.l2_bytes
    printed = capsys.readouterr()
    assert printed.err == "" and "net · batch 2 · a100 · fp16" in printed.out and "fc ×2" in printed.out
    shown = texts(figure)
    assert {
        "dense 312 TOPS",
        "2:4 624 TOPS",
        "DRAM 2,039 GB/s",
        f"L2 {net.roofs.l2_gb_per_s:,.0f} GB/s",
        "dense",
        "2:4",
        "1",
        "2",
        "3",
    } <= set(shown)
    assert sum("256×128×512" in each for each in shown) == 1


def test_the_table_says_which_roof_binds() -> None:
    # 40 operations for each byte of L2 let 160 TOPS through, 100 for each of DRAM 100, 10 of L2 only 40
    memory = RooflineLayer("memory", 512, 512, 1024, 1, 2, spot_at(), spot_at(80.0, 100.0, sparse=True))
    cache = RooflineLayer("cache", 512, 1024, 512, 1, 1, spot_at(30.0, None, 10.0), None)
    lines = printed_table(by_hand(memory, cache)).splitlines()
    assert lines[1] == "roofs: dense 100 TOPS, 2:4 200 TOPS, DRAM 1,000 GB/s, L2 4,000 GB/s (fitted)"
    assert lines[-2].split()[4:11] == ["100", "40.0", "50.0", "100", "compute", "50", "%"]
    assert lines[-2].split()[13:20] == ["100", "40.0", "80.0", "100", "DRAM", "80", "%"]
    assert lines[-1].split()[3:10] == ["–", "10.0", "30.0", "40.0", "L2", "75", "%"]


def test_what_takes_hardly_any_time_may_be_outside_the_plane(tmp_path: Path) -> None:
    name = "efficientnet.encoder.blocks.12.depthwise_conv.depthwise_conv"
    slow = RooflineLayer(name, 128, 128, 2**14, 1, 1, spot_at(share_of_time=0.99), None)
    quick = RooflineLayer("quick", 16, 16, 16, 1, 1, spot_at(0.01, 1.0, 1.0, share_of_time=0.01), None)
    write_roofline_figure(by_hand(slow, quick), tmp_path / "roofline.svg")
    shown = texts(tmp_path / "roofline.svg")
    assert "not in the plane: quick, 1 % of the time" in shown and "2" not in shown
    assert f"1  {name}" in shown and "128×128×16384" in [each.strip() for each in shown]


def test_an_axis_has_one_kind_of_number(tmp_path: Path) -> None:
    write_roofline_figure(by_hand(RooflineLayer("fc", 256, 128, 512, 1, 1, spot_at(), None)), tmp_path / "roofline.svg")
    ticks = [each for each in texts(tmp_path / "roofline.svg") if re.fullmatch(r"[\d,.]+", each) and each != "1"]
    assert len(ticks) > 4 and all(each.strip("0,.") in ("1", "2", "5") for each in ticks)


def crowded(count: int) -> Roofline:
    """Return layers of different sizes that all stand at one place."""
    spot = spot_at(share_of_time=1 / count)
    sizes = [(2**m, 2**n, 2 ** (28 - m - n)) for m in range(14) for n in range(14)]
    return by_hand(*(RooflineLayer(f"layer{at}", *sizes[at], 1, 1, spot, spot) for at in range(count)))


@pytest.mark.parametrize("count", [1, 6, 40])
def test_numbers_find_a_place_however_crowded(count: int, tmp_path: Path) -> None:
    write_roofline_figure(crowded(count), tmp_path / "roofline.svg")
    shown = texts(tmp_path / "roofline.svg")
    assert [each for each in shown if each in "123456789"][-min(count, 6) :] == [str(at + 1) for at in range(min(count, 6))]
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
