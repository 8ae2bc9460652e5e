"""Are open axes fixed as asked, does the batch follow, and is every bad file one clear sentence?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stcsim import cli
from stcsim.capture import open_trace
from stcsim.errors import TraceError
from stcsim.trace import Trace, load_trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from tests.unit.onnx_graphs import INT64, Shape, constant, convs, gemms, model, node, read, weight  # noqa: E402


def net(shape: Shape = ("batch", 3, 8, 8)) -> Any:
    return model([node("Conv", "x w", "h"), node("Relu", "h")], {"x": shape}, [weight("w", 5, 3, 3, 3)])


def tokens(shape: Shape = ("batch", "tokens")) -> Any:
    """A model of ids and a mask: the rows of a table, a layer, and the mask times that."""
    nodes = [node("Gather", "table ids", "rows"), node("MatMul", "rows w", "h"), node("Mul", "h mask")]
    tensors = [weight("table", 99, 8), weight("w", 8, 4)]
    return model(nodes, {"ids": shape, "mask": (*shape, 1)}, tensors, kinds={"ids": INT64})


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Trace]:
    return lambda made, *given, batch=None: read(tmp_path, made, *given, batch=batch)


# --- open axes


def test_a_dynamic_batch_is_fixed_and_followed(opened: Callable[..., Trace]) -> None:
    one, three = opened(net(), batch=1), opened(net(), batch=3)
    assert (one.batch, one.input_shape, one.title, one.rescalable) == (1, (3, 8, 8), "net, 3x8x8", True)
    assert one.with_batch(3) == three and convs(three)[0].batch == 3
    assert opened(net(), "x=2x3x8x8", batch=3) == three


def test_a_fixed_batch_is_followed_too(opened: Callable[..., Trace]) -> None:
    trace = opened(net((2, 3, 8, 8)))
    assert (trace.batch, trace.rescalable) == (2, True)
    assert opened(net((2, 3, 8, 8)), batch=3) == opened(net(), batch=3)


def test_a_symbol_fixed_once_is_fixed_everywhere(opened: Callable[..., Trace]) -> None:
    trace = opened(tokens(), "ids=2x7")
    assert (trace.batch, trace.input_shape, trace.title) == (2, {"tokens": 7}, "net, 7 tokens")
    assert gemms(trace) == [(4, 14, 8, 1, True, "n")] and opened(tokens(), "mask=2x7x1") == trace


def test_an_only_input_needs_no_name(opened: Callable[..., Trace]) -> None:
    assert opened(net(("batch", 3, "height", "width")), "2x3x10x12").input_shape == (3, 10, 12)


def test_axes_without_names_are_open_too(opened: Callable[..., Trace]) -> None:
    trace = opened(net((None, 3, None, None)), "x=2x3x10x12")
    assert (trace.batch, trace.input_shape) == (2, (3, 10, 12))


def test_the_batch_is_where_its_name_is(opened: Callable[..., Trace]) -> None:
    made = model([node("MatMul", "x w")], {"x": ("steps", "batch", 8)}, [weight("w", 8, 4)])
    trace = opened(made, "5x2x8")
    assert (trace.batch, trace.input_shape, gemms(trace)) == (2, (5, 8), [(4, 10, 8, 1, True, "n")])


def test_an_empty_cache(opened: Callable[..., Trace]) -> None:
    nodes = [node("Concat", "past x", "all", axis=1), node("MatMul", "all w")]
    made = model(nodes, {"past": ("batch", "cached", 8), "x": ("batch", 4, 8)}, [weight("w", 8, 4)])
    assert gemms(opened(made, "past=1x0x8")) == [(4, 4, 8, 1, True, "n")]
    assert gemms(opened(made, "past=1x6x8")) == [(4, 10, 8, 1, True, "n")]


def test_a_batch_written_into_a_reshape(opened: Callable[..., Trace]) -> None:
    made = model(
        [node("Reshape", "x s", "h"), node("MatMul", "h w")], {"x": (2, 3, 8)}, [constant("s", [6, 8]), weight("w", 8, 4)]
    )
    trace = opened(made)
    assert (gemms(trace), trace.rescalable) == ([(4, 6, 8, 1, True, None)], False)
    why = "the network does not take twice the batch: reshape: expected .* fit each other, found 4x3x8 to be reshaped to 6x8"
    with pytest.raises(TraceError, match=f"batch: expected 2 .{why}; export .*, found 4$"):
        opened(made, batch=4)


def test_shapes_are_computed_from_shapes(opened: Callable[..., Trace]) -> None:
    """The batch goes through Shape, Gather, Mul and Concat into a Reshape, as exporters write it."""
    nodes = [
        node("Shape", "x", "all"),
        node("Gather", "all zero", "batch"),
        node("Gather", "all one", "rows"),
        node("Mul", "batch rows", "both"),
        node("Concat", "both minus", "wanted", axis=0),
        node("Reshape", "x wanted", "h"),
        node("MatMul", "h w"),
    ]
    sizes = [constant("zero", [0]), constant("one", [1]), constant("minus", [-1])]
    trace = opened(model(nodes, {"x": ("batch", 3, 2, 4)}, [*sizes, weight("w", 8, 4)]), batch=2)
    assert gemms(trace) == [(4, 6, 8, 1, True, "n")] and trace.rescalable


def test_functions_of_the_file_itself_are_inlined(opened: Callable[..., Trace]) -> None:
    made = model([node("mine.Twice", "x w")], {"x": (2, 8)}, [weight("w", 8, 8)])
    body = [node("MatMul", "a b", "c", name="first"), node("MatMul", "c b", "d", name="second")]
    opsets = [onnx.helper.make_opsetid("", 20)]
    made.functions.append(onnx.helper.make_function("mine", "Twice", ["a", "b"], ["d"], body, opsets))
    assert gemms(opened(made)) == [(8, 2, 8, 1, True, "n")] * 2


# --- bad input, one sentence each

GIVEN = [
    ((), "input 'ids': expected a size for every axis .give e.g. the input ids=1x128., found dynamic axes 0 .batch., 1 .tokens."),
    (("ids=2x0x3",), "inputs ids=2x0x3: expected 2 axes .batchxtokens., found 3"),
    (("ids=2xseven",), "inputs ids=2xseven: expected sizes with an x between, such as 1x3x224x224, found '2xseven'"),
    (("ids=2x-7",), "inputs ids=2x-7: expected sizes with an x between, .*, found '2x-7'"),
    (("2x7",), "inputs 2x7: expected NAME=SIZES for an input of the file .ids, mask., found no name"),
    (("idz=2x7",), "inputs idz=2x7: expected NAME=SIZES for .*, found 'idz' .did you mean 'ids'.."),
    (("ids=2x7", "mask=3x7x1"), "inputs mask=3x7x1: expected 2 on axis 0, as for 'batch' elsewhere, found 3"),
    (("mask=2x7x5",), "inputs mask=2x7x5: expected 1 on axis 2, as the file has it fixed, found 5"),
    (("ids=0x7",), "batch: expected a whole number above 0, found 0"),
]


@pytest.mark.parametrize(("given", "sentence"), GIVEN, ids=[" ".join(given) or "nothing" for given, _ in GIVEN])
def test_inputs_that_do_not_fit(opened: Callable[..., Trace], given: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(TraceError, match=f"net.onnx: {sentence}$"):
        opened(tokens(), *given)


def test_a_dynamic_batch_that_is_not_given(opened: Callable[..., Trace]) -> None:
    expected = r"a size for every axis \(give batch 1, or e.g. the input x=1x3x8x8\), found dynamic axis 0 \(batch\)$"
    with pytest.raises(TraceError, match=expected):
        opened(net())


BROKEN = {
    "shapes": (
        model([node("MatMul", "x w", name="a/b")], {"x": (2, 9)}, [weight("w", 8, 4)]),
        "a.b: expected inputs whose shapes and types fit each other, found Incompatible dimensions for matrix multiplication",
    ),
    "reshape": (
        model([node("Reshape", "x s", name="r"), node("MatMul", "y w", "z")], {"x": (2, 9)}, [constant("s", [4, 4])]),
        "r: expected inputs whose shapes and types fit each other, found 2x9 to be reshaped to 4x4",
    ),
    "image smaller than the filter": (
        model([node("Conv", "x w")], {"x": (2, 3, 2, 8)}, [weight("w", 5, 3, 3, 3)]),
        "conv2d 'conv': expected an image at least as large as the filter, found an empty output .*",
    ),
    "no product": (
        model([node("Relu", "x")], {"x": (2, 9)}),
        "operators: expected at least one matrix product or convolution, found none",
    ),
    "no product that is read": (
        model([node("my.Conv", "x", name="c")], {"x": (2, 9)}),
        r"operators: expected at least one matrix product or convolution, found none \(not handled: c: my.Conv\)",
    ),
    "no rank": (
        model([node("Relu", "x")], {"x": None}),  # type: ignore[dict-item, unused-ignore]
        "input 'x': expected a tensor with a known number of axes, found none",
    ),
}


@pytest.mark.parametrize(("made", "sentence"), BROKEN.values(), ids=BROKEN)
def test_models_that_cannot_be_read(opened: Callable[..., Trace], made: Any, sentence: str) -> None:
    with pytest.raises(TraceError, match=f"net.onnx: {sentence}$"):
        opened(made)


FILES = {
    "text": (b"layer,m,n,k\n" * 50, "expected an ONNX model, found a file that is none"),
    "empty": (b"", "expected an ONNX model, found an empty file"),
    "cut": (onnx.ModelProto(ir_version=9).SerializeToString(), "expected an ONNX model, found a file without a graph"),
}


@pytest.mark.parametrize(("content", "sentence"), FILES.values(), ids=FILES)
def test_files_that_are_no_model(tmp_path: Path, refused: Callable[..., str], content: bytes, sentence: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert refused("run", path, "--arch", "a100") == f"{path}: {sentence}"


def test_a_file_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "none.onnx"
    assert refused("run", path, "--arch", "a100") == f"{path}: expected a file that can be read, found No such file or directory"


def test_a_library_that_is_not_there(tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "net.onnx"
    assert refused("run", path, "--arch", "a100") == f"{path}: expected onnx to read it (install stcsim[onnx]), found none"


# --- commands


def written(tmp_path: Path, made: Any) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    return path


def succeed(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0


def test_run_takes_a_model(tmp_path: Path, called: dict[str, Any]) -> None:
    path = written(tmp_path, tokens())
    succeed("run", path, "--arch", "a100", "--input", "ids=2x7", "--batch", "4")
    assert called["trace"] == open_trace(path, 4, ["ids=1x7"])


def test_capture_writes_the_trace_of_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, net())
    succeed("capture", path, "--batch", 2, "--dtype", "int8", "-o", tmp_path / "net.json")
    assert load_trace(tmp_path / "net.json") == open_trace(path, 2, dtype="int8") and "3x8x8" in capsys.readouterr().out


def test_a_batch_of_zero(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = written(tmp_path, net())
    assert refused("run", path, "--arch", "a100", "--batch", 0) == f"{path}: batch: expected a whole number above 0, found 0"
    assert refused("capture", path, "--batch", 0, "-o", tmp_path / "net.json").endswith("found 0")
    assert not (tmp_path / "net.json").exists()


def test_sizes_of_inputs_are_for_models(toy: Path, refused: Callable[..., str]) -> None:
    message = f"--input: expected an ONNX model, of which they fix axes, found '{toy}'"
    assert refused("run", toy, "--arch", "a100", "--input", "x=1x3") == message
