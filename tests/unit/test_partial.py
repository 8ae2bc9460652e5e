"""Does a total that lacks work say so: in one sentence, in every form of a result, and with --strict by an exit code?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim.cli import entry
from stcsim.partial import Partial
from stcsim.report.trust import plain_words
from stcsim.result import RunResult
from stcsim.study.curve import sweep
from stcsim.study.roofline import roofline_of
from stcsim.trace import Trace, load_trace
from tests.unit.small_networks import residual_block

MISSING = ("net.loop: Loop of MatMul", "net.a: Einsum (3 operands)", "net.b: Einsum", "strange: name: aten._cdist_forward")


def lacking(macs: int = 0, unhandled: tuple[str, ...] = MISSING[:1], unsized: tuple[str, ...] = ()) -> Trace:
    """Return a small network of which something is missing."""
    whole = residual_block().changed(rescalable=True)
    source = whole.source.changed(unhandled=unhandled, unhandled_macs=macs, unsized=unsized)
    return whole.changed(source=source)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A call that must print one sentence, nothing else, and exit with 2; returns the sentence."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            entry.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert stop.value.code == 2 and printed.out == "" and printed.err.count("\n") == 1
        return printed.err.removeprefix("stcsim: ").rstrip("\n")

    return call


@pytest.mark.parametrize(
    ("partial", "sentence"),
    [
        (Partial(MISSING[:1]), "partial: an unknown share of the products is missing: Loop ×1"),
        (
            Partial(MISSING, (), 0.899),
            "partial: at least 89 % of the products are missing: Einsum ×2, Loop ×1, aten._cdist_forward ×1",
        ),
        (Partial(MISSING[:1], (), 0.004), "partial: an unknown share of the products is missing: Loop ×1"),
        (Partial(MISSING[:1], (), 0.99999), "partial: at least 99 % of the products are missing: Loop ×1"),
        (Partial((), ("a: NonZero", "b: NonZero")), "partial: steps of unknown size are left out: NonZero ×2"),
        (
            Partial(MISSING[:1], ("a: Resize",)),
            "partial: an unknown share of the products is missing: Loop ×1; steps of unknown size are left out: Resize ×1",
        ),
        (
            Partial(tuple(f"x: Op{at}" for at in range(7))),
            "partial: an unknown share of the products is missing: Op0 ×1, Op1 ×1, Op2 ×1, Op3 ×1, Op4 ×1 and 2 more kinds",
        ),
    ],
)
def test_what_is_missing_is_one_sentence(partial: Partial, sentence: str) -> None:
    assert partial.sentence == sentence


def test_a_share_is_said_only_where_shapes_bound_it() -> None:
    whole, macs = residual_block(), residual_block().macs
    assert whole.partial is None
    some, bounded = lacking().partial, lacking(3 * macs).partial
    assert some is not None and some.least_share is None and bounded is not None and bounded.least_share == 0.75


def test_at_another_batch_at_least_stays_true() -> None:
    trace = lacking(3 * residual_block().macs)
    twice = trace.with_batch(2 * trace.batch)
    larger, smaller, missing = twice.partial, twice.with_batch(trace.batch).partial, trace.source.unhandled_macs
    assert larger is not None and larger.least_share == missing / (missing + twice.macs)
    assert smaller is not None and smaller.least_share is None


def test_a_whole_trace_is_written_as_before() -> None:
    trace = load_trace("resnet34")
    assert not {"unhandled_macs", "unsized", "fixed_batch"} & trace.model_dump()["source"].keys()
    assert trace.sha256 == "76576993de835a3f13c926567039125bd5ebb48544a46a0b0df855323ba936dd"
    assert Trace(**json.loads(lacking(7, unsized=("a: B",)).to_json())) == lacking(7, unsized=("a: B",))


def test_a_result_says_it_in_every_form(tmp_path: Path) -> None:
    result = stcsim.run(lacking(residual_block().macs), "a100")
    sentence = "partial: at least 50 % of the products are missing: Loop ×1"
    assert result.partial is not None and result.partial.sentence == sentence
    assert repr(result).endswith(", partial)")
    assert result.to_dict()["partial"] == {"products": [MISSING[0]], "steps": [], "least_share": 0.5}
    assert {line["partial"] for line in result.lines()} == {sentence}
    result.save(tmp_path / "run.json")
    assert RunResult.load(tmp_path / "run.json") == result and stcsim.rerun(result.inputs) == result


def test_the_verdict_is_not_certain_of_a_part_of_a_network() -> None:
    result = stcsim.run(lacking(), "a100")
    assert result.trust is not None and result.trust.verdict == "cannot tell"
    said = plain_words(result)[0].text
    assert str(said).startswith("Whether 2:4 pays cannot be told of a part of the network: what was read of ")


def test_run_says_it_on_stderr_and_in_the_panel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacking().save(tmp_path / "net.json")
    with pytest.raises(SystemExit) as stop:
        entry.main(["run", str(tmp_path / "net.json"), "--arch", "a100", "--csv", str(tmp_path / "net.csv")])
    printed, sentence = capsys.readouterr(), "partial: an unknown share of the products is missing: Loop ×1"
    assert stop.value.code == 0 and sentence in printed.out and f"{lacking().name} is {sentence}\n" in printed.err
    table = list(csv.DictReader(io.StringIO((tmp_path / "net.csv").read_text(encoding="utf-8"))))
    assert table[0]["partial"] == sentence


STRICT = [
    ("run",),
    ("roofline",),
    ("curve", "--over", "batch=1,2"),
    ("compare",),
    ("sensitivity",),
    ("whatif", "--target", "speedup >= 2", "--vary", "l2"),
]


@pytest.mark.parametrize("command", STRICT, ids=lambda words: words[0])
def test_strict_refuses_a_part_of_a_network(command: tuple[str, ...], tmp_path: Path, refused: Callable[..., str]) -> None:
    lacking(unhandled=(), unsized=("a: Resize",)).save(tmp_path / "net.json")
    sentence = refused(command[0], tmp_path / "net.json", "--arch", "a100", "--strict", *command[1:])
    lacks = "partial: steps of unknown size are left out: Resize ×1"
    assert sentence == f"{lacking().name}: strict: expected a network of which nothing is missing, found {lacks}"


def test_curves_and_rooflines_carry_it() -> None:
    from stcsim.report.export import curve, roofline

    found, sentence = sweep(lacking(), "batch=1,2", "a100"), "partial: an unknown share of the products is missing: Loop ×1"
    assert [line["partial"] for line in curve.row_lines(found)] == [sentence, sentence]
    placed = roofline_of(lacking(), "a100")
    assert (
        roofline.document(placed)["partial"]["products"] == [MISSING[0]] and roofline.row_lines(placed)[0]["partial"] == sentence
    )


def test_capture_says_what_is_missing_and_what_fixes_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "odd_net.py").write_text(ODD_NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["capture", "odd_net:Odd", "--input", "Bx8x16", "-o", "odd.json"]
    assert "expected a network of which nothing is missing" in refused(*words, "--strict") and not Path("odd.json").exists()
    with pytest.raises(SystemExit) as stop:
        entry.main(words)
    printed = capsys.readouterr()
    lacks = "Odd is partial: at least 50 % of the products are missing: aten.cdist ×1"
    assert stop.value.code == 0 and lacks in printed.err and lacks in printed.out
    assert "stcsim: Odd is right at batch 1 only: " in printed.err and "does not follow the batch" in printed.err
    assert "does not follow the batch" in refused("run", "odd.json", "--arch", "a100", "--batch", 4)


ODD_NET = """
import torch


class Odd(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 32)
        self.codes = torch.nn.Parameter(torch.zeros(32, 16))

    def forward(self, x):
        near = torch.cdist(x, self.codes.expand(x.shape[0], 32, 16), p=1.0)
        return self.layer(x), near, torch.cat([x, x[:1]]).mean(-1)
"""


@pytest.mark.parametrize("command", STRICT[3:], ids=lambda words: words[0])
def test_what_ifs_carry_it_in_every_form(command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacking().save(tmp_path / "net.json")
    sentence = "partial: an unknown share of the products is missing: Loop ×1"
    for form in ("table", "csv", "json"):
        with pytest.raises(SystemExit) as stop:
            entry.main([command[0], str(tmp_path / "net.json"), "--arch", "a100", *command[1:], "--format", form])
        printed = capsys.readouterr().out
        assert stop.value.code == 0 and (sentence in printed or '"partial": {' in printed)
