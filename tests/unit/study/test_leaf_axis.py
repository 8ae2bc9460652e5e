"""An axis over a leaf of a GPU: what its text means, what runs at each value, and the sentence for what it cannot mean."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import stcsim
from stcsim.arch.overrides import Change
from stcsim.errors import StcsimError
from stcsim.study import parse_gemm, sweep
from stcsim.study.axis import Axis, parse_axis

A100, H100 = stcsim.load_arch("a100"), stcsim.load_arch("h100")
L2 = "l2.bandwidth_bytes_per_clk"


def factors(*amounts: str) -> tuple[Change, ...]:
    return tuple(Change(True, Decimal(amount)) for amount in amounts)


def sums(*amounts: str) -> tuple[Change, ...]:
    return tuple(Change(False, Decimal(amount)) for amount in amounts)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sm.count=80..160", (80, 160)),
        ("SM.count = 160,80..100:10", (80, 90, 100, 160)),
        ("dram.achieved_fraction=0.5..0.8:0.1", (0.5, 0.6, 0.7, 0.8)),  # exact steps: 0.5 + 3 * 0.1 is above 0.8 in binary
        ("l2.capacity_mib=x2,×0.5,X1,x2.0", factors("0.5", "1", "2")),
        ("l2.capacity_mib=x0.5..x4", factors("0.5", "1", "2", "4")),
        ("l2.capacity_mib=x1..x2:0.25", factors("1", "1.25", "1.5", "1.75", "2")),
        ("sm.count=-16..+16:8", sums("-16", "-8", "0", "8", "16")),
        ("sm.count=0..+16:8", sums("0", "8", "16")),
    ],
)
def test_an_axis_over_a_leaf_is_read(text: str, values: tuple[object, ...]) -> None:
    path = text.partition("=")[0].strip().lower()
    axis = parse_axis(text)
    assert axis == Axis((path,), values) and axis.leaf == path  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("l2.capacity_mib=40", "l2.capacity_mib (MiB)"),
        ("sm.count=40", "sm.count"),
        ("sm.count=x2", "sm.count (times the file's)"),
        ("sm.count=+8", "sm.count (added to the file's)"),
    ],
)
def test_a_figure_says_the_unit_of_an_axis(text: str, title: str) -> None:
    assert parse_axis(text).title == title


VALUES = "numbers, factors (x1.5) or sums (+8, -8) with commas between, or ranges such as 80..160 (doubling) or 80..160:8 (steps)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sm.cuont=1", "over: expected the dotted path of one number, e.g. l2.capacity_mib, found 'sm.cuont' "
         "(did you mean 'sm.count'?)"),
        ("sm.count", "over: expected values, e.g. sm.count=x0.5,x1,x2, found 'sm.count'"),
        ("sm.sms_per_gpc=8", "over: expected the dotted path of one number, e.g. l2.capacity_mib, found 'sm.sms_per_gpc'"),
        ("sm.count=", f"over sm.count: expected {VALUES}, found ''"),
        ("sm.count=80,,90", f"over sm.count: expected {VALUES}, found ''"),
        ("sm.count=many", f"over sm.count: expected {VALUES}, found 'many'"),
        ("sm.count=80..", f"over sm.count: expected {VALUES}, found '80..'"),
        ("sm.count=80,x2", "over sm.count: expected values of one kind, found absolute values and factors"),
        ("sm.count=80..x2", "over sm.count: expected a range between values of one kind, found '80..x2'"),
        ("sm.count=160..80", "over sm.count: expected a range that ends above its start, found '160..80'"),
        ("launch.graph_us=0..4", "over launch.graph_us: expected steps above 0 (80..160:8), as nothing doubles from 0, "
         "found '0..4'"),
        ("sm.count=80..90:0", "over sm.count: expected steps above 0 (80..160:8), as nothing doubles from 0, found '80..90:0'"),
        ("sm.count=1..999999999:1", "over sm.count: expected at most 1000 values, found '1..999999999:1'"),
        ("sm.count=1..900:1,1001..1900:1", "over sm.count: expected at most 1000 values, found 1800"),
    ],
)  # fmt: skip
def test_what_is_no_axis_over_a_leaf_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as found:
        parse_axis(text)
    assert str(found.value).startswith(sentence)


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ("dram.achieved_fraction=0.5,2", "over dram.achieved_fraction: expected a number from 0.001 to 1, found 2.0"),
        ("sm.count=80.5", "over sm.count: expected an integer from 1 to 1000000, found 80.5"),
        ("sm.count=x0", "over sm.count x0 of 108: expected an integer from 1 to 1000000, found 0"),
    ],
)
def test_a_value_that_the_leaf_cannot_hold_is_refused_before_anything_runs(
    over: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: pytest.fail("a run began"))
    with pytest.raises(StcsimError) as found:
        sweep(parse_gemm("64x64x64"), over, [A100])
    assert str(found.value) == sentence


def test_a_leaf_leaves_no_letter_of_a_gemm_free() -> None:
    with pytest.raises(StcsimError, match=r"^over sm\.count: expected a size for every letter of the GEMM, .*, found 64×64×k$"):
        sweep(parse_gemm("64x64xk"), "sm.count=80", [A100])


def test_every_value_of_a_leaf_is_a_run_of_the_gpu_so_changed() -> None:
    curve = sweep(parse_gemm("512x512x512"), f"{L2}=x0.5,x1,x2", [A100, H100])
    assert list(curve.series) == [("a100", "fp16"), ("h100", "fp16")]
    for point in curve.points:
        changed = stcsim.load_arch(point.arch, {L2: str(point.value)})
        assert point.totals == stcsim.gemm(512, 512, 512, changed).totals
        assert point.leaf_value == changed.l2.bandwidth_bytes_per_clk
    assert curve.points[0].totals != curve.points[1].totals
    assert {name: trust.evidence for name, trust in curve.trust.items()} == {"a100": "sibling", "h100": "sibling"}


def test_all_forms_say_what_a_relative_value_became(ran: Callable[..., str], tmp_path: Path) -> None:
    command = ("curve", "--gemm", "64x64x64", "--arch", "a100", "--over", "sm.count=-8,+8")
    points = json.loads(ran(*command, "--json", "-"))["points"]
    assert [(point["sm.count"], point["change"]) for point in points] == [(100, "-8"), (116, "+8")]
    lines = list(csv.DictReader(ran(*command, "--csv", "-").splitlines()))
    assert [(line["sm.count"], line["change"]) for line in lines] == [("100", "-8"), ("116", "+8")]
    table = ran(*command, "--figure", tmp_path / "sms.svg")
    assert "-8 (100)" in table and "+8 (116)" in table
    assert "added to the file" in (tmp_path / "sms.svg").read_text(encoding="utf-8")


def test_an_absolute_value_needs_no_second_figure(ran: Callable[..., str]) -> None:
    (point,) = json.loads(ran("curve", "--gemm", "64x64x64", "--arch", "a100", "--over", "sm.count=80", "--json", "-"))["points"]
    assert point["sm.count"] == 80 and "change" not in point


def test_variants_are_series_of_a_curve(ran: Callable[..., str]) -> None:
    variant = ("--variant", f"wide:{L2}=x2")
    document = json.loads(ran("curve", "--gemm", "64x64x64", "--arch", "a100", *variant, "--over", "sm.count=80", "--json", "-"))
    assert [point["arch"] for point in document["points"]] == ["a100", "a100:wide"]
    assert document["inputs"]["archs"]["a100:wide"]["l2"]["bandwidth_bytes_per_clk"]["from"].startswith("--set x2 of ")
