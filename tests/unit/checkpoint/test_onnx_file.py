"""Does an ONNX file say which operator multiplies with which tensor, and where the numbers lie?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from stcsim.checkpoint import Checkpoint, open_checkpoint  # noqa: E402
from stcsim.checkpoint.use import Order  # noqa: E402
from stcsim.errors import StcsimError  # noqa: E402
from tests.unit.checkpoints import drawn  # noqa: E402
from tests.unit.onnx_graphs import model, node  # noqa: E402


def tensor(name: str, array: np.ndarray[Any, Any]) -> Any:
    return numpy_helper.from_array(array, name)


def opened(tmp_path: Path, nodes: list[Any], *tensors: Any, **options: Any) -> Checkpoint:
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, {"x": [1, 8]}, tensors, **options), path)
    return open_checkpoint(path)


@pytest.mark.parametrize(
    ("operator", "shape", "attributes", "order"),
    [
        ("MatMul", (8, 12), {}, Order.KM),
        ("Gemm", (8, 12), {}, Order.KM),
        ("Gemm", (12, 8), {"transB": 1}, Order.MK),
        ("com.microsoft.FusedMatMul", (12, 8), {"transB": 1}, Order.MK),
        ("Conv", (12, 8, 3, 3), {"group": 2}, Order.CONV),
        ("ConvTranspose", (8, 12, 3, 3), {}, Order.CONV_TRANSPOSED),
        ("com.microsoft.MatMulNBits", (12, 1, 16), {}, Order.PACKED),
    ],
)
def test_an_operator_says_how_its_weight_lies(
    tmp_path: Path, operator: str, shape: tuple[int, ...], attributes: dict[str, int], order: Order
) -> None:
    weight = drawn(*shape, dtype="float32")
    with opened(tmp_path, [node(operator, "x w", name="/fc", **attributes)], tensor("w", weight)) as found:
        use = found.uses["w"]
        assert (use.operator, use.nodes, use.order, use.groups) == (
            operator.split(".")[-1],
            ("/fc",),
            order,
            attributes.get("group", 1),
        )
        assert np.array_equal(found["w"].codes(), weight) and found["w"].dtype == "fp32"


def test_what_stands_between_weight_and_product_is_seen_through(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Cast", "t", "c", to=1),
        node("MatMul", "x c", "y", name="a"),
        node("Gather", "table y", "g"),
        node("Constant", "", "k", value=tensor("k", drawn(4, 4))),
        node("MatMul", "g k", "z", name="b"),
    ]
    with opened(tmp_path, nodes, tensor("w", drawn(12, 8)), tensor("table", drawn(30, 8)), tensor("bias", drawn(8))) as found:
        orders = {name: use.order for name, use in found.uses.items()}
        assert orders == {"w": Order.MK, "table": Order.LOOK_UP, "k": Order.KM} and "bias" in found


def test_an_embedding_that_is_multiplied_too_is_a_weight(tmp_path: Path) -> None:
    nodes = [node("Gather", "w x", "g"), node("Gemm", "g w", "y", transB=1), node("Gather", "w y", "h")]
    with opened(tmp_path, nodes, tensor("w", drawn(30, 8))) as found:
        assert found.uses["w"].order is Order.MK


@pytest.mark.parametrize(("zero", "asymmetric"), [(0, False), (3, True)])
def test_zero_points_are_seen(tmp_path: Path, zero: int, asymmetric: bool) -> None:
    scale, zeros = tensor("s", np.float32(0.5)), tensor("z", np.int8(zero))
    nodes = [node("DequantizeLinear", "w s z", "d"), node("MatMul", "x d", "y")]
    with opened(tmp_path, nodes, tensor("w", np.ones((8, 12), np.int8)), scale, zeros) as found:
        assert found.uses["w"].zero_point is asymmetric and found["w"].dtype == "int8"
    nodes = [node("MatMulInteger", "x w - z", "y")]
    with opened(tmp_path, nodes, tensor("w", np.ones((8, 12), np.int8)), zeros) as found:
        assert found.uses["w"].zero_point is asymmetric


def test_a_recurrent_layer_has_two_weights_whatever_its_exporter_did_to_them(tmp_path: Path) -> None:
    nodes = [
        node("Slice", "w a b", "s1"),
        node("Slice", "w b c", "s2"),
        node("Concat", "s2 s1", "rows", axis=0),
        node("Unsqueeze", "rows axes", "W"),
        node("LSTM", "x W R", "y", name="rnn", hidden_size=4),
    ]
    sizes = [tensor(name, np.array([at])) for at, name in enumerate(("a", "b", "c", "axes"))]
    with opened(tmp_path, nodes, tensor("w", drawn(16, 8)), tensor("R", drawn(1, 16, 4)), *sizes) as found:
        assert (found.uses["w"].nodes, found.uses["R"].nodes) == (("rnn.input",), ("rnn.recurrent",))


def test_branches_may_use_one_name_twice(tmp_path: Path) -> None:
    def branch(seed: int) -> Any:
        weight = tensor("w", drawn(8, 4, seed=seed))
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        return helper.make_graph([node("MatMul", "x w", "y")], f"branch{seed}", [], [out], [weight])

    both = node("If", "yes", "y", name="if", then_branch=branch(1), else_branch=branch(2))
    with opened(tmp_path, [both], tensor("yes", np.array(True))) as found:
        names = [name for name in found if found[name].size == 32]
        assert len(names) == 2 and all(found.uses[name].order is Order.KM for name in names)
        assert not np.array_equal(*(found[name].codes() for name in names))


def test_numbers_beside_the_model_are_mapped(tmp_path: Path) -> None:
    weight = drawn(8, 12)
    (tmp_path / "net.bin").write_bytes(bytes(64) + weight.tobytes())
    far = TensorProto(name="w", dims=weight.shape, data_type=TensorProto.FLOAT16, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "net.bin"), ("offset", "64"), ("length", str(weight.nbytes))):
        far.external_data.add(key=key, value=value)
    with opened(tmp_path, [node("MatMul", "x w")], far) as found:
        assert np.array_equal(found["w"].codes(), weight) and not found["w"].codes().flags.writeable
        assert [path.name for path in found.files] == ["net.onnx", "net.bin"]
    (tmp_path / "net.bin").write_bytes(bytes(100))
    with pytest.raises(StcsimError, match="w: expected bytes up to 256 of net.bin, found a file of 100"):
        opened(tmp_path, [node("MatMul", "x w")], far)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"location": "nowhere.bin"}, "nowhere.bin: expected the external data of an ONNX model, found no such file"),
        ({"location": "../net.bin"}, "expected external data in a file below the model's folder, found '../net.bin'"),
        ({"location": "net.bin", "length": "7"}, "expected 192 bytes for shape"),
    ],
)
def test_numbers_that_are_not_there_are_one_sentence(tmp_path: Path, said: dict[str, str], message: str) -> None:
    (tmp_path / "net.bin").write_bytes(bytes(192))
    far = TensorProto(name="w", dims=(8, 12), data_type=TensorProto.FLOAT16, data_location=TensorProto.EXTERNAL)
    for key, value in said.items():
        far.external_data.add(key=key, value=value)
    with pytest.raises(StcsimError) as error:
        opened(tmp_path, [node("MatMul", "x w")], far)
    assert message in str(error.value)


def test_numbers_of_few_bits_and_in_typed_fields_are_read(tmp_path: Path) -> None:
    packed = TensorProto(name="w", dims=(2, 3), data_type=TensorProto.INT4, raw_data=bytes([0xF1, 0x82, 0x03]))
    floats = helper.make_tensor("f", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    halves = helper.make_tensor("h", TensorProto.BFLOAT16, [1, 2], [1.0, -2.0])
    with opened(tmp_path, [node("MatMul", "x w")], packed, floats, halves) as found:
        assert found["w"].codes().tolist() == [[1, -1, 2], [-8, 3, 0]] and found["w"].dtype == "int4"
        assert found["f"].codes().tolist() == [[1, 2], [3, 4]] and found["h"].codes().tolist() == [[0x3F80, 0xC000]]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for content, message in ((b"", "found an empty file"), (b"\xff" * 50, "found a file that is none, or a truncated one")):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(StcsimError, match=message):
            open_checkpoint(tmp_path / "a.onnx")
    short = TensorProto(name="w", dims=(8, 12), data_type=TensorProto.FLOAT, raw_data=bytes(12))
    with pytest.raises(StcsimError, match=r"w: expected 384 bytes for shape \(8, 12\), found 12"):
        opened(tmp_path, [node("MatMul", "x w")], short)


def test_without_onnx_the_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setattr("stcsim.checkpoint.open.find_spec", lambda name: None)
    with pytest.raises(StcsimError, match=r"a.onnx: expected the onnx package \(pip install 'stcsim\[onnx\]'\), found none"):
        open_checkpoint(tmp_path / "a.onnx")


def test_a_weight_that_two_operators_share_names_both(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a", name="one"), node("MatMul", "a w", "b", name="two")]
    with opened(tmp_path, nodes, tensor("w", drawn(8, 8))) as found:
        assert found.uses["w"].nodes == ("one", "two")
