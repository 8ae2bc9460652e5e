"""Runs side by side, and why two saved results differ: every figure is that of a run, and the changes add up."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import stcsim
from stcsim.arch.variants import with_variants
from stcsim.errors import StcsimError
from stcsim.report.figures.compare import write_difference_figure
from stcsim.result import RunResult
from stcsim.study.comparison.difference import Difference, difference_of
from stcsim.study.comparison.side_by_side import Comparison, parse_prices, side_by_side
from stcsim.study.whatif.work import work_of
from stcsim.trace import Gemm, Trace

SIZES = 1024, 512, 768
GEMM = "x".join(map(str, SIZES))
A100, H100, T4 = (stcsim.load_arch(name) for name in ("a100", "h100", "t4"))
L2 = "l2.bandwidth_bytes_per_clk"


def network(batch: int = 1, wide: int = 1024) -> Trace:
    """Two layers, the second twice."""
    trace = stcsim.load_trace("resnet18")
    ops = (
        Gemm(name="layer.0.fc", m=wide, n=256 * batch, k=1024, scales_with_batch="n"),
        Gemm(name="layer.1.fc", m=1024, n=256 * batch, k=wide, count=2, scales_with_batch="n"),
    )
    return Trace(name="two", title="two", source=trace.source, batch=batch, input_shape=(1024,), ops=ops)


# --- side by side


@pytest.fixture(scope="module")
def found() -> Comparison:
    works = [work_of(GEMM, "fp16"), work_of(GEMM, "fp8")]
    return side_by_side(works, with_variants([A100, H100], [f"wide:{L2}=x2"]), {"A100": 1.5, "h100": 3.0, "h100:wide": 4.0})


def test_every_gpu_runs_every_type_that_it_has(found: Comparison) -> None:
    assert [entry.label for entry in found.entries if entry.totals] == [
        "a100 fp16", "a100:wide fp16", "h100 fp16", "h100 fp8", "h100:wide fp16", "h100:wide fp8",
    ]  # fmt: skip
    for entry in found.entries:
        if entry.totals and ":" not in entry.arch:
            assert entry.totals == stcsim.gemm(*SIZES, entry.arch, dtype=entry.dtype).totals


def test_a_type_that_a_gpu_lacks_is_a_line_that_says_so(found: Comparison) -> None:
    lacking = [entry for entry in found.entries if entry.totals is None]
    assert [entry.label for entry in lacking] == ["a100 fp8", "a100:wide fp8"]
    assert str(lacking[0].refused).startswith("a100: expected a type of its tensor cores")
    assert (lacking[0].time_us("best"), lacking[0].cost_per_million("best"), found.faster_than_first(lacking[0])) == (None,) * 3


def test_a_million_samples_cost_their_share_of_an_hour() -> None:
    (entry,) = side_by_side([work_of(network(batch=4))], [A100], {"a100": 3.6}).entries
    assert entry.totals is not None
    seconds = 1e6 / 4 * entry.totals.best_us * 1e-6
    assert entry.cost_per_million("best") == pytest.approx(3.6 * seconds / 3600)
    assert entry.cost_per_million("dense") == pytest.approx(3.6 * 1e6 / 4 * (entry.totals.dense_us or 0) * 1e-6 / 3600)


def test_a_variant_costs_what_its_gpu_does_unless_it_has_a_price(found: Comparison) -> None:
    prices = {entry.arch: entry.price_per_hour for entry in found.entries}
    assert prices == {"a100": 1.5, "a100:wide": 1.5, "h100": 3.0, "h100:wide": 4.0}


def test_others_are_held_against_the_first(found: Comparison) -> None:
    first, h100 = found.entries[0], next(entry for entry in found.entries if entry.label == "h100 fp16")
    assert found.first is first and found.faster_than_first(first) == 1
    assert first.totals is not None and h100.totals is not None
    assert found.faster_than_first(h100) == first.totals.best_us / h100.totals.best_us


def test_a_network_has_memory_and_a_gpu_that_is_too_small_says_so(ran: Callable[..., str]) -> None:
    tiny = stcsim.load_arch("a100", {"dram.capacity_gib": 0.006})
    (entry,) = side_by_side([work_of(network(batch=1, wide=2048))], [tiny]).entries
    assert (
        entry.memory is not None
        and entry.fits("dense") is False
        and entry.fits("best")
        is (
            entry.memory_bytes("best") <= entry.memory.capacity_bytes  # type: ignore[operator]
        )
    )
    assert "(does not fit)" in ran("compare", "resnet18", "--arch", "a100", "--set", "dram.capacity_gib=0.001")


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["h100"], "price: expected GPU=PRICE for an hour, e.g. h100=2.9, found 'h100'"),
        (["h100=cheap"], "price: expected GPU=PRICE for an hour, e.g. h100=2.9, found 'h100=cheap'"),
        (["h100=-1"], "price: expected GPU=PRICE for an hour, e.g. h100=2.9, found 'h100=-1'"),
        (["h100=1", "H100=2"], "price: expected each GPU once, found 'H100' twice"),
    ],
)
def test_what_is_no_price_is_refused(texts: list[str], sentence: str) -> None:
    with pytest.raises(StcsimError) as refusal:
        parse_prices(texts)
    assert str(refusal.value) == sentence


def test_what_cannot_stand_side_by_side_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: pytest.fail("a run began"))
    work = work_of(GEMM)
    with pytest.raises(StcsimError, match=r"^archs: expected each name once, found 'a100' twice$"):
        side_by_side([work], [A100, A100])
    with pytest.raises(StcsimError, match=r"^price: expected one of a100, found 'a1000' \(did you mean 'a100'\?\)$"):
        side_by_side([work], [A100], {"a1000": 1.0})
    with pytest.raises(StcsimError, match=r"^price a100: expected a price of 0 or more, found nan$"):
        side_by_side([work], [A100], {"a100": math.nan})
    with pytest.raises(StcsimError, match=r"^archs: expected a GPU with fp8, found a100, t4$"):
        side_by_side([work_of(GEMM, "fp8")], [A100, T4])


def test_all_forms_have_the_same_figures(ran: Callable[..., str], tmp_path: Path) -> None:
    command = ("compare", GEMM, "--arch", "a100,t4", "--dtype", "fp16,int8", "--price", "a100=1.5")
    document = json.loads(ran(*command, "--json", "-", "--figure", tmp_path / "bars.svg"))
    assert document["schema"] == "stcsim/compare-1" and document["first"] == "a100 fp16"
    assert document["inputs"]["prices"] == {"a100": 1.5} and list(document["inputs"]["archs"]) == ["a100", "t4"]
    lines = list(csv.DictReader(ran(*command, "--csv", "-").splitlines()))
    for line, entry in zip(lines, document["entries"], strict=True):
        assert float(line["totals.best_us"]) == entry["totals"]["best_us"]
        assert line["best_cost_per_million"] == (
            "" if entry["best_cost_per_million"] is None else str(entry["best_cost_per_million"])
        )
    drawn = (tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert all(label in drawn for label in ("a100 fp16", "t4 int8", "cost of a million samples", "all 2:4"))


def test_gpus_without_sparsity_have_no_panel_of_speedups(ran: Callable[..., str], tmp_path: Path) -> None:
    printed = ran("compare", GEMM, "--arch", "t4", "--figure", tmp_path / "t4.svg")
    assert "speedup" not in printed and "speedup" not in (tmp_path / "t4.svg").read_text(encoding="utf-8")


# --- two saved results


@pytest.fixture(scope="module")
def changed() -> Difference:
    """A GPU with more L2 bandwidth and memory, a larger batch, another library."""
    old = stcsim.run(network(), A100)
    new = stcsim.run(network(batch=8), stcsim.load_arch("a100", {L2: "x2", "dram.capacity_gib": 96}), library="none")
    return difference_of(old, new, ("old.json", "new.json"))


def test_everything_that_differs_is_named(changed: Difference) -> None:
    named = [(change.kind, change.what) for change in changed.changes]
    assert named == [("gpu", L2), ("gpu", "dram.capacity_gib"), ("work", "batch"), ("option", "library")]
    l2, capacity, batch, library = changed.changes
    assert l2.source.startswith("assumed: --set x2 of ") and capacity.after == "96 GiB"
    assert (batch.before, batch.after, library.before, library.after) == ("1", "8", "cusparselt", "none")


def test_each_change_is_a_run_and_together_they_are_the_whole(changed: Difference) -> None:
    again, l2, capacity, batch, library, saved = changed.steps
    assert again.before == again.after == changed.old.totals and not again.moves
    assert l2.after == stcsim.run(network(), stcsim.load_arch("a100", {L2: "x2"})).totals
    assert batch.moves and batch.before == capacity.after
    assert library.after == saved.after == changed.new.totals and not saved.moves
    product = math.prod(1 + (step.share("best_us") or 0.0) for step in changed.steps)
    assert product == pytest.approx(1 + (changed.whole.share("best_us") or 0.0))


def test_layers_whose_times_differ_are_named_alike_ones_together(changed: Difference) -> None:
    before, after = (sum(row.count * row.chosen.time_us for row in run.rows) for run in (changed.old, changed.new))
    assert sum(layer.before_us or 0 for layer in changed.layers) == pytest.approx(before)
    assert sum(layer.after_us or 0 for layer in changed.layers) == pytest.approx(after)
    assert sum(layer.layers for layer in changed.layers) == 2


def test_nothing_differs_between_a_result_and_itself(tmp_path: Path) -> None:
    run = stcsim.gemm(*SIZES, "a100")
    same = difference_of(run, run)
    assert same.changes == () and not any(step.moves for step in same.steps) and same.layers == ()
    with pytest.raises(StcsimError, match=r"^--figure: expected two results that differ, found the same figures in both$"):
        write_difference_figure(same, tmp_path / "none.svg")


def test_another_die_is_one_change_and_a_gemm_has_its_sizes() -> None:
    found = difference_of(stcsim.gemm(*SIZES, "a100"), stcsim.gemm(2048, 512, 768, "h100", dtype="fp8"))
    assert [stop.what for stop in found.stops[2:4]] == ["a100 → h100", "m 1024 → 2048"]
    assert ("work", "m") in {(change.kind, change.what) for change in found.changes}
    assert found.stops[-2].totals == found.new.totals


def test_what_only_fits_together_is_changed_together() -> None:
    """The shared memory of an SM may not be smaller than that of a CTA, so the two go down at once."""
    small = stcsim.load_arch("a100", {"shared_memory.capacity_kib": 100, "shared_memory.max_per_cta_kib": 99})
    found = difference_of(stcsim.gemm(*SIZES, "a100"), stcsim.gemm(*SIZES, small))
    assert found.stops[2].what == "shared_memory.capacity_kib 164 → 100, shared_memory.max_per_cta_kib 163 → 99"
    assert found.stops[2].totals == found.new.totals


def test_gpcs_go_with_their_sms() -> None:
    found = difference_of(stcsim.gemm(*SIZES, "a100"), stcsim.gemm(*SIZES, stcsim.load_arch("a100", {"sm.count": 60})))
    assert [stop.what for stop in found.stops[2:-1]] == ["sm.count 108 → 60"]
    assert [change.what for change in found.changes] == ["sm.count", "sm.sms_per_gpc"]
    assert found.stops[2].totals == found.new.totals


def test_many_leaves_of_one_die_are_changed_section_by_section() -> None:
    sections = ("power", "kernel", "launch")
    numbers = [leaf for leaf in A100.leaves() if leaf.path.startswith(sections) and isinstance(leaf.value, float) and leaf.value]
    many = {leaf.path: "x1.01" for leaf in numbers}
    assert len(many) > 16
    found = difference_of(stcsim.gemm(*SIZES, "a100"), stcsim.gemm(*SIZES, stcsim.load_arch("a100", many)))
    launch, kernel, power = (stop.what for stop in found.stops[2:-1])
    assert launch.startswith("launch.stream_us ") and kernel.endswith(" numbers of kernel") and power.endswith(" of power")
    assert found.stops[-2].totals == found.new.totals


def test_a_result_of_another_version_says_so_and_what_the_model_does(changed: Difference) -> None:
    older = replace(
        changed.old, inputs={**changed.old.inputs, "version": "0.0.9"}, totals=replace(changed.old.totals, best_us=1.0)
    )
    found = difference_of(older, changed.new)
    assert found.changes[0].kind == "version" and found.changes[0].before == "0.0.9"
    assert found.stops[1].what == f"stcsim 0.0.9 → {stcsim.__version__}" and found.steps[0].moves


def test_a_network_is_not_held_against_a_gemm(changed: Difference) -> None:
    with pytest.raises(StcsimError, match=r"^old new: expected two results of networks, or two of GEMMs, found one of each$"):
        difference_of(changed.old, stcsim.gemm(*SIZES, "a100"))


@pytest.fixture
def files(changed: Difference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    changed.old.save("old.json")
    changed.new.save("new.json")
    return tmp_path


def test_two_saved_results_are_explained_in_every_form(files: Path, ran: Callable[..., str], changed: Difference) -> None:
    command = ("compare", "old.json", "new.json")
    document = json.loads(ran(*command, "--json", "-", "--figure", "why.svg"))
    assert document["schema"] == "stcsim/difference-1" and document["inputs"]["new"]["library"] == "none"
    assert [stop["best_us"] for stop in document["stops"]] == [stop.totals.best_us for stop in changed.stops]
    lines = list(csv.DictReader(ran(*command, "--csv", "-").splitlines()))
    assert [line["what"] for line in lines] == [stop["what"] for stop in document["stops"]]
    printed = ran(*command)
    assert "batch 1 → 8" in printed and "without effect: " in printed and f"{L2} " in printed
    assert "all together" in (files / "why.svg").read_text(encoding="utf-8")


def test_saved_results_stand_side_by_side_where_there_are_more_or_prices(files: Path, ran: Callable[..., str]) -> None:
    RunResult.load("old.json").save("third.json")
    document = json.loads(ran("compare", "old.json", "new.json", "third.json", "--json", "-"))
    assert [entry["label"] for entry in document["entries"]] == ["old.json", "new.json", "third.json"]
    priced = json.loads(ran("compare", "old.json", "new.json", "--price", "a100=2", "--json", "-"))
    assert all(entry["best_cost_per_million"] > 0 for entry in priced["entries"])


def test_what_cannot_be_compared_is_refused_in_one_sentence(files: Path, refused: Callable[..., str]) -> None:
    neither = "--arch: expected GPUs to simulate a trace on, or several saved results to compare, found neither"
    assert refused("compare", "old.json") == neither
    assert (
        refused("compare", "old.json", "none.json")
        == "none.json: expected a file that can be read, found No such file or directory"
    )
    assert refused("compare", "old.json", "old.json") == "command line: expected each result once, found 'old.json' twice"
    assert refused("compare", "old.json", "new.json", "--dtype", "int8").startswith(
        "--dtype: expected GPUs to simulate on (--arch)"
    )
    assert refused("compare", "resnet18", "vgg16", "--arch", "a100").startswith("--arch: expected one trace or GEMM, which runs")
    (files / "other.json").write_text('{"schema": "stcsim/curve-1"}', encoding="utf-8")
    assert refused("compare", "old.json", "other.json").startswith("other.json: schema: expected 'stcsim/run-1'")
