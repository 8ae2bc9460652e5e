"""Small ONNX networks to damage: products, convolutions, attention, an LSTM, shapes computed in the graph, a branch, a loop."""

from __future__ import annotations

from typing import Any


def models() -> list[bytes]:
    """Return each network as a file."""
    return [make() for make in (_mlp, _cnn, _attention, _lstm, _upsampling, _branch, _einsum, _loop, _quantised)]


def _weights(**shapes: tuple[int, ...]) -> list[Any]:
    """Return float tensors whose numbers are in no file: only their shapes matter."""
    from onnx import TensorProto

    outside = {"data_type": TensorProto.FLOAT, "data_location": TensorProto.EXTERNAL}
    places = [{"key": "location", "value": "no.bin"}]
    return [TensorProto(name=name, dims=shape, external_data=places, **outside) for name, shape in shapes.items()]


def _ints(name: str, *values: int) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def _node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """Return a node; names with spaces between, and ``_`` for one that is left out."""
    from onnx import helper

    return helper.make_node(operator, [name.strip("_") for name in inputs.split()], outputs.split(), **attributes)


def _file(nodes: list[Any], inputs: dict[str, Any], tensors: list[Any], output: str = "y") -> bytes:
    from onnx import TensorProto, helper

    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    ends = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", entries, ends, initializer=tensors)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString())


def _mlp() -> bytes:
    nodes = [
        _node("MatMul", "x w", "t"),
        _node("Add", "t b", "u"),
        _node("Relu", "u", "v"),
        _node("Gemm", "v w2 b2", "y", transB=1),
    ]
    return _file(nodes, {"x": ["N", 64]}, _weights(w=(64, 96), b=(96,), w2=(10, 96), b2=(10,)))


def _cnn() -> bytes:
    nodes = [
        _node("Conv", "x w b", "t", pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3], group=2),
        _node("BatchNormalization", "t s s s s", "u"),
        _node("MaxPool", "u", "v", kernel_shape=[2, 2], strides=[2, 2]),
        _node("GlobalAveragePool", "v", "p"),
        _node("Flatten", "p", "f"),
        _node("Gemm", "f w2", "y"),
    ]
    return _file(nodes, {"x": [1, 16, 32, 32]}, _weights(w=(32, 8, 3, 3), b=(32,), s=(32,), w2=(32, 8)))


def _attention() -> bytes:
    nodes = [
        _node("Shape", "x", "sh"),
        _node("Gather", "sh zero", "bs"),
        _node("Concat", "bs minus h", "to", axis=0),
        _node("Reshape", "x to", "q"),
        _node("Transpose", "q", "qt", perm=[0, 2, 1]),
        _node("MatMul", "q qt", "sc"),
        _node("Softmax", "sc", "pr", axis=-1),
        _node("MatMul", "pr q", "o"),
        _node("MatMul", "o w", "y"),
    ]
    return _file(nodes, {"x": ["B", 16, 64]}, [*_weights(w=(64, 64)), _ints("zero", 0), _ints("minus", -1), _ints("h", 64)])


def _lstm() -> bytes:
    nodes = [
        _node("LSTM", "x w r", "y hh cc", hidden_size=32, direction="forward"),
        _node("Squeeze", "y ax", "s"),
        _node("MatMul", "s w2", "z"),
    ]
    return _file(nodes, {"x": [5, "B", 16]}, [*_weights(w=(1, 128, 16), r=(1, 128, 32), w2=(32, 8)), _ints("ax", 1)], "z")


def _upsampling() -> bytes:
    from onnx import TensorProto, helper

    nodes = [
        _node("ConvTranspose", "x w", "t", strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1]),
        _node("Slice", "t a b ax st", "u"),
        _node("Pad", "u pd", "v"),
        _node("Resize", "v _ sc", "r", mode="nearest"),
        _node("Conv", "r w3", "y", auto_pad="SAME_UPPER", dilations=[1, 1]),
    ]
    numbers = [_ints("a", 0), _ints("b", 2**63 - 1), _ints("ax", 2), _ints("st", 2), _ints("pd", 0, 0, 1, 1, 0, 0, 1, 1)]
    scales = helper.make_tensor("sc", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    return _file(nodes, {"x": [2, 8, 9, 9]}, [*_weights(w=(8, 4, 3, 3), w3=(4, 4, 3, 3)), *numbers, scales])


def _branch() -> bytes:
    from onnx import TensorProto, helper

    inner = helper.make_graph(
        [_node("MatMul", "x w", "z")], "b", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    )
    return _file([_node("If", "c", "y", then_branch=inner, else_branch=inner)], {"x": [4, 16], "c": []}, _weights(w=(16, 16)))


def _einsum() -> bytes:
    nodes = [
        _node("Einsum", "x w", "t", equation="bij,jk->bik"),
        _node("LayerNormalization", "t s s", "u"),
        _node("Split", "u", "p q", axis=-1, num_outputs=2),
        _node("Mul", "p q", "v"),
        _node("Expand", "v to", "e"),
        _node("ReduceMean", "e", "m", keepdims=1),
        _node("MatMul", "e w2", "y"),
    ]
    return _file(nodes, {"x": ["b", 6, 32]}, [*_weights(w=(32, 64), s=(64,), w2=(32, 32)), _ints("to", 1, 6, 32)])


def _loop() -> bytes:
    from onnx import TensorProto, helper

    def value(name: str, kind: int, shape: list[int] | None) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [_node("MatMul", "before w", "after"), _node("Identity", "go", "on")], "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("before", TensorProto.FLOAT, [4, 16])],
        [value("on", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, [4, 16])],
    )  # fmt: skip
    trips = helper.make_tensor("trips", TensorProto.INT64, [], [3])
    always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
    nodes = [_node("Loop", "trips always x", "l", body=body), _node("MatMul", "l w", "y")]
    return _file(nodes, {"x": [4, 16]}, [*_weights(w=(16, 16)), trips, always])


def _quantised() -> bytes:
    from onnx import TensorProto, helper

    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.5])
    zero = helper.make_tensor("z", TensorProto.INT8, [], [0])
    weight = helper.make_tensor("w", TensorProto.INT8, [16, 16], [1] * 256)
    nodes = [
        _node("QuantizeLinear", "x s z", "q"),
        _node("MatMulInteger", "q w", "i"),
        _node("Cast", "i", "f", to=TensorProto.FLOAT),
        _node("Mul", "f s", "y"),
    ]
    return _file(nodes, {"x": ["N", 16]}, [scale, zero, weight])
