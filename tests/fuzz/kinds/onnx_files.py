"""ONNX files: small networks damaged in protobuf fields and in raw bytes; what opens runs."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case
from tests.fuzz.kinds.onnx_models import models

_NUMBERS = (0, -1, 1, 2, 3, 100, 2**31, 2**63 - 1, -(2**63))
_WORDS = (b"", b"\xff", b"VALID", b"SAME_LOWER", b"x", b"i->", b"ij,jk", b"...ij,j->i", b"bidirectional", b"->")
_OPERATORS = (
    "MatMul", "Conv", "Gemm", "Reshape", "Transpose", "Slice", "Concat", "Split", "Gather", "Expand", "LSTM", "GRU",
    "Einsum", "Pad",
    "Resize", "Loop", "If", "Scan", "Shape", "Cast", "Range", "Tile", "Where", "NonZero", "TopK", "Squeeze", "Unsqueeze",
    "ConvTranspose", "QLinearConv", "MatMulInteger", "QLinearMatMul", "ConvInteger", "Attention", "DepthToSpace", "Constant",
    "ConstantOfShape", "Flatten", "Identity", "Size", "OneHot", "Div", "Mod", "DeformConv", "STFT", "DFT", "SequenceConstruct",
    "SplitToSequence", "ConcatFromSequence", "RNN", "GridSample", "x", "",
)  # fmt: skip
_INPUTS: tuple[list[str], ...] = (
    *([],) * 30, ["x=2x64"], ["x=1x16x64"], ["x"], ["x="], ["x=0x1"], ["y=1"], ["x=1x1x1x1x1"],
    ["x=99999999999999999999"], ["=1"],
    ["x=-1x3"], ["x=1x16x64", "x=1"],
)  # fmt: skip


def setup() -> dict[str, Any]:
    """Make the networks."""
    import stcsim

    return {"models": models(), "a100": stcsim.load_arch("a100")}


def _fields(rng: random.Random, data: bytes) -> bytes:
    """Return a model with one to three fields changed."""
    import onnx

    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(model.graph.node) if model.graph.node else onnx.NodeProto()
        pick = rng.random()
        if pick < 0.38:
            _attribute(rng, node, pick)
        elif pick < 0.7:
            _edges(rng, model.graph, node, pick)
        elif pick < 0.82 and model.graph.initializer:
            _tensor(rng, rng.choice(model.graph.initializer), pick < 0.76)
        elif pick < 0.9 and model.graph.input:
            _input(rng, rng.choice(model.graph.input))
        elif pick < 0.95 and model.opset_import:
            rng.choice(model.opset_import).version = rng.choice((-1, 0, 1, 7, 11, 13, 18, 99, 2**40))
        else:
            model.graph.node.append(node)
    return bytes(model.SerializeToString())


def _attribute(rng: random.Random, node: Any, pick: float) -> None:
    if not node.attribute:
        return
    if pick > 0.3:
        del node.attribute[rng.randrange(len(node.attribute))]
        return
    attribute = rng.choice(node.attribute)
    if attribute.ints and rng.random() < 0.7:
        if rng.random() < 0.5:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_NUMBERS)
        else:
            del attribute.ints[rng.randrange(len(attribute.ints)) :]
    elif rng.random() < 0.5:
        attribute.i = rng.choice(_NUMBERS)
    elif rng.random() < 0.5:
        attribute.type = rng.randrange(14)
    else:
        attribute.s = rng.choice(_WORDS)


def _edges(rng: random.Random, graph: Any, node: Any, pick: float) -> None:
    if pick < 0.5 and node.input:
        names = [name for each in graph.node for name in (*each.input, *each.output)]
        node.input[rng.randrange(len(node.input))] = rng.choice((*names, "", "nowhere"))
    elif pick < 0.56 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif pick < 0.6 and node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(("", "x", "y", "t", "\u202e", "[/b]"))
    else:
        node.op_type = rng.choice(_OPERATORS)


def _tensor(rng: random.Random, tensor: Any, form: bool) -> None:
    if not form:
        tensor.int64_data[:] = [rng.choice((0, -1, 1, 5, 2**40, -(2**63))) for _ in range(rng.randint(0, 4))]
        tensor.ClearField("data_location")
    elif tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, -1, 1, 7, 2**31, 2**62))
    else:
        tensor.data_type = rng.randrange(25)


def _input(rng: random.Random, entry: Any) -> None:
    dims = entry.type.tensor_type.shape.dim
    if dims and rng.random() < 0.7:
        dims[rng.randrange(len(dims))].dim_value = rng.choice((0, -1, 1, 3, 2**31, 2**63 - 1))
    elif dims and rng.random() < 0.6:
        dims[rng.randrange(len(dims))].dim_param = rng.choice(("?", "None", "-1", "unk__7", "N", "B", "", "a b", "\x1b[31m"))
    elif dims:
        del dims[rng.randrange(len(dims)) :]


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage a model, and open it."""
    which = rng.randrange(len(state["models"]))
    part = rng.choices(("fields", "bytes", "as it is"), (62, 33, 5))[0]
    whole, arch = state["models"][which], state["a100"]
    data = {"fields": _fields, "bytes": damage.raw, "as it is": lambda _, same: same}[part](rng, whole)
    batch, inputs = rng.choice((None, None, None, 1, 1, 2, 2, 3, 3, 0, -1, 2**40)), rng.choice(_INPUTS)
    looked = rng.random() < 0.1

    def call() -> Any:
        import stcsim

        if looked:
            stcsim.inspect_checkpoint("x.onnx")
        trace = stcsim.open_trace("x.onnx", batch, inputs)
        trace.to_json()
        return trace, stcsim.run(trace, arch) if trace.macs < 10**10 else None

    def check(found: Any) -> list[str]:
        import stcsim

        trace, result = found
        trace.save("s.json")
        wrong = [] if stcsim.load_trace("./s.json") == trace else ["a trace saved and loaded is another | "]
        return wrong + (laws.of_result(result, arch) if result else [])

    words = f"model {which}, {part}, batch={batch} inputs={inputs}, {len(data)} bytes"
    return Case(part, words, call, check, {"x.onnx": data})
