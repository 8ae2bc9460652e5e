"""Small ONNX files made by hand: one node, or a few, with weights of any shape and no values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from stcsim.capture import open_trace
from stcsim.trace import Conv2d, Gemm, Memory, Trace

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

Shape = Sequence[int | str | None]


def node(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """Return a node; ``domain.Operator`` is of another domain, and ``-`` is an input or output left out."""
    domain, _, name = operator.rpartition(".")
    names = [[word.replace("-", "") for word in words.split()] for words in (inputs, outputs)]
    return helper.make_node(name, *names, name=attributes.pop("name", name.lower()), domain=domain, **attributes)


def constant(name: str, values: Sequence[int]) -> onnx.TensorProto:
    """Return sizes or axes with their values."""
    return helper.make_tensor(name, INT64, [len(values)], values)


def weight(name: str, *shape: int, kind: int = FLOAT) -> onnx.TensorProto:
    """Return a tensor whose values lie in a file that is not there."""
    tensor = onnx.TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="nowhere.bin")
    return tensor


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    tensors: Sequence[onnx.TensorProto] = (),
    opset: int = 20,
    kinds: Mapping[str, int] | None = None,
    outputs: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Return a model; its outputs are those of the last node, of unknown shape."""
    entries = [helper.make_tensor_value_info(name, (kinds or {}).get(name, FLOAT), shape) for name, shape in inputs.items()]
    ends = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs or [*nodes[-1].output] if name]
    graph = helper.make_graph(list(nodes), "made by hand", entries, ends, initializer=list(tensors))
    domains = sorted({each.domain for each in nodes} - {""})
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, producer_name="tests", producer_version="1")


def read(tmp_path: Path, made: onnx.ModelProto, *given: str, batch: int | None = None) -> Trace:
    """Write a model and open it as a trace."""
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    return open_trace(path, batch, given)


def gemms(trace: Trace) -> list[tuple[int, int, int, int, bool, str | None]]:
    """Return (m, n, k, batch, has a weight, what grows) of the GEMMs."""
    return [
        (op.m, op.n, op.k, op.batch, bool(op.weight_operand), op.scales_with_batch) for op in trace.ops if isinstance(op, Gemm)
    ]


def convs(trace: Trace) -> list[Conv2d]:
    """Return the convolutions."""
    return [op for op in trace.ops if isinstance(op, Conv2d)]


def steps(trace: Trace) -> list[tuple[str, int, int, int]]:
    """Return (operator, read, written, constants) of the steps that move data."""
    moves = [op for op in trace.ops if isinstance(op, Memory)]
    return [(op.operator, op.elements_read, op.elements_written, op.constant_elements) for op in moves]
