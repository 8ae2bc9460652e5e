"""Files that break the rules of ONNX: each is refused in one sentence, and none ends the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stcsim.capture import open_trace
from stcsim.errors import TraceError
from tests.unit.onnx_graphs import FLOAT, constant, gemms, model, node, read, weight

Change = Callable[[onnx.ModelProto], object]


def layer() -> onnx.ModelProto:
    """Return x . w, and something that follows."""
    return model([node("MatMul", "x w", "h"), node("Relu", "h", "y", name="r")], {"x": (4, 16)}, [weight("w", 16, 8)])


def tensor(**fields: Any) -> Change:
    """Return a change that puts another tensor in the weight's place."""
    return lambda made: made.graph.initializer[0].CopyFrom(
        TensorProto(**{"name": "w", "dims": [16, 8], "data_type": FLOAT, **fields})
    )


def added(*nodes: onnx.NodeProto) -> Change:
    """Return a change that puts nodes behind the others."""
    return lambda made: made.graph.node.extend(nodes)


def recursive(made: onnx.ModelProto) -> None:
    """Have the layer's activation done by a function that calls itself through another."""
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    for name, other in (("F", "G"), ("G", "F")):
        made.functions.append(helper.make_function("own", name, ["a"], ["b"], [node(f"own.{other}", "a", "b")], opsets))
    made.graph.node[1].domain, made.graph.node[1].op_type = "own", "F"
    made.opset_import.append(opsets[1])


BROKEN: dict[str, tuple[Change, str]] = {
    "no values": (tensor(), "initializer 'w': expected 128 values (16x8 FLOAT), found 0"),
    "few values": (tensor(float_data=[1.0] * 5), "initializer 'w': expected 128 values (16x8 FLOAT), found 5"),
    "many values": (tensor(float_data=[1.0] * 129), "initializer 'w': expected 128 values (16x8 FLOAT), found 129"),
    "few bytes": (tensor(raw_data=b"1" * 9), "initializer 'w': expected 512 bytes (16x8 FLOAT), found 9"),
    "few half bytes": (tensor(data_type=22, raw_data=b"1" * 9), "initializer 'w': expected 64 bytes (16x8 INT4), found 9"),
    "axes of no size": (tensor(dims=[16, -1]), "initializer 'w': expected axes of 0 or more, found 16x-1"),
    "no type": (tensor(data_type=0), "initializer 'w': expected an element type that ONNX has, found 0"),
    "a type of tomorrow": (tensor(data_type=99), "initializer 'w': expected an element type that ONNX has, found 99"),
    "a tensor in a node": (
        added(node("Constant", "", "c", name="c", value=TensorProto(name="v", dims=[7], data_type=FLOAT))),
        "c: expected 7 values (7 FLOAT), found 0",
    ),
    "a circle of one": (
        added(node("Identity", "a", "a", name="i")),
        "graph: expected nodes that do not read each other in a circle, found 'i'",
    ),
    "a circle of two": (
        added(node("Identity", "a", "b", name="i"), node("Identity", "b", "a", name="j")),
        "graph: expected nodes that do not read each other in a circle, found 'i, j'",
    ),
    "computed twice": (added(node("Relu", "x", "h", name="s")), "value 'h': expected one node that computes it, found two"),
    "computed and given": (
        added(node("Relu", "h", "x", name="s")),
        "value 'x': expected one node that computes it, or an input or a tensor of that name, found both",
    ),
    "from nowhere": (
        added(node("Relu", "nowhere", "z", name="s")),
        "s: expected inputs that the file holds or computes, found 'nowhere'",
    ),
    "an opset of 2^40": (
        lambda made: setattr(made.opset_import[0], "version", 2**40),
        "opset of 'ONNX': expected a version from 1 to 2147483647, found 1099511627776",
    ),
    "an opset below 1": (
        lambda made: setattr(made.opset_import[0], "version", -1),
        "opset of 'ONNX': expected a version from 1 to 2147483647, found -1",
    ),
    "functions in a circle": (recursive, "function 'F': expected a function that does not call itself, found one that does"),
    "an operator that turns the terminal": (
        lambda made: setattr(made.graph.node[1], "op_type", "Re\x1b[1mlu"),
        r"r: expected an operator of characters that can be printed, found 'Re\x1b[1mlu'",
    ),
    "an input that turns the terminal": (
        lambda made: setattr(made.graph.input[0], "name", "\x1b[2J"),
        r"input '\x1b[2J': expected a name of characters that can be printed, found others",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_sentence(tmp_path: Path, change: Change, sentence: str) -> None:
    made = layer()
    change(made)
    with pytest.raises(TraceError) as caught:
        read(tmp_path, made)
    found = str(caught.value).removeprefix(f"{tmp_path / 'net.onnx'}: ")
    assert found in (sentence, sentence.replace("i, j", "j, i"))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(layer().SerializeToString().replace(b"\x01h", b"\x01\xff"))
    with pytest.raises(TraceError, match=r"a node: expected names in UTF-8, found b'\\xff'$"):
        open_trace(path)


def test_nodes_in_any_order_are_read(tmp_path: Path) -> None:
    made = layer()
    nodes = [*made.graph.node][::-1]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    assert [op.name for op in read(tmp_path, made).ops] == ["matmul", "r"]


def test_names_lose_what_cannot_be_printed(tmp_path: Path) -> None:
    made = layer()
    made.graph.node[0].name, made.producer_name = "lay\x1b[31mer", "pro\u202educer"
    trace = read(tmp_path, made)
    assert (
        trace.ops[0].name == "lay\N{REPLACEMENT CHARACTER}[31mer" and trace.source.library == "pro\N{REPLACEMENT CHARACTER}ducer"
    )


def test_attributes_without_a_type_are_of_that_of_their_value(tmp_path: Path) -> None:
    made = model([node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "t w")], {"x": (16, 4)}, [weight("w", 16, 8)])
    made.graph.node[0].attribute[0].type = 0
    assert gemms(read(tmp_path, made))[0][:4] == (8, 4, 16, 1)


def test_an_inference_that_dies_costs_its_node_alone(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x w", "h"),
        node("Split", "h", "p q", num_outputs=1, axis=-1, name="deadly"),
        node("Reshape", "p s", "r"),
        node("MatMul", "r v", "y", name="last"),
    ]
    trace = read(tmp_path, model(nodes, {"x": (4, 16)}, [weight("w", 16, 8), constant("s", [4, 4]), weight("v", 4, 5)]))
    assert [row[:4] for row in gemms(trace)] == [(8, 4, 16, 1), (5, 4, 4, 1)]
    assert trace.source.unsized == ("deadly: Split",)


def test_a_file_full_of_deadly_nodes_ends(tmp_path: Path) -> None:
    splits = [node("Split", "h", f"p{each} q{each}", num_outputs=1, name=f"d{each}") for each in range(40)]
    trace = read(tmp_path, model([node("MatMul", "x w", "h"), *splits], {"x": (4, 16)}, [weight("w", 16, 8)], outputs=["h"]))
    assert len(gemms(trace)) == 1


def test_broken_attributes_cost_their_node_alone(tmp_path: Path) -> None:
    broken = node("com.microsoft.Attention", "x v", "a", num_heads=b"four", name="b")
    trace = read(
        tmp_path,
        model(
            [broken, node("MatMul", "x w", "y")], {"x": (1, 4, 16)}, [weight("v", 16, 48), weight("w", 16, 8)], outputs=["a", "y"]
        ),
    )
    assert len(gemms(trace)) == 1
    assert trace.source.unhandled == ("b: com.microsoft.Attention (its inputs and attributes are not those of the operator)",)


def beside(tmp_path: Path, **entries: str) -> onnx.ModelProto:
    """Return a model whose sizes of a reshape lie in another file."""
    sizes = TensorProto(name="s", dims=[2], data_type=TensorProto.INT64, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "net.data", **entries}.items():
        sizes.external_data.add(key=key, value=value)
    nodes = [node("Reshape", "x s", "r"), node("MatMul", "r w", "y")]
    return model(nodes, {"x": (4, 4)}, [sizes, weight("w", 8, 5)])


def test_sizes_in_a_file_beside_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "net.data").write_bytes(b"head" + np.array([2, 8]).tobytes())
    assert gemms(read(tmp_path, beside(tmp_path, offset="4", length="16")))[0][:4] == (5, 2, 8, 1)


LOST = {
    "missing": ({}, None, "its values in 'net.data', a file beside the model, found no such file"),
    "short": ({"offset": "4"}, 12, "20 bytes in 'net.data', found 12"),
    "of another length": ({"length": "8"}, 16, "16 bytes (2 INT64), found 8"),
    "elsewhere": ({"location": "../net.data"}, 16, "a file beside the model with its values, found '../net.data'"),
    "of the system": ({"location": "/etc/passwd"}, 16, "a file beside the model with its values, found '/etc/passwd'"),
    "at no place": ({"offset": "-4"}, 16, "a whole number as the offset of its values, found '-4'"),
}


@pytest.mark.parametrize(("entries", "size", "sentence"), LOST.values(), ids=LOST)
def test_a_file_beside_it_that_cannot_be_used(tmp_path: Path, entries: Any, size: int | None, sentence: str) -> None:
    if size is not None:
        (tmp_path / "net.data").write_bytes(bytes(size))
    with pytest.raises(TraceError) as caught:
        read(tmp_path, beside(tmp_path, **entries))
    assert str(caught.value).endswith(f"initializer 's': expected {sentence}")


def test_weights_beside_it_need_not_be_there(tmp_path: Path) -> None:
    assert gemms(read(tmp_path, layer()))


def test_weights_beside_it_are_measured(tmp_path: Path) -> None:
    (tmp_path / "nowhere.bin").write_bytes(bytes(100))
    with pytest.raises(TraceError, match=r"initializer 'w': expected 512 bytes in 'nowhere.bin', found 100$"):
        read(tmp_path, layer())


def test_a_product_of_an_unknown_type_is_not_half_read(tmp_path: Path) -> None:
    made = layer()
    made.graph.input[0].type.tensor_type.elem_type = 100  # no type of ONNX
    path = tmp_path / "odd.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(
        TraceError, match=r"expected at least one matrix product or convolution, found none \(not handled: matmul: MatMul"
    ):
        open_trace(path)
