"""What a user may feed a network with and how it is built: --input, --arg, models of transformers by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stcsim import cli
from stcsim.capture import capture
from stcsim.capture.tensors import TensorShape, common_batch, read_shapes, with_batch_first
from stcsim.errors import TraceError
from stcsim.trace import Gemm, Trace, load_trace
from tests.unit.made import captured

# --- the words of a user


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("1x3x224x224", TensorShape("", (1, 3, 224, 224))),
        ("ids=1x128:int64", TensorShape("ids", (1, 128), "int64")),
        ("table=77xBx64:bfloat16", TensorShape("table", (77, 0, 64), "bfloat16")),
        ("4", TensorShape("", (4,))),
    ],
)
def test_an_input_in_words(word: str, shape: TensorShape) -> None:
    assert read_shapes("here", [word]) == [shape]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["3x"], "here: input: expected [NAME=]SIZES[:TYPE], such as 1x3x224x224 or ids=1x128:int64, found '3x'"),
        (["1x0x3"], "here: input: expected [NAME=]SIZES[:TYPE], such as 1x3x224x224 or ids=1x128:int64, found '1x0x3'"),
        (["a-b=3"], "here: input: expected [NAME=]SIZES[:TYPE], such as 1x3x224x224 or ids=1x128:int64, found 'a-b=3'"),
        (
            ["1x3:int46"],
            "here: input: expected one of float32, float16, bfloat16, int64, int32, int8, uint8, bool, "
            "found 'int46' (did you mean 'int64'?)",
        ),
        (["a=1", "a=2"], "here: input: expected each name once, found a, a"),
    ],
)
def test_an_input_that_cannot_be(words: Sequence[str], sentence: str) -> None:
    with pytest.raises(TraceError) as refused:
        read_shapes("here", words)
    assert str(refused.value) == sentence


def test_the_batch_is_the_first_size_or_the_one_that_is_said() -> None:
    firsts = read_shapes("here", ["2x3", "ids=2x5:int64"])
    assert common_batch("here", firsts, None) == common_batch("here", firsts, 2) == 2
    assert [shape.at(7) for shape in with_batch_first(firsts)] == [(7, 3), (7, 5)]
    said = read_shapes("here", ["Bx3", "table=77x64"])
    assert common_batch("here", said, None) is None and common_batch("here", said, 4) == 4
    assert [shape.at(7) for shape in with_batch_first(said)] == [(7, 3), (77, 64)]


@pytest.mark.parametrize(("words", "batch", "found"), [(["2x3", "4x5"], None, "2 and 4"), (["2x3"], 3, "2 and 3")])
def test_two_batches(words: list[str], batch: int | None, found: str) -> None:
    with pytest.raises(TraceError, match=f"one batch, the first size of every input .*, found {found}"):
        common_batch("here", read_shapes("here", words), batch)


# --- networks of users

REASON = "the model code is not installed (pip install stcsim[torch])"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
nn = torch.nn


class TwoInputs(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Rows picked by ids, and what is given beside them."""

    def __init__(self, width: int = 8, *, bias: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(50, width)
        self.layer = nn.Linear(width, 4, bias)

    def forward(self, ids: Any, scale: Any) -> Any:
        return self.layer(self.table(ids) * scale)


def gemms(trace: Trace) -> list[tuple[int, int, int, str | None]]:
    return [(op.m, op.n, op.k, op.scales_with_batch) for op in trace.ops if isinstance(op, Gemm)]


def test_inputs_by_name_and_in_order() -> None:
    for words in (["ids=2x5:int64", "scale=2x5x8"], ["scale=2x5x8", "ids=2x5:int64"], ["2x5:int64", "2x5x8"]):
        trace = captured(TwoInputs(), inputs=words)
        assert (gemms(trace), trace.batch, trace.rescalable) == ([(4, 10, 8, "n")], 2, True)
    assert trace.input_shape == {"input 0": 5, "input 1 0": 5, "input 1 1": 8}
    named = captured(TwoInputs(), inputs=["ids=2x5:int64", "scale=2x5x8"])
    assert named.input_shape == {"ids": 5, "scale 0": 5, "scale 1": 8}


def test_an_input_without_a_batch() -> None:
    trace = captured(TwoInputs(), inputs=["Bx5:int64", "5x8"], batch=3)
    assert (gemms(trace), trace.batch) == ([(4, 15, 8, "n")], 3)
    assert trace.ops[1].model_dump()["constant_elements"] == 40


def test_one_input_is_a_plain_shape() -> None:
    trace = captured(nn.Conv2d(3, 8, 3), inputs=["2x3x9x9"])
    assert (trace.input_shape, trace.batch, trace.title.rpartition(", ")[2]) == ((3, 9, 9), 2, "3x9x9")


def test_arguments_of_a_factory() -> None:
    trace = capture(f"{__name__}:TwoInputs", inputs=["1x5:int64", "1x5x16"], arguments={"width": 16, "bias": True})
    assert gemms(trace) == [(4, 5, 16, "n")] and trace.source.notes == "width = 16, bias = True"


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("resnet34", {"inputs": ["1x3x8x8"]}, "inputs of resnet34: expected module:factory or transformers:model, found"),
        ("resnet34", {"arguments": {"a": 1}}, "arguments of resnet34: expected module:factory or transformers:model, found"),
        (
            f"{__name__}:TwoInputs",
            {"inputs": ["1x8"], "arguments": {"wide": 1}},
            "expected a network that can be built, found TypeError: .*unexpected keyword argument 'wide'",
        ),
        (f"{__name__}:TwoInputs", {"inputs": ["1x8"]}, "found TypeError: .*missing 1 required positional argument: 'scale'"),
        (
            f"{__name__}:built",
            {"inputs": ["1x8"], "arguments": {"a": 1}},
            "arguments of .*: expected a callable that takes arguments, found",
        ),
        (f"{__name__}:ReadsValues", {"inputs": ["1x8"]}, r"found RuntimeError: .* at aten\._local_scalar_dense in inner$"),
    ],
)
def test_a_network_that_cannot_be_fed(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TraceError, match=sentence):
        capture(name, **options)


built = nn.Linear(8, 4)


class Inner(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Branches on a value."""

    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


class ReadsValues(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A product, and a module that looks at a value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.inner = nn.Linear(8, 4), Inner()

    def forward(self, x: Any) -> Any:
        return self.inner(self.layer(x))


# --- models of transformers


def test_a_model_type() -> None:
    trace = capture("transformers:gpt2", arguments={"n_layer": 1, "n_embd": 48, "n_head": 4, "vocab_size": 100})
    assert trace.source.model == "GPT2LMHeadModel" and trace.input_shape == {"tokens": 128} and trace.name == "gpt2"
    assert gemms(trace)[0] == (144, 128, 48, "n") and gemms(trace)[-1] == (100, 128, 48, "n")
    assert trace.source.notes == "n_layer = 1, n_embd = 48, n_head = 4, vocab_size = 100"


def test_an_encoder_that_could_also_guess_words_is_an_encoder() -> None:
    assert capture("transformers:bert", arguments={"num_hidden_layers": 1}).source.model == "BertModel"


def test_a_class_with_other_lengths_and_batch() -> None:
    trace = capture("transformers:BertForMaskedLM", 3, (16,), arguments={"num_hidden_layers": 1})
    assert (trace.batch, trace.input_shape, trace.title) == (3, {"tokens": 16}, "BertForMaskedLM, 16 tokens")


def test_an_image_classifier_is_fed_with_its_image() -> None:
    trace = capture("transformers:vit", arguments={"num_hidden_layers": 1, "image_size": 64})
    assert trace.input_shape == (3, 64, 64) and trace.title == "ViTForImageClassification, 3x64x64"


def test_an_encoder_with_a_decoder() -> None:
    small = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 64, "vocab_size": 100}
    trace = capture("transformers:bart", input_shape=(16,), arguments=small)
    assert trace.rescalable and len(gemms(trace)) == (4 + 2 + 2) + (8 + 4 + 2) + 1


def test_a_configuration_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100}
    path.write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaModel"], "num_hidden_layers": 3, **sizes}))
    trace = capture(f"transformers:{path}", input_shape=(16,), arguments={"num_hidden_layers": 1})
    assert trace.source.model == "LlamaModel" and len(gemms(trace)) == 4 + 2 + 3


def test_inputs_of_several_kinds() -> None:
    small = {"text_config.num_hidden_layers": 1, "vision_config.num_hidden_layers": 1}
    inputs = ["input_ids=2x16:int64", "pixel_values=2x3x224x224"]
    trace = capture("transformers:CLIPModel", arguments=small, inputs=inputs)
    assert trace.batch == 2 and sum("encoder.layers.1" in op.name for op in trace.ops) == 0


def test_experts_share_the_tokens() -> None:
    sizes = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96, "num_local_experts": 4, "vocab_size": 100}
    trace = capture("transformers:mixtral", input_shape=(16,), arguments=sizes)
    experts = [op for op in trace.ops if isinstance(op, Gemm) and op.batch == 4]
    assert [(op.m, op.n, op.k) for op in experts] == [(192, 8, 64), (64, 8, 96)]  # 16 tokens x 2 of 4 experts
    assert trace.rescalable and not trace.source.unhandled


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        ("gtp2", {}, r"expected a model type of transformers such as gpt2, .*, found 'gtp2' \(did you mean 'gpt2'\?\)"),
        (
            "gpt2",
            {"arguments": {"n_layers": 1}},
            r"arguments of transformers:gpt2: expected a field of GPT2Config, found 'n_layers' \(did you mean 'n_layer'",
        ),
        ("gpt2", {"arguments": {"n_layer": "two"}}, "expected a configuration that GPT2Config takes, found"),
        ("nowhere/config.json", {}, "expected a configuration that can be read, found No such file or directory"),
        (
            "speech_to_text",
            {},
            "input: expected the shape of input_features, such as input_features=1x… among the inputs, found none",
        ),
        ("gpt2", {"input_shape": (1, 2)}, r"input: expected 1 numbers \(tokens\), found 1x2"),
    ],
)
def test_a_model_that_cannot_be(model: str, options: dict[str, Any], sentence: str) -> None:
    place = "" if sentence.startswith("arguments") else f"capture transformers:{model}: "
    with pytest.raises(TraceError, match=f"^{place}{sentence}"):
        capture(f"transformers:{model}", **options)


# --- the command


def run(*arguments: object) -> object:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_takes_arguments_and_inputs(tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    options = ("--arg", "width=16", "--arg", "bias=False", "--input", "ids=2x5:int64", "--input", "scale=2x5x16")
    assert run("capture", f"{__name__}:TwoInputs", *options, "-o", out) == 0
    trace = load_trace(out)
    assert gemms(trace) == [(4, 10, 16, "n")] and trace.source.notes == "width = 16, bias = False"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--arg", "width"), "--arg: expected NAME=VALUE, each name once, e.g. num_hidden_layers=2, found 'width'"),
        (("--arg", "a=1", "--arg", "a=2"), "--arg: expected NAME=VALUE, each name once, e.g. num_hidden_layers=2, found 'a=2'"),
        (("--input", "1x8", "--shape", "8"), "--shape: expected either it or --input, which says the same and more, found both"),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], sentence: str
) -> None:
    assert run("capture", f"{__name__}:TwoInputs", *options, "-o", tmp_path / "t.json") == 2
    assert capsys.readouterr().err == f"stcsim: {sentence}\n" and not list(tmp_path.iterdir())
