"""What an ONNX graph moves beside its products: which steps are seen, what they read, who reads them, what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stcsim.trace import Memory, Trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto  # noqa: E402

from stcsim.capture.onnx_import.views import view_strides  # noqa: E402
from tests.unit.onnx_graphs import INT64, constant, gemms, model, node, read, steps, weight  # noqa: E402

Read = Callable[..., Trace]
LAYER = node("MatMul", "x w", "h", name="layer")


@pytest.fixture
def opened(tmp_path: Path) -> Read:
    """Return a function that opens a model: a layer of 5 x 8 by 8 x 6 (its output is h), then these nodes."""

    def run(nodes: Sequence[Any], *tensors: Any, inputs: Any = None, **options: Any) -> Trace:
        made = model([LAYER, *nodes], {"x": (5, 8), **(inputs or {})}, [weight("w", 8, 6), *tensors], **options)
        return read(tmp_path, made)

    return run


STEPS = {
    "bias": (node("Add", "b h"), [weight("b", 6)], ("add", 30, 30, 6)),
    "square": (node("Mul", "h h"), [], ("mul", 30, 30, 0)),
    "by one number": (node("Mul", "h b"), [weight("b")], ("mul", 30, 30, 0)),
    "activation": (node("Relu", "h"), [], ("relu", 30, 30, 0)),
    "norm": (node("LayerNormalization", "h s b"), [weight("s", 6), weight("b", 6)], ("layer_norm", 30, 30, 12)),
    "softmax": (node("Softmax", "h"), [], ("softmax", 30, 30, 0)),
    "reduction": (node("ReduceMean", "h a", keepdims=0), [constant("a", [1])], ("mean", 30, 5, 0)),
    "concatenation": (node("Concat", "h h", axis=0), [], ("cat", 30, 60, 0)),
    "padding": (node("Pad", "h p"), [constant("p", [0, 1, 0, 1])], ("pad", 30, 40, 0)),
    "repetition": (node("Tile", "h r"), [constant("r", [2, 1])], ("copy", 30, 60, 0)),
    "top k": (node("TopK", "h k", "y i"), [constant("k", [2])], ("topk", 30, 10, 0)),
    "arg max": (node("ArgMax", "h", axis=1), [], ("argmax", 30, 5, 0)),
    "running sum": (node("CumSum", "h a"), [constant("a", [1])], ("cumsum", 30, 30, 0)),
    "under its own name": (node("Hardmax", "h"), [], ("Hardmax", 30, 30, 0)),
    "ONNX Runtime's": (node("com.microsoft.FastGelu", "h b"), [weight("b", 6)], ("gelu", 30, 30, 6)),
}


@pytest.mark.parametrize(("made", "tensors", "step"), STEPS.values(), ids=STEPS)
def test_steps(opened: Read, made: Any, tensors: Any, step: Any) -> None:
    trace = opened([made], *tensors)
    assert steps(trace) == [step]
    assert trace.ops[1].inputs == ("layer",) and trace.source.unhandled == ()


def test_images(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x f", "c"),
        node("BatchNormalization", "c s b m v", "n"),
        node("MaxPool", "n", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "m - k", "r", mode="nearest"),
        node("ReduceMean", "r a", "g"),
        node("GlobalAveragePool", "r", "p"),
    ]
    scales = onnx.helper.make_tensor("k", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    tensors = [weight("f", 4, 3, 3, 3), *(weight(name, 4) for name in "sbmv"), scales, constant("a", [-1, 2])]
    trace = read(tmp_path, model(nodes, {"x": (2, 3, 10, 10)}, tensors, outputs=["g", "p"]))
    assert steps(trace) == [
        ("batch_norm", 512, 512, 16),
        ("max_pool", 512, 128, 0),
        ("upsample", 128, 512, 0),
        ("avg_pool", 512, 8, 0),
        ("avg_pool", 512, 8, 0),
    ]
    assert [op.fuses_into for op in trace.ops if isinstance(op, Memory)] == ["conv", "", "", "", ""]


def test_rows_of_a_table_are_read_not_the_table(tmp_path: Path) -> None:
    nodes = [node("Gather", "table ids", "rows"), node("MatMul", "rows w")]
    tensors = [weight("table", 1000, 8), weight("w", 8, 6)]
    trace = read(tmp_path, model(nodes, {"ids": (2, 7)}, tensors, kinds={"ids": INT64}))
    assert steps(trace) == [("embedding", 112, 112, 0)] and gemms(trace) == [(6, 14, 8, 1, True, "n")]
    assert trace.ops[1].inputs == ("gather",)


# --- views


VIEWS = {
    "reshape": [node("Reshape", "h s", "v")],
    "axes": [node("Unsqueeze", "h one", "u"), node("Squeeze", "u one", "v")],
    "transpose": [node("Transpose", "h", "v")],
    "slice": [node("Slice", "h zero two", "v")],
    "split": [node("Split", "h", "v rest", num_outputs=2, axis=1)],
    "one row": [node("Gather", "h row", "v")],
    "expand": [node("Expand", "h wide", "v")],
    "nothing": [node("Dropout", "h", "v"), node("Identity", "v", "i"), node("Cast", "i", "c", to=TensorProto.FLOAT16)],
}


@pytest.mark.parametrize("nodes", VIEWS.values(), ids=VIEWS)
def test_views_are_looked_through(opened: Read, nodes: Any) -> None:
    row = onnx.helper.make_tensor("row", INT64, [], [2])
    tensors = [constant("s", [3, 10]), constant("one", [1]), constant("zero", [0]), constant("two", [2]), row]
    trace = opened([*nodes, node("Relu", nodes[-1].output[0])], *tensors, constant("wide", [3, 5, 6]))
    assert [op.name for op in trace.ops] == ["layer", "relu"] and trace.ops[1].inputs == ("layer",)


def test_an_expansion_is_read_once(opened: Read) -> None:
    trace = opened([node("Expand", "h wide", "v"), node("Relu", "v")], constant("wide", [3, 5, 6]))
    assert steps(trace) == [("relu", 30, 90, 0)]


def test_a_reshape_that_must_move_data_is_a_copy(opened: Read) -> None:
    trace = opened([node("Transpose", "h", "t"), node("Reshape", "t s")], constant("s", [30]))
    assert steps(trace) == [("copy", 30, 30, 0)] and trace.ops[1].inputs == ("layer",)


STRIDES = {
    "contiguous": ((4, 6), (6, 1), (2, 2, 6), (12, 6, 1)),
    "merge": ((2, 3, 4), (12, 4, 1), (24,), (1,)),
    "heads apart": ((2, 5, 12), (60, 12, 1), (2, 5, 3, 4), (60, 12, 4, 1)),
    "ones anywhere": ((1, 6, 1), (7, 1, 9), (6, 1), (1, 1)),
    "split a transposed axis": ((6, 4), (1, 6), (2, 3, 4), (3, 1, 6)),
    "merge transposed axes": ((6, 4), (1, 6), (24,), None),
    "merge repeated rows": ((3, 4), (0, 1), (12,), None),
    "across a cut": ((4, 6), (6, 1), (3, 8), (8, 1)),
    "across a gap": ((4, 6), (12, 1), (3, 8), None),
}


@pytest.mark.parametrize(("shape", "strides", "new", "expected"), STRIDES.values(), ids=STRIDES)
def test_view_strides(shape: Any, strides: Any, new: Any, expected: Any) -> None:
    assert view_strides(shape, strides, new) == expected


# --- what is left out


def test_arithmetic_of_shapes_and_masks_is_left_out(opened: Read) -> None:
    nodes = [
        node("Shape", "h", "all"),
        node("Gather", "all zero", "rows"),
        node("Concat", "rows minus", "wanted", axis=0),
        node("Equal", "ids pad", "padding"),
        node("Not", "padding", "kept"),
        node("Cast", "kept", "mask", to=TensorProto.FLOAT),
        node("Sub", "one mask", "hidden"),
        node("Reshape", "h wanted", "r"),
        node("Add", "r hidden"),
    ]
    tensors = [constant("zero", [0]), constant("minus", [-1]), constant("pad", [0]), weight("one")]
    trace = opened(nodes, *tensors, inputs={"ids": (5, 1)}, kinds={"ids": INT64})
    assert steps(trace) == [("add", 35, 30, 0)]  # five numbers of the mask


def test_positions_times_frequencies_are_no_product(tmp_path: Path) -> None:
    nodes = [node("Cast", "ids", "f", to=TensorProto.FLOAT), node("MatMul", "freq f", "angle"), node("Cos", "angle", "c")]
    nodes += [node("MatMul", "x w", "h", name="layer"), node("Mul", "h c")]
    made = model(nodes, {"ids": (1, 6), "x": (1, 4, 8)}, [weight("freq", 4, 1), weight("w", 8, 6)], kinds={"ids": INT64})
    assert [op.name for op in read(tmp_path, made).ops][:2] == ["layer", "mul"]


def test_one_number_times_a_factor_costs_nothing(opened: Read) -> None:
    """The kernel of the product multiplies by it; read by something else too, it is a step."""
    scale = [weight("one"), weight("v", 6, 4)]
    inside = [node("Mul", "h one", "s"), node("Transpose", "s", "t"), node("Transpose", "t", "u"), node("MatMul", "u v", "y")]
    assert [op.name for op in opened(inside, *scale).ops] == ["layer", "matmul"]
    outside = [node("Div", "h one", "s"), node("MatMul", "s v", "z"), node("Relu", "s", "y")]
    assert [op.name for op in opened(outside, *scale, outputs=["z", "y"]).ops] == ["layer", "div", "matmul", "relu"]


def test_sizes_that_depend_on_data_are_left_out_and_named(opened: Read) -> None:
    trace = opened([node("NonZero", "h", "n"), node("Cast", "n", "f", to=TensorProto.FLOAT), node("Relu", "f")])
    assert [op.name for op in trace.ops] == ["layer"]
    assert trace.source.unsized == ("nonzero: NonZero", "cast: Cast", "relu: Relu")
    assert trace.partial is not None and trace.partial.least_share is None
    assert trace.partial.sentence == "partial: steps of unknown size are left out: NonZero ×1, Cast ×1, Relu ×1"
    listed = opened([node("NonZero", "h", "n"), node("Cast", "n", "f", to=TensorProto.FLOAT), node("MatMul", "h f", "y")])
    assert listed.source.unhandled == ("matmul: MatMul (its shapes depend on data)",)


# --- norms that are spelled out


def spelled_layer_norm() -> list[Any]:
    return [
        node("ReduceMean", "h", "mean", axes=[-1]),
        node("Sub", "h mean", "centred"),
        node("Pow", "centred two", "square"),
        node("ReduceMean", "square", "variance", name="variance", axes=[-1]),
        node("Add", "variance eps", "safe", name="safe"),
        node("Sqrt", "safe", "root"),
        node("Div", "centred root", "normal"),
        node("Mul", "normal s", "scaled"),
        node("Add", "scaled b", "y", name="norm"),
    ]


def test_a_layer_norm_in_nine_steps_is_one(opened: Read) -> None:
    tensors = [weight(name) for name in ("two", "eps")] + [weight("s", 6), weight("b", 6)]
    trace = opened(spelled_layer_norm(), *tensors, opset=13)
    assert steps(trace) == [("layer_norm", 30, 30, 12)]
    assert (trace.ops[1].name, trace.ops[1].inputs) == ("norm", ("layer",))


def test_a_layer_norm_whose_middle_is_read_elsewhere_stays(opened: Read) -> None:
    tensors = [weight(name) for name in ("two", "eps")] + [weight("s", 6), weight("b", 6)]
    trace = opened([*spelled_layer_norm(), node("Relu", "root", "z")], *tensors, opset=13, outputs=["y", "z"])
    assert len(steps(trace)) == 10


@pytest.mark.parametrize("reciprocal", [True, False])
def test_an_rms_norm_in_steps_is_one(opened: Read, reciprocal: bool) -> None:
    last = [node("Reciprocal", "root", "r"), node("Mul", "h r", "normal")] if reciprocal else [node("Div", "h root", "normal")]
    nodes = [
        node("Pow", "h two", "square"),
        node("ReduceMean", "square a", "mean"),
        node("Add", "mean eps", "safe"),
        node("Sqrt", "safe", "root"),
        *last,
        node("Mul", "normal s", "y", name="weights"),
    ]
    tensors = [weight(name) for name in ("two", "eps")] + [weight("s", 6), constant("a", [-1])]
    assert steps(opened(nodes, *tensors)) == [("rms_norm", 30, 30, 6)]
