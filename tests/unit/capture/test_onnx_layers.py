"""Does the import take ONNX layers of several kernels apart, and see what runs in 8 bits?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stcsim.trace import Memory, Trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto  # noqa: E402

from tests.unit.onnx_graphs import INT64, convs, gemms, node, steps, weight  # noqa: E402

Read = Callable[..., Trace]


# --- layers of several kernels


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers(opened: Read, operator: str, gates: int, directions: int) -> None:
    way = "bidirectional" if directions == 2 else "forward"
    made = node(operator, "x w r", hidden_size=8, direction=way)
    tensors = weight("w", directions, 8 * gates, 6), weight("r", directions, 8 * gates, 8)
    trace = opened(made, {"x": (5, "batch", 6)}, *tensors, batch=2)
    one = [(8 * gates, 10, 6, 1, True, "n"), (8 * gates, 2, 8, 1, True, "n")]
    assert gemms(trace) == one * directions
    assert [op.count for op in trace.ops] == [1, 5, 5] * directions
    assert trace.macs == directions * 5 * 2 * 8 * gates * (6 + 8)
    cell = trace.ops[-1]
    assert isinstance(cell, Memory) and cell.operator == f"{operator.lower()}_cell" and cell.fuses_into


def test_attention_of_four_axes_and_of_three(opened: Read) -> None:
    four = opened(node("Attention", "q k v"), {"q": (2, 8, 5, 16), "k": (2, 4, 7, 16), "v": (2, 4, 7, 12)}, opset=23)
    three = opened(
        node("Attention", "q k v", q_num_heads=8, kv_num_heads=4),
        {"q": (2, 5, 128), "k": (2, 7, 64), "v": (2, 7, 48)},
        opset=23,
    )
    assert gemms(four) == gemms(three) == [(5, 7, 16, 16, False, "batch"), (5, 12, 7, 16, False, "batch")]
    assert steps(four) == [("softmax", 560, 560, 0)]


def test_a_single_row_is_stacked_for_the_heads_that_share_keys(opened: Read) -> None:
    trace = opened(node("Attention", "q k v"), {"q": (2, 8, 1, 16), "k": (2, 4, 7, 16), "v": (2, 4, 7, 16)}, opset=23)
    assert gemms(trace) == [(2, 7, 16, 8, False, "batch"), (2, 16, 7, 8, False, "batch")]


def test_attention_of_onnx_runtime(opened: Read) -> None:
    packed = opened(
        node("com.microsoft.Attention", "x w b", num_heads=4), {"x": (2, 6, 16)}, weight("w", 16, 48), weight("b", 48)
    )
    assert gemms(packed) == [(48, 12, 16, 1, True, "n"), (6, 6, 4, 8, False, "batch"), (6, 4, 6, 8, False, "batch")]
    apart = node("com.microsoft.MultiHeadAttention", "q k v", num_heads=4)
    assert gemms(opened(apart, {"q": (2, 6, 16), "k": (2, 7, 16), "v": (2, 7, 16)})) == [
        (6, 7, 4, 8, False, "batch"),
        (6, 4, 7, 8, False, "batch"),
    ]
    shared = node("com.microsoft.GroupQueryAttention", "q k v pk pv s t", "y a b", num_heads=4, kv_num_heads=2)
    cached = {"q": (2, 1, 32), "k": (2, 1, 16), "v": (2, 1, 16), "pk": (2, 2, 9, 8), "pv": (2, 2, 9, 8), "s": (2,), "t": (1,)}
    assert gemms(opened(shared, cached, kinds={"s": INT64, "t": INT64})) == [
        (2, 10, 8, 4, False, "batch"),
        (2, 8, 10, 4, False, "batch"),
    ]


# --- quantized


def test_integer_operators(opened: Read) -> None:
    kinds = {"x": TensorProto.UINT8}
    scales = [weight(name) for name in ("xs", "ws", "ys")]
    zeros = [weight(name, kind=TensorProto.UINT8) for name in ("xz", "yz")] + [weight("wz", kind=TensorProto.INT8)]
    filters = weight("w", 5, 3, 3, 3, kind=TensorProto.INT8)
    conv = opened(node("QLinearConv", "x xs xz w ws wz ys yz"), {"x": (2, 3, 8, 8)}, filters, *scales, *zeros, kinds=kinds)
    assert (convs(conv)[0].k, convs(conv)[0].p, conv.dtype) == (5, 6, "int8")
    matrix = weight("w", 8, 4, kind=TensorProto.INT8)
    product = opened(node("QLinearMatMul", "x xs xz w ws wz ys yz"), {"x": (2, 3, 8)}, matrix, *scales, *zeros, kinds=kinds)
    assert (gemms(product), product.dtype) == ([(4, 6, 8, 1, True, "n")], "int8")
    nodes = [node("MatMulInteger", "x w xz wz", "i"), node("Cast", "i", "f", to=1), node("Mul", "f ys")]
    dynamic = opened(nodes, {"x": (2, 3, 8)}, matrix, *scales, *zeros, kinds=kinds)
    assert steps(dynamic) == [("cast", 24, 24, 0), ("mul", 24, 24, 0)]
    assert all(op.fuses_into == "matmulinteger" for op in dynamic.ops if isinstance(op, Memory))


def test_quantize_and_dequantize_around_a_layer(opened: Read) -> None:
    """Weights stay weights, and the layer runs in 8 bits, but only when both of its operands have them."""
    ends = [node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd")]
    layer = [node("DequantizeLinear", "w s z", "wd"), node("Gemm", "xd wd", transB=1)]
    tensors = weight("s"), weight("z", kind=TensorProto.INT8), weight("w", 4, 8, kind=TensorProto.INT8)
    both = opened([*ends, *layer], {"x": (5, 8)}, *tensors)
    assert (gemms(both), both.dtype, steps(both)) == ([(4, 5, 8, 1, True, "n")], "int8", [("cast", 40, 40, 0)])
    assert both.ops[1].inputs == ("quantizelinear",)
    between = [node("MatMul", "x v", "h"), node("QuantizeLinear", "h s z", "xq"), *ends[1:], *layer]
    middle = opened(between, {"x": (5, 6)}, *tensors, weight("v", 6, 8)).ops[1]
    assert isinstance(middle, Memory) and middle.fuses_into == "matmul"
    only_weights = opened([layer[0], node("Gemm", "x wd", transB=1)], {"x": (5, 8)}, *tensors)
    assert (gemms(only_weights), only_weights.dtype) == ([(4, 5, 8, 1, True, "n")], "fp16")


def test_weights_of_four_bits_are_unpacked(opened: Read) -> None:
    tensors = weight("w", 64, 2, 16, kind=TensorProto.UINT8), weight("s", 128)
    made = node("com.microsoft.MatMulNBits", "x w s", K=64, N=64, bits=4, block_size=32)
    trace = opened(made, {"x": (2, 3, 64)}, *tensors)
    assert (gemms(trace), trace.dtype) == ([(64, 6, 64, 1, True, "n")], "fp16")


@pytest.mark.parametrize(("kind", "dtype"), [("BFLOAT16", "bf16"), ("FLOAT16", "fp16"), ("DOUBLE", "fp16")])
def test_floats_run_in_what_a_tensor_core_takes(opened: Read, kind: str, dtype: str) -> None:
    number = TensorProto.DataType.Value(kind)
    tensor = weight("w", 8, 4, kind=number)
    assert opened(node("MatMul", "x w"), {"x": (5, 8)}, tensor, kinds={"x": number}).dtype == dtype


@pytest.mark.parametrize(
    ("x", "w", "dtype"),
    [
        ("FLOAT8E4M3FN", "FLOAT8E5M2", "fp8"),
        ("FLOAT8E4M3FNUZ", "FLOAT8E4M3FNUZ", "fp16"),  # no type of NVIDIA's
        ("INT8", "FLOAT8E4M3FN", "fp8"),
        ("INT4", "UINT4", "int4"),
        ("UINT8", "INT4", "int8"),  # the wider of both
        ("FLOAT4E2M1", "FLOAT4E2M1", "e2m1"),
    ],
)
def test_a_dequantized_product_runs_in_the_type_of_its_wider_factor(opened: Read, x: str, w: str, dtype: str) -> None:
    kinds = {"x": TensorProto.DataType.Value(x)}
    tensors = weight("s"), weight("w", 8, 4, kind=TensorProto.DataType.Value(w))
    wide = [node("DequantizeLinear", "x s", "xd"), node("DequantizeLinear", "w s", "wd"), node("MatMul", "xd wd")]
    assert opened(wide, {"x": (5, 8)}, *tensors, kinds=kinds, opset=23).dtype == dtype
