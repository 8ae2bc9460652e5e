"""Does the command line take sizes and names as people write them, and do its errors speak of options?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.check.result import CheckReport


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch, called: dict[str, object]) -> Callable[..., object]:
    """The sizes that a GEMM is simulated with; what the command prints is let go."""

    def run(*arguments: object) -> object:
        with pytest.raises(SystemExit):
            cli.main([str(argument) for argument in arguments])
        return called.pop("trace")

    return run


@pytest.mark.parametrize("words", [("128", "64", "32"), ("128x64x32",), ("128X64x32",), ("128×64×32",)])
def test_sizes_are_three_words_or_one(words: tuple[str, ...], sizes: Callable[..., object]) -> None:
    assert sizes("gemm", *words, "--arch", "a100") == (128, 64, 32)
    assert sizes("gemm", "--arch", "A100", *words, "--dtype", "int8") == (128, 64, 32)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("16", "sixteen", "16"), "n: expected a whole number above 0, found 'sixteen'"),
        (("16", "16", "1.5"), "k: expected a whole number above 0, found '1.5'"),
        (("9" * 5000, "16", "16"), "m: expected a whole number above 0, found '99999"),
        (("4096x0x4096",), "n: expected a whole number above 0, found 0"),
    ],
)
@pytest.mark.parametrize("command", ["gemm", "explain"])
def test_what_is_no_size_is_refused(command: str, words: tuple[str, ...], sentence: str, refused: Callable[..., str]) -> None:
    assert refused(command, *words, "--arch", "a100").startswith(sentence)


@pytest.mark.parametrize("gemm", [("32", "16", "64"), ("32x16x64",)])
def test_gemms_to_check_are_three_words_or_one(gemm: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def check(trace: object, *_: object, **__: object) -> CheckReport:
        seen.append(trace)
        raise KeyboardInterrupt

    monkeypatch.setattr("stcsim.check.check", check)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        cli.main(["check", "--gemm", *gemm])
    (trace,) = seen
    assert (trace.ops[0].m, trace.ops[0].n, trace.ops[0].k) == (32, 16, 64)  # type: ignore[attr-defined]


@pytest.mark.parametrize("gemm", [("64", "64", "k"), ("64x64xk",), ("64", "64", "K")])
def test_gemms_of_a_curve_are_three_words_or_one(gemm: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["curve", "--gemm", *gemm, "--over", "k=64", "--arch", "a100", "--json", "-"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["of"] == "64×64×k"


def test_a_gemm_to_check_has_three_sizes(refused: Callable[..., str]) -> None:
    message = "--gemm: expected three sizes with an x between, e.g. 256x256x256, found '64x64xk'"
    assert refused("check", "--gemm", 64, 64, "k") == message


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "toy.json", "--arch", "A1000"), "--arch: expected one of a10, "),
        (("run", "toy.json", "--arch", "a100", "--kernel", "foo"), "--kernel: expected a dense kernel of sm80, such as "),
        (("run", "toy.json", "--arch", "h100", "--kernel", "heuristic"), "--kernel: expected search, or the name of a kernel, "),
        (("run", "toy.json", "--arch", "a100", "--sparsity", "1:4"), "--sparsity: expected both, dense or 2:4, which a100 runs"),
        (("run", "toy.json", "--arch", "a100", "--sparsity", "2:5"), "--sparsity: expected one of both, dense, 2:4, found '2:5'"),
        (("run", "toy.json", "--arch", "a100", "--engine", "quick"), "--engine: expected one of fast, reference, found 'quick'"),
        (("run", "toy.json", "--arch", "a100", "--set", "l2=1"), "--set l2: expected the dotted path of one value"),
        (("run", "toy.json", "--arch", "a100", "--batch", "0"), "toy: batch: expected a whole number above 0, found 0"),
        (("run", "toy.json", "--arch", "a100", "--input", "x=1"), "--input: expected an ONNX model, of which they fix axes"),
        (("gemm", "64", "64", "64", "--arch", "a100", "--out-dtype", "int9"), "--out-dtype: expected one of fp32, "),
        (
            ("curve", "toy.json", "--arch", "a100,a100", "--over", "batch=1"),
            "--arch: expected each name once, found ",
        ),
        (("curve", "toy.json", "--arch", "a100", "--over", "bath=1"), "--over: expected one of batch, "),
        (("validate", "nowhere.csv"), "nowhere.csv: expected a CSV file or a folder of them, found no such file"),
        (("mma", "mma.m16n8k16.f32.f16.f16.f32", "--arch", "a1000"), "--arch: expected one of sm_70, "),
        (("mma", "mma.m16n8k16.f32.f16.f16.f32", "--row", "16"), "--row of D: expected 0 to 15 in "),
        (("accuracy", "build", ".", "-o", "x.json", "--fitted", "b200"), "--fitted: expected names of GPUs with commas between"),
        (("arch", "a1000"), "arch: expected one of a10, "),
    ],
)
def test_an_argument_is_called_by_its_option(
    arguments: tuple[str, ...], sentence: str, toy: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy.parent)
    assert refused(*arguments).startswith(sentence)


def test_a_file_that_is_called_like_an_option_stays_a_file(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_text("hello", encoding="utf-8")
    assert refused("run", "batch", "--arch", "a100").startswith("batch: expected JSON, found ")


def test_layers_are_named_in_one_dialect(toy: Path, refused: Callable[..., str]) -> None:
    expected = "a layer's name or number, a pattern such as '*.fc*', a range such as 2-5, first or last"
    for command, option in (("run", "--keep-dense"), ("check", "--layers")):
        sentence = refused(command, toy, "--arch", "a100", option, "2")
        assert sentence == f"{option}: expected {expected}, found '2', which no layer has"


def test_help_lists_commands_by_use_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    printed = capsys.readouterr().out
    places = [printed.index(f"│ {name} ") for name in ("run", "gemm", "explain", "arch", "kernels", "check", "validate")]
    assert places == sorted(places) and "stcsim run resnet34 --arch a100" in printed
