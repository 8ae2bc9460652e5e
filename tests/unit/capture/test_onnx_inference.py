"""What is known of values: by arithmetic, by ONNX's own inference, by a rule where that is wrong, or by a guess that is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.inference import Inference
from stcsim.capture.onnx_import.native import MAX_DEATHS, Native, NodeDeath, NodeFault
from stcsim.capture.onnx_import.plain_shapes import PLAIN
from stcsim.capture.onnx_import.values import Value
from stcsim.errors import TraceError
from tests.unit.onnx_graphs import FLOAT, constant, gemms, model, node, read, steps, weight


def backend_nodes() -> Iterator[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    """Yield (name, model of one node, inputs, outputs) of onnx's own tests of the operators that have a row."""
    cases = pytest.importorskip("onnx.backend.test.case.node").collect_testcases(None)
    for case in cases:
        if case.model is not None and len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in PLAIN:
            inputs, outputs = case.data_sets[0]
            if all(isinstance(value, np.ndarray | np.generic) for value in [*inputs, *outputs]):
                yield case.name, case.model, inputs, outputs


@pytest.mark.filterwarnings("ignore")
def test_arithmetic_says_what_onnx_says() -> None:
    seen = set()
    for name, made, inputs, outputs in backend_nodes():
        (proto,) = made.graph.node
        values = [
            Value(np.shape(data), entry.type.tensor_type.elem_type, data=np.asarray(data), role="constant")
            for entry, data in zip(made.graph.input, inputs, strict=True)
        ]
        named = dict(zip((entry.name for entry in made.graph.input), values, strict=True))
        versions = {entry.domain: entry.version for entry in made.opset_import}
        with Native() as native:
            found = Inference(versions, {}, native).outputs(proto, [named.get(each) for each in proto.input])
        assert [value.shape for value in found][: len(outputs)] == [np.shape(data) for data in outputs], name
        seen.add(proto.op_type)
    assert len(seen) > 50


def test_onnx_runs_in_a_process_that_may_die() -> None:
    deadly, types = node("Split", "x", "p q", num_outputs=1), {"x": helper.make_tensor_type_proto(FLOAT, (4, 4))}
    with Native() as native:
        with pytest.raises(NodeDeath):
            native.infer(deadly, 18, types, {}, {"": 18})
        alive = native.infer(node("Relu", "x"), 14, types, {}, {"": 18})
        assert [dim.dim_value for dim in alive["y"].tensor_type.shape.dim] == [4, 4]
        with pytest.raises(NodeFault, match="Incompatible dimensions"):
            types = {name: helper.make_tensor_type_proto(FLOAT, (2, 3)) for name in "ab"}
            native.infer(node("MatMul", "a b"), 13, types, {}, {"": 18})


@pytest.mark.parametrize("interpreter", ["", "/nowhere/python", "/bin/true"])
def test_where_no_process_can_be_started_onnx_is_asked_here(monkeypatch: pytest.MonkeyPatch, interpreter: str) -> None:
    monkeypatch.setattr("sys.executable", interpreter)
    with Native() as native:
        found = native.infer(node("Relu", "x"), 14, {"x": helper.make_tensor_type_proto(FLOAT, (4, 4))}, {}, {"": 18})
        assert [dim.dim_value for dim in found["y"].tensor_type.shape.dim] == [4, 4]
        with pytest.raises(NodeFault, match="Incompatible dimensions"):
            types = {name: helper.make_tensor_type_proto(FLOAT, (2, 3)) for name in "ab"}
            native.infer(node("MatMul", "a b"), 13, types, {}, {"": 18})


def test_a_process_that_dies_too_often_is_not_started_again() -> None:
    with Native() as native:
        for size in range(1, MAX_DEATHS + 2):
            with pytest.raises(NodeDeath):
                native.infer(
                    node("Split", "x", "p q", num_outputs=1),
                    18,
                    {"x": helper.make_tensor_type_proto(FLOAT, (size,))},
                    {},
                    {"": 18},
                )
        assert native.gave_up


NEWER: dict[str, tuple[list[onnx.NodeProto], int]] = {
    "LayerNormalization": ([node("LayerNormalization", "x s s", "h", axis=-1)], 13),
    "Gelu": ([node("Gelu", "x", "h")], 13),
    "Swish": ([node("Swish", "x", "h")], 13),
    "RMSNormalization": ([node("RMSNormalization", "x s", "h", axis=-1)], 17),
    "an axis as an input": ([node("ReduceMean", "x a", "m", keepdims=1), node("Add", "x m", "h")], 13),
    "an axis as an attribute": ([node("ReduceMean", "x", "m", axes=[-1], keepdims=1), node("Add", "x m", "h")], 20),
    "an attribute of an exporter": ([node("Relu", "x", "h", onnx_name="relu_1")], 17),
}


@pytest.mark.parametrize(("nodes", "opset"), NEWER.values(), ids=NEWER)
def test_operators_that_the_opset_does_not_have_are_read(tmp_path: Path, nodes: list[onnx.NodeProto], opset: int) -> None:
    tensors = [weight("w", 8, 5), weight("s", 8), constant("a", [-1])]
    trace = read(tmp_path, model([*nodes, node("MatMul", "h w", "y")], {"x": (4, 6, 8)}, tensors, opset=opset))
    assert gemms(trace)[0][:4] == (5, 24, 8, 1) and trace.source.unhandled == ()


@pytest.mark.parametrize(("attributes", "bins"), [({}, 33), ({"onesided": 1}, 33), ({"onesided": 0}, 64)])
def test_a_spectrogram_has_half_of_the_bins_unless_it_is_told(tmp_path: Path, attributes: dict[str, int], bins: int) -> None:
    nodes = [
        node("STFT", "x hop - frame", "s", name="stft", **attributes),
        node("Gather", "s zero", "re", axis=3),
        node("MatMul", "re mel", "y"),
    ]
    numbers = [
        helper.make_tensor(name, TensorProto.INT64, [], [value]) for name, value in (("hop", 32), ("frame", 64), ("zero", 0))
    ]
    trace = read(tmp_path, model(nodes, {"x": (1, 352, 1)}, [*numbers, weight("mel", bins, 20)], opset=17))
    assert gemms(trace)[0][:4] == (20, 10, bins, 1)
    assert [line.partition(" (")[0] for line in trace.source.unhandled] == ["stft: STFT"]


def test_an_unknown_operator_costs_itself_alone_and_is_told(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("my.Odd", "h", "o", name="odd"), node("MatMul", "o v", "y")]
    trace = read(tmp_path, model(nodes, {"x": (4, 16)}, [weight("w", 16, 8), weight("v", 8, 5)]))
    assert [row[:4] for row in gemms(trace)] == [(8, 4, 16, 1), (5, 4, 8, 1)]
    assert trace.source.unhandled == ("odd: my.Odd (unknown, taken to return what has the shape of its first input)",)


def test_what_the_file_says_of_an_unknown_operator_comes_before_a_guess(tmp_path: Path) -> None:
    made = model([node("my.Odd", "x", "o", name="odd"), node("MatMul", "o v", "y")], {"x": (4, 16)}, [weight("v", 8, 5)])
    made.graph.value_info.append(helper.make_tensor_value_info("o", FLOAT, [2, 3, 8]))
    assert gemms(read(tmp_path, made))[0][:4] == (5, 6, 8, 1)


def test_a_guess_that_does_not_fit_is_no_fault_of_the_file(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("my.Odd", "h", "o", name="odd"), node("MatMul", "o v", "y", name="lost")]
    trace = read(tmp_path, model(nodes, {"x": (4, 16)}, [weight("w", 16, 8), weight("v", 9, 5)]))
    assert len(gemms(trace)) == 1
    assert [line.partition(" (")[0] for line in trace.source.unhandled] == ["odd: my.Odd", "lost: MatMul"]


@pytest.mark.parametrize("written", [{"value_ints": [4, 8]}, {"value": helper.make_tensor("v", TensorProto.INT64, [2], [4, 8])}])
def test_constants_however_they_are_written(tmp_path: Path, written: dict[str, Any]) -> None:
    nodes = [node("Constant", "", "s", **written), node("Reshape", "x s", "h"), node("MatMul", "h w", "y")]
    assert gemms(read(tmp_path, model(nodes, {"x": (2, 16)}, [weight("w", 8, 5)])))[0][:4] == (5, 4, 8, 1)


def test_minus_one_in_a_declared_shape_is_not_known(tmp_path: Path) -> None:
    made = model([node("MatMul", "x w", "h"), node("NonZero", "h", "n", name="z")], {"x": (4, 16)}, [weight("w", 16, 8)])
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("n", TensorProto.INT64, [2, -1]))
    assert len(gemms(read(tmp_path, made))) == 1


def test_types_that_do_not_fit_keep_no_shape_from_being_known(tmp_path: Path) -> None:
    made = model(
        [node("MatMul", "x w", "h"), node("MaxPool", "h", "y", kernel_shape=[2])],
        {"x": (1, 4, 16)},
        [weight("w", 16, 8, kind=10)],
    )
    assert steps(read(tmp_path, made)) == [("max_pool", 32, 28, 0)]


def test_an_axis_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    made = model(
        [node("Expand", "x s", "h"), node("MatMul", "h w", "y")], {"x": (1, 16)}, [constant("s", [2**40, 16]), weight("w", 16, 8)]
    )
    with pytest.raises(
        TraceError, match="expand: expected inputs whose shapes and types fit each other, found an output of 1099511627776x16"
    ):
        read(tmp_path, made)


def test_a_constant_that_would_fill_the_memory_is_not_computed(tmp_path: Path) -> None:
    nodes = [node("Range", "a b c", "r"), node("MatMul", "x w", "y")]
    numbers = [helper.make_tensor(name, 10, [], [value]) for name, value in zip("abc", (0, 60000, 1e-7), strict=True)]
    made = model(nodes, {"x": (4, 16)}, [*numbers, weight("w", 16, 8)], outputs=["r", "y"])
    assert len(gemms(read(tmp_path, made))) == 1
