"""Kinds of ONNX files: dead nodes, products of parameters, Einsums, sequences, functions, deformable convolutions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stcsim.errors import TraceError
from stcsim.trace import Gemm, Memory, Trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto, helper  # noqa: E402

from tests.unit.onnx_graphs import FLOAT, INT64, constant, gemms, model, node, read, steps, weight  # noqa: E402

Read = Callable[..., Trace]


@pytest.fixture
def opened(tmp_path: Path) -> Read:
    def run(nodes: Any, inputs: Any, *tensors: Any, **more: Any) -> Trace:
        return read(tmp_path, model(nodes, inputs, tensors, **more))

    return run


def scalar(name: str, value: float) -> Any:
    return helper.make_tensor(name, FLOAT, [], [value])


# --- dead nodes


def test_what_no_output_needs_is_not_counted(opened: Read) -> None:
    nodes = [node("MatMul", "x big", "unused", name="dead"), node("Relu", "unused", "deader"), node("MatMul", "x w", "y")]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 4), weight("big", 8, 1024), outputs=["y"])
    assert [op.name for op in trace.ops] == ["matmul"] and trace.macs == 5 * 8 * 4


def test_what_only_a_branch_reads_is_alive(opened: Read) -> None:
    end = helper.make_tensor_value_info("t", FLOAT, None)
    arm = helper.make_graph([node("MatMul", "h v", "t", name="inner")], "arm", [], [end])
    nodes = [node("MatMul", "x w", "h"), node("If", "yes", then_branch=arm, else_branch=arm)]
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    assert [op.name for op in opened(nodes, {"x": (5, 8)}, weight("w", 8, 4), weight("v", 4, 4), yes).ops] == ["matmul", "inner"]


def test_dead_nodes_of_a_body_are_not_counted(opened: Read) -> None:
    end = helper.make_tensor_value_info("t", FLOAT, None)
    arm = helper.make_graph([node("MatMul", "x v", "dead"), node("MatMul", "x w", "t", name="inner")], "arm", [], [end])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    trace = opened(
        [node("If", "yes", then_branch=arm, else_branch=arm)], {"x": (5, 8)}, weight("w", 8, 4), weight("v", 8, 4), yes
    )
    assert [op.name for op in trace.ops] == ["inner"]


# --- products of parameters

FOLDED = {
    "low rank": ([node("MatMul", "u v", "w")], [weight("u", 8, 2), weight("v", 2, 4)]),
    "LoRA": ([node("MatMul", "u v", "uv"), node("Mul", "uv half", "s"), node("Add", "base s", "w")],
             [weight("u", 8, 2), weight("v", 2, 4), scalar("half", 0.5), weight("base", 8, 4)]),
    "turned": ([node("Gemm", "u v", "vu", transA=1), node("Transpose", "vu", "w", perm=[1, 0])],
               [weight("u", 2, 4), weight("v", 2, 8)]),
    "spectral norm": ([node("MatMul", "base v", "bv"), node("MatMul", "u bv", "sigma"), node("Div", "base sigma", "w")],
                      [weight("base", 8, 4), weight("u", 8), weight("v", 4)]),
    "Einsum of parameters": ([node("Einsum", "u v", "w", equation="ir,ro->io")], [weight("u", 8, 2), weight("v", 2, 4)]),
    "a mask": ([node("ConstantOfShape", "shape", "ones"), node("Mul", "base ones", "w")],
               [constant("shape", [8, 4]), weight("base", 8, 4)]),
    "reshaped": ([node("MatMul", "u v", "uv"), node("Reshape", "uv shape", "w")],
                 [weight("u", 4, 2), weight("v", 2, 8), constant("shape", [8, 4])]),
    "quantized": ([node("DequantizeLinear", "q s", "w")], [weight("q", 8, 4, kind=TensorProto.INT8), scalar("s", 0.5)]),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "tensors"), FOLDED.values(), ids=FOLDED)
def test_a_weight_made_of_parameters_is_a_weight_and_costs_nothing(opened: Read, nodes: Any, tensors: Any) -> None:
    trace = opened([*nodes, node("MatMul", "x w", "y", name="linear")], {"x": (5, 8)}, *tensors)
    assert [op.name for op in trace.ops] == ["linear"] and gemms(trace) == [(4, 5, 8, 1, True, "n")]
    assert trace.weight_elements == 32


def test_two_products_that_share_a_folded_weight_share_it_in_the_trace(opened: Read) -> None:
    nodes = [node("MatMul", "u v", "w"), node("MatMul", "x w", "a"), node("MatMul", "z w", "b"), node("Add", "a b", "y")]
    trace = opened(nodes, {"x": (5, 8), "z": (5, 8)}, weight("u", 8, 2), weight("v", 2, 4))
    assert trace.weight_elements == 32 and trace.macs == 2 * 5 * 8 * 4


def test_a_product_of_numbers_nobody_knows_when_it_is_loaded_stays(opened: Read) -> None:
    nodes = [node("RandomNormal", "", "u", shape=[8, 2]), node("MatMul", "u v", "w"), node("MatMul", "x w", "y", name="linear")]
    assert [op.name for op in opened(nodes, {"x": (5, 8)}, weight("v", 2, 4)).ops if isinstance(op, Gemm)] == ["matmul", "linear"]


# --- Einsum


def test_three_operands_go_from_left_to_right(opened: Read) -> None:
    trace = opened([node("Einsum", "x u v", equation="bi,ij,jk->bk")], {"x": (5, 8)}, weight("u", 8, 16), weight("v", 16, 4))
    assert [(op.name, *row[:4]) for op, row in zip(trace.ops, gemms(trace), strict=True)] == [
        ("einsum.1", 16, 5, 8, 1),
        ("einsum.2", 4, 5, 16, 1),
    ]
    assert trace.ops[1].inputs == ("einsum.1",) and trace.source.unhandled == ()


def test_a_letter_is_summed_where_it_comes_last(opened: Read) -> None:
    trace = opened([node("Einsum", "x u z", equation="bi,ij,bi->j")], {"x": (5, 8), "z": (5, 8)}, weight("u", 8, 16))
    first, last = (op for op in trace.ops)
    assert (first.kind, first.operator, first.elements_written) == ("memory", "mul", 5 * 8 * 16)
    assert last.macs == 5 * 8 * 16


def test_a_letter_twice_in_an_operand_is_its_diagonal(opened: Read) -> None:
    assert opened([node("Einsum", "x w", equation="bii,ij->bj")], {"x": (5, 8, 8)}, weight("w", 8, 4)).macs == 5 * 8 * 4


def test_dots_of_three_operands(opened: Read) -> None:
    trace = opened([node("Einsum", "x u v", equation="...i,ij,jk->...k")], {"x": (2, 5, 8)}, weight("u", 8, 3), weight("v", 3, 4))
    assert trace.macs == 2 * 5 * (8 * 3 + 3 * 4)


def test_an_equation_that_does_not_fit_is_named(opened: Read) -> None:
    with pytest.raises(TraceError):
        opened([node("Einsum", "x w", equation="bi,ij,jk->bk")], {"x": (5, 8)}, weight("w", 8, 4))


# --- sequences and optional values


def test_pieces_of_a_tensor_are_views(opened: Read) -> None:
    nodes = [node("MatMul", "x w", "h"), node("SplitToSequence", "h", "s", axis=1, keepdims=0), node("SequenceAt", "s two", "p"),
             node("MatMul", "p v", "y", name="after")]  # fmt: skip
    trace = opened(nodes, {"x": (5, 3, 8)}, weight("w", 8, 4), weight("v", 4, 2), helper.make_tensor("two", INT64, [], [2]))
    assert [op.name for op in trace.ops] == ["matmul", "after"] and gemms(trace)[1][:3] == (2, 5, 4)
    assert trace.ops[1].inputs == ("matmul",)


def test_a_sequence_put_together_and_joined(opened: Read) -> None:
    nodes = [
        node("MatMul", "x w", "a", name="first"),
        node("MatMul", "x v", "b", name="second"),
        node("SequenceEmpty", "", "none"),
        node("SequenceInsert", "none a", "one"),
        node("SequenceInsert", "one b zero", "two"),
        node("ConcatFromSequence", "two", "ab", axis=1),
        node("MatMul", "ab u", "y", name="last"),
    ]
    trace = opened(
        nodes, {"x": (5, 8)}, weight("w", 8, 4), weight("v", 8, 6), weight("u", 10, 2), helper.make_tensor("zero", INT64, [], [0])
    )
    assert trace.macs == 5 * 8 * 10 + 5 * 10 * 2 and steps(trace) == [("cat", 50, 50, 0)]
    assert trace.ops[2].inputs == ("second", "first")


def test_stacked_items_have_an_axis_more(opened: Read) -> None:
    nodes = [
        node("SequenceConstruct", "x x x", "s"),
        node("ConcatFromSequence", "s", "h", axis=0, new_axis=1),
        node("MatMul", "h w"),
    ]
    assert opened(nodes, {"x": (5, 8)}, weight("w", 8, 4)).macs == 3 * 5 * 8 * 4


def test_a_length_decides_as_shapes_do(opened: Read) -> None:
    nodes = [node("SequenceConstruct", "x x x", "s"), node("SequenceErase", "s", "two"), node("SequenceLength", "two", "n"),
             node("Reshape", "n one", "rows"), node("Concat", "rows rest", "shape", axis=0), node("Reshape", "x shape", "h"),
             node("MatMul", "h w")]  # fmt: skip
    trace = opened(nodes, {"x": (6, 8)}, weight("w", 8, 4), constant("one", [1]), constant("rest", [3, 8]))
    assert trace.macs == 6 * 8 * 4


def test_an_optional_value_is_what_it_holds(opened: Read) -> None:
    end = helper.make_tensor_value_info("t", FLOAT, None)
    there = helper.make_graph([node("OptionalGetElement", "maybe", "g"), node("MatMul", "g w", "t")], "there", [], [end])
    absent = helper.make_graph([node("Relu", "x", "t", name="absent")], "absent", [], [end])
    nodes = [
        node("Optional", "x", "maybe"),
        node("OptionalHasElement", "maybe", "has"),
        node("If", "has", then_branch=there, else_branch=absent),
    ]
    assert opened(nodes, {"x": (5, 8)}, weight("w", 8, 4)).macs == 5 * 8 * 4


def test_an_optional_input_is_taken_to_be_there(tmp_path: Path) -> None:
    made = model([node("OptionalGetElement", "x", "g"), node("MatMul", "g w")], {"x": (5, 8)}, [weight("w", 8, 4)])
    held = made.graph.input[0].type
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, (5, 8)))
    held.CopyFrom(optional)
    assert read(tmp_path, made).macs == 5 * 8 * 4


def test_an_item_of_a_sequence_of_unknown_length_costs_the_node_that_multiplies_it(opened: Read) -> None:
    nodes = [node("MatMul", "x w", "h", name="known"), node("SplitToSequence", "h sizes", "s"), node("SequenceAt", "s n", "p"),
             node("MatMul", "p v", "y", name="lost")]  # fmt: skip
    trace = opened(
        nodes, {"x": (5, 8), "sizes": (2,), "n": ()}, weight("w", 8, 4), weight("v", 4, 2), kinds={"sizes": INT64, "n": INT64}
    )
    assert [op.name for op in trace.ops] == ["known"] and len(trace.source.unhandled) == 1 and "lost" in trace.source.unhandled[0]


# --- functions


def test_functions_of_the_file_are_read_as_what_they_hold(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    twice = [node("MatMul", "a b", "t"), node("MatMul", "t b", "c")]
    four = [node("local.Twice", "a b", "t"), node("local.Twice", "t b", "c")]
    inner = helper.make_function("local", "Twice", ["a", "b"], ["c"], twice, opsets)
    outer = helper.make_function("local", "Four", ["a", "b"], ["c"], four, opsets)
    made = model([node("local.Four", "x w")], {"x": (5, 8)}, [weight("w", 8, 8)])
    made.functions.extend([inner, outer])
    trace = read(tmp_path, made)
    assert trace.macs == 4 * 5 * 8 * 8 and trace.weight_elements == 64 and len({op.name for op in trace.ops}) == 4


def test_operators_that_are_functions_by_definition_are_read_by_it(opened: Read) -> None:
    if onnx.defs.onnx_opset_version() < 27:
        pytest.skip("this onnx has no CausalConvWithState (opset 27)")
    trace = opened([node("CausalConvWithState", "x w", "y state")], {"x": (2, 4, 8)}, weight("w", 4, 1, 3), opset=27)
    assert trace.macs == 2 * 4 * 8 * 3 and trace.source.unhandled == ()


# --- deformable and transposed convolutions


def test_a_deformable_convolution_samples_and_multiplies(opened: Read) -> None:
    nodes = [node("DeformConv", "x w offsets bias mask", pads=[1, 1, 1, 1], group=2)]
    inputs = {"x": (1, 4, 6, 6), "offsets": (1, 18, 6, 6), "mask": (1, 9, 6, 6)}
    trace = opened(nodes, inputs, weight("w", 10, 2, 3, 3), weight("bias", 10))
    sampled, product = trace.ops
    assert isinstance(sampled, Memory) and sampled.elements_written == 4 * 9 * 36 and sampled.elements_read == (4 + 18 + 9) * 36
    assert product.macs == 10 * 36 * 2 * 9 and product.inputs == (sampled.name,) and gemms(trace) == [(5, 36, 18, 2, True, "n")]


def test_a_transposed_convolution_by_filters_that_are_fed_multiplies_each_input_pixel(opened: Read) -> None:
    trace = opened([node("ConvTranspose", "x w")], {"x": (1, 3, 4, 5), "w": (3, 2, 3, 3)})
    assert trace.macs == 3 * 4 * 5 * 2 * 9


def test_cast_like_needs_the_type_alone(opened: Read) -> None:
    nodes = [node("CastLike", "number ids", "n"), node("Reshape", "n one", "rows"), node("Concat", "rows rest", "shape", axis=0),
             node("Reshape", "x shape", "h"), node("MatMul", "h w")]  # fmt: skip
    trace = opened(nodes, {"x": (6, 8), "ids": (3,)}, scalar("number", 2), constant("one", [1]), constant("rest", [3, 8]),
                   weight("w", 8, 4), kinds={"ids": INT64})  # fmt: skip
    assert trace.macs == 6 * 8 * 4


@pytest.mark.parametrize(
    ("name", "value"), [("value_ints", [2, 3, 8]), ("value", helper.make_tensor("v", INT64, [3], [2, 3, 8]))]
)
def test_constants_are_written_in_several_ways(opened: Read, name: str, value: Any) -> None:
    nodes = [helper.make_node("Constant", [], ["shape"], **{name: value}), node("Reshape", "x shape", "h"), node("MatMul", "h w")]
    assert gemms(opened(nodes, {"x": (6, 8)}, weight("w", 8, 4)))[0][:3] == (4, 6, 8)
