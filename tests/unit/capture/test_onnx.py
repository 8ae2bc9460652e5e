"""Does the import read every product of an ONNX graph the right way round? What a weight is, and how each operator is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stcsim.trace import Gemm, Trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto, helper  # noqa: E402

from tests.unit.onnx_graphs import constant, convs, gemms, node, steps, weight  # noqa: E402

Read = Callable[..., Trace]


# --- products of two factors

MATMULS = {
    "weight on the right": ((3, 5, 8), [weight("w", 8, 4)], (4, 15, 8, 1, True, "n")),
    "one weight for each of three": ((2, 3, 5, 8), [weight("w", 3, 8, 4)], (4, 10, 8, 3, True, "n")),
    "a vector": ((6, 8), [weight("w", 8)], (1, 6, 8, 1, True, "n")),
}


@pytest.mark.parametrize(("shape", "tensors", "row"), MATMULS.values(), ids=MATMULS)
def test_matmul_by_a_weight(opened: Read, shape: Any, tensors: Any, row: Any) -> None:
    assert gemms(opened(node("MatMul", "x w"), {"x": shape}, *tensors)) == [row]


def test_matmul_of_a_weight_on_the_left(opened: Read) -> None:
    assert gemms(opened(node("MatMul", "w x"), {"x": (3, 8, 5)}, weight("w", 4, 8))) == [(4, 15, 8, 1, True, "n")]


def test_matmul_of_two_activations(opened: Read) -> None:
    made = node("MatMul", "a b")
    assert gemms(opened(made, {"a": (2, 3, 5, 8), "b": (2, 3, 8, 7)})) == [(5, 7, 8, 6, False, "batch")]
    turned = opened(made, {"a": (2, 3, 5, 8), "b": (8, 7)})  # what grows with the batch stands on the right
    assert gemms(turned) == [(7, 30, 8, 1, False, "n")]
    assert gemms(opened(made, {"a": (4, 8), "b": (2, 3, 8, 7)})) == [(42, 4, 8, 1, False, "n")]


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_with_its_transposes(opened: Read, trans_a: int, trans_b: int) -> None:
    made = node("Gemm", "x w b", transA=trans_a, transB=trans_b)
    tensors = weight("w", *((4, 8) if trans_b else (8, 4))), weight("b", 4)
    trace = opened(made, {"x": (8, "batch") if trans_a else ("batch", 8)}, *tensors, batch=3)
    assert gemms(trace) == [(4, 3, 8, 1, True, "n")] and len(trace.ops) == 1


EINSUMS = {
    "weight first": ("oi,bin->bon", {"x": (3, 8, 10)}, "w x", [(20, 8)], (20, 30, 8, 1, True, "n")),
    "weight second, ellipsis": ("...i,io->...o", {"x": (3, 7, 8)}, "x w", [(8, 20)], (20, 21, 8, 1, True, "n")),
    "no weight": ("bhqd,bhkd->bhqk", {"x": (2, 4, 5, 8), "w": (2, 4, 6, 8)}, "x w", [], (5, 6, 8, 8, False, "batch")),
    "no arrow": ("ij,jk", {"x": (5, 8)}, "x w", [(8, 20)], (20, 5, 8, 1, True, "n")),
    "two letters summed": ("bhd,hde->be", {"x": (3, 4, 8)}, "x w", [(4, 8, 6)], (6, 3, 32, 1, True, "n")),
}  # fmt: skip


@pytest.mark.parametrize(("equation", "inputs", "names", "shapes", "row"), EINSUMS.values(), ids=EINSUMS)
def test_einsum(opened: Read, equation: str, inputs: Any, names: str, shapes: Any, row: Any) -> None:
    tensors = [weight("w", *shape) for shape in shapes]
    assert gemms(opened(node("Einsum", names, equation=equation), inputs, *tensors)) == [row]


def test_einsum_that_is_no_product(opened: Read) -> None:
    linear = node("MatMul", "x w", "h")
    trace = opened([linear, node("Einsum", "h v", equation="ij,j->ij")], {"x": (5, 8)}, weight("w", 8, 4), weight("v", 4))
    assert steps(trace) == [("mul", 20, 20, 4)]


# --- what a weight is

DISGUISES = {
    "transposed": [node("Transpose", "t", "w", perm=[1, 0])],
    "reshaped": [node("Reshape", "t s", "w")],
    "cast": [node("Transpose", "h", "f"), node("Cast", "f", "w", to=TensorProto.FLOAT)],
    "dequantized": [node("DequantizeLinear", "q scale", "f"), node("Transpose", "f", "w")],
    "masked": [node("Mul", "t t", "f"), node("Identity", "f", "i"), node("Transpose", "i", "w")],
}


@pytest.mark.parametrize("nodes", DISGUISES.values(), ids=DISGUISES)
def test_a_weight_in_disguise(opened: Read, nodes: Any) -> None:
    tensors = [weight("t", 4, 8), weight("h", 4, 8, kind=TensorProto.FLOAT16), weight("q", 4, 8, kind=TensorProto.INT8)]
    tensors += [weight("scale"), constant("s", [8, 4])]
    trace = opened([*nodes, node("MatMul", "x w")], {"x": (5, 8)}, *tensors)
    assert gemms(trace) == [(4, 5, 8, 1, True, "n")] and len(trace.ops) == 1


def test_products_of_constants_are_folded(opened: Read) -> None:
    nodes = [node("MatMul", "a b", "w"), node("MatMul", "x w", name="layer")]
    trace = opened(nodes, {"x": (5, 8)}, weight("a", 8, 2), weight("b", 2, 4))
    assert [op.name for op in trace.ops] == ["layer"] and gemms(trace) == [(4, 5, 8, 1, True, "n")]


def test_a_weight_expanded_over_the_batch_is_one_weight(opened: Read) -> None:
    shape = [node("Shape", "x", "all"), node("Slice", "all from to", "rows"), node("Concat", "rows size", "wide", axis=0)]
    nodes = [*shape, node("Expand", "w wide", "e"), node("MatMul", "e x")]
    tensors = constant("from", [0]), constant("to", [1]), constant("size", [6, 8]), weight("w", 6, 8)
    assert gemms(opened(nodes, {"x": (4, 8, 5)}, *tensors)) == [(6, 20, 8, 1, True, "n")]


def test_a_weight_read_twice_has_one_owner(opened: Read) -> None:
    turned = node("Transpose", "w", "t")
    nodes = [node("MatMul", "x w", "h", name="up"), turned, node("MatMul", "h t", name="down")]
    up, down = opened(nodes, {"x": (5, 8)}, weight("w", 8, 4)).ops
    assert isinstance(up, Gemm) and isinstance(down, Gemm) and (up.weight_of, down.weight_of) == ("", "up")
    assert down.inputs == ("up",)


def test_pieces_of_one_tensor_are_weights_of_their_own(opened: Read) -> None:
    nodes = [
        node("Split", "w", "q k", axis=1, num_outputs=2),
        node("MatMul", "x q", "h", name="q"),
        node("MatMul", "x k", name="k"),
    ]
    ops = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), outputs=["h", "y"]).ops
    assert [op.weight_of for op in ops if isinstance(op, Gemm)] == ["", ""]


# --- convolutions

PADDINGS = {
    "given": ({"pads": [1, 2, 1, 2]}, (10, 12), (1, 2)),
    "valid": ({"auto_pad": "VALID"}, (10, 12), (0, 0)),
    "same": ({"auto_pad": "SAME_UPPER"}, (10, 12), (1, 1)),
    "one side": ({"pads": [0, 1, 1, 1], "strides": [2, 1]}, (11, 12), (0, 1)),
    "same, even filter": ({"auto_pad": "SAME_LOWER", "kernel": (4, 4)}, (11, 13), (1, 1)),
}


@pytest.mark.parametrize(("attributes", "size", "padding"), PADDINGS.values(), ids=PADDINGS)
def test_conv_padding(opened: Read, attributes: Any, size: Any, padding: Any) -> None:
    more = dict(attributes)
    kernel = more.pop("kernel", (3, 3))
    trace = opened(node("Conv", "x w", **more), {"x": (2, 3, 10, 12)}, weight("w", 5, 3, *kernel))
    (conv,) = convs(trace)
    assert ((conv.h, conv.w), conv.padding, conv.batch, conv.c, conv.k) == (size, padding, 2, 3, 5)
    assert ("padded on one side" in trace.source.notes) == (size != (10, 12))


def test_conv_grouped_dilated_and_1d(opened: Read) -> None:
    made = node("Conv", "x w b", group=4, dilations=[2], strides=[2], pads=[3, 3])
    (conv,) = convs(opened(made, {"x": (2, 8, 20)}, weight("w", 16, 2, 5), weight("b", 16)))
    assert (conv.h, conv.w, conv.r, conv.s, conv.groups, conv.k) == (1, 20, 1, 5, 4, 16)
    assert (conv.stride, conv.padding, conv.dilation, conv.q) == ((1, 2), (0, 3), (1, 2), 9)


def test_conv_3d_is_its_gemm(opened: Read) -> None:
    trace = opened(node("Conv", "x w", pads=[1] * 6, group=2), {"x": (2, 4, 6, 8, 10)}, weight("w", 6, 2, 3, 3, 3))
    assert gemms(trace) == [(3, 960, 54, 2, True, "n")] and "3-D" in trace.source.notes


def test_filters_that_are_computed_are_no_weight(opened: Read) -> None:
    assert gemms(opened(node("Conv", "x f"), {"x": (1, 3, 6, 6), "f": (4, 3, 3, 3)})) == [(4, 16, 27, 1, False, "n")]


TRANSPOSED = {
    "plain": ({"strides": [2, 2]}, (13, 17), (0, 0), (0, 0)),
    "pads and output padding": ({"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, (12, 16), (1, 1), (1, 1)),
    "one side": ({"strides": [2, 2], "pads": [0, 1, 1, 1]}, (12, 15), (1, 1), (1, 0)),
    "by its output": ({"strides": [2, 2], "output_shape": [12, 16], "auto_pad": "SAME_UPPER"}, (12, 16), (1, 1), (1, 1)),
}


@pytest.mark.parametrize(("attributes", "size", "padding", "output_padding"), TRANSPOSED.values(), ids=TRANSPOSED)
def test_transposed_conv(opened: Read, attributes: Any, size: Any, padding: Any, output_padding: Any) -> None:
    trace = opened(node("ConvTranspose", "x w", group=2, **attributes), {"x": (2, 4, 6, 8)}, weight("w", 4, 5, 3, 3))
    (conv,) = convs(trace)
    assert (conv.transposed, conv.c, conv.k, conv.groups, conv.p, conv.q) == (True, 4, 10, 2, *size)
    assert (conv.padding, conv.output_padding, conv.macs) == (padding, output_padding, 2 * 6 * 8 * 4 * 5 * 9)


# --- what cannot be read


def test_operators_that_may_multiply_are_listed(opened: Read) -> None:
    linear = node("MatMul", "x w", "h")
    foreign = node("my.company.FancyConv", "h", "z", name="a")
    matrix = node("my.company.Mystery", "z v", "y", name="b")
    trace = opened([linear, foreign, matrix], {"x": (5, 8)}, weight("w", 8, 4), weight("v", 4, 4))
    assert trace.source.unhandled == ("a: my.company.FancyConv", "b: my.company.Mystery")


def test_subgraphs(opened: Read) -> None:
    def branch(name: str, inner: Any) -> Any:
        return helper.make_graph([inner], name, [], [helper.make_tensor_value_info(inner.output[0], 1, None)])

    arms = {
        "then_branch": branch("then", node("MatMul", "h w", "t", name="then")),
        "else_branch": branch("else", node("Relu", "h", "e", name="else")),
    }
    nodes = [node("MatMul", "x w", "h"), node("If", "c", **arms)]
    known = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    assert [op.name for op in known.ops] == ["matmul", "then"] and known.source.unhandled == ()
    unknown = opened(nodes, {"x": (5, 8), "c": ()}, weight("w", 8, 8), kinds={"c": TensorProto.BOOL})
    assert [op.name for op in unknown.ops] == ["matmul"] and len(unknown.source.unhandled) == 1
