"""Walks an ONNX graph once, in order: shapes first, then an operation for every node that a GPU would run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import onnx
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.contrib import as_standard
from stcsim.capture.onnx_import.convolutions import CONVOLUTIONS, is_asymmetric
from stcsim.capture.onnx_import.inference import Inference
from stcsim.capture.onnx_import.layers import LAYERS, Op, interleaved
from stcsim.capture.onnx_import.memory import memory_step
from stcsim.capture.onnx_import.node import Node, Unread
from stcsim.capture.onnx_import.products import PRODUCTS, sums_nothing
from stcsim.capture.onnx_import.uses import Uses
from stcsim.capture.onnx_import.values import Role, Value, initializer_value, label
from stcsim.capture.onnx_import.views import VIEWS, scaled, views_of
from stcsim.capture.unhandled import Unhandled, least_macs, multiplying, stays_step
from stcsim.errors import UnsupportedError
from stcsim.isa import DType, dtype
from stcsim.trace import Gemm, Memory

STANDARD = ("", "ai.onnx")

READERS = {**PRODUCTS, **CONVOLUTIONS, **LAYERS}

#: Operators with subgraphs, which run or not as data has it.
CONTROL = ("Loop", "Scan", "If")

USUAL = "fp16"
"""The type of products whose factors tensor cores do not take as the file stores them."""

NOTHING = Value((0,), role="constant")


@dataclass(frozen=True, slots=True)
class Notes:
    """Names of nodes whose operations are missing, or not quite what the file says.

    Attributes:
        unhandled: operators that multiply but have no operation here.
        unsized: steps left out because their sizes depend on data.
        asymmetric: convolutions that are padded on one side more than on the other.
        deep: convolutions in three dimensions.
    """

    unhandled: Unhandled = field(default_factory=Unhandled)
    unsized: list[str] = field(default_factory=list)
    asymmetric: list[str] = field(default_factory=list)
    deep: list[str] = field(default_factory=list)


class Walk:
    """One pass over a graph.

    Attributes:
        ops: operations in the order of the graph; ``scales_with_batch`` is still unknown.
        notes: what the operations do not tell a reader of the trace.
        elements: element types that products read.
    """

    def __init__(self, opsets: Mapping[str, int], declared: Mapping[str, Value]) -> None:
        """Start with nothing seen."""
        self.ops: list[Op] = []
        self.notes = Notes()
        self.elements: Counter[str] = Counter()
        self._values: dict[str, Value] = {}
        self._inference = Inference(opsets, declared)
        self._names: Counter[str] = Counter()
        self._owners: dict[str, str] = {}
        self._uses = Uses(onnx.GraphProto())

    def run(self, graph: onnx.GraphProto, inputs: Mapping[str, Value]) -> Self:
        """Walk ``graph``, fed with ``inputs``.

        Raises:
            TraceError: when shapes do not fit each other.
        """
        self._values.update(inputs)
        self._uses = Uses(graph)
        self._nodes(graph)
        return self

    def _nodes(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            self._values[tensor.name] = initializer_value(tensor)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            self._values[name] = Value(tuple(sparse.dims), sparse.values.data_type, role="constant", parameter=name)
        for proto in graph.node:
            self._node(as_standard(proto))

    def _node(self, proto: onnx.NodeProto) -> None:
        inputs = [self._values.get(name, Value(None)) if name else None for name in proto.input]
        control = proto.op_type in CONTROL
        if control and self._control(proto, inputs):
            return
        outputs = self._inference.declared(proto) if control else self._inference.outputs(proto, inputs)
        node = self._described(proto, inputs, outputs)
        for name, value in zip(proto.output, self._read(node, proto.output), strict=True):
            self._values[name] = value

    def _described(self, proto: onnx.NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> Node:
        """Return a node with its values; outputs that nobody asked for are empty."""
        operator = proto.op_type if proto.domain in STANDARD else f"{proto.domain}.{proto.op_type}"
        asked = [value if name else NOTHING for name, value in zip(proto.output, outputs, strict=True)]
        if operator in VIEWS and inputs and inputs[0] is not None:
            stored = inputs[0].element if operator == "DequantizeLinear" else inputs[0].stored
            asked = [replace(value, stored=stored) for value in asked]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in proto.attribute}
        return Node(operator, label(proto), f"onnx.{proto.op_type}", tuple(inputs), tuple(asked), attributes)

    def _read(self, node: Node, names: Sequence[str]) -> Sequence[Value]:
        """Record the operations of a node and return its outputs, with what computed them."""
        roles = {value.role for value in node.outputs}
        if roles <= {"constant"}:
            return views_of(node) or node.outputs  # runtimes compute it when they load the network
        try:
            if node.operator in READERS and not sums_nothing(node):
                return self._product(node, roles)
        except Unread as reason:
            self._miss(node, str(reason))
            return node.outputs
        if _may_multiply(node):
            self._miss(node)
            if not stays_step(node.operator):
                return node.outputs
        views = views_of(node) or (scaled(node) if self._uses.only_multiplied(names) else None)
        if views is not None or "activation" not in roles:
            return views or node.outputs
        if all(value.element == TensorProto.BOOL for value in node.outputs):  # a mask is made by the kernel that needs it
            return [replace(value, role="index") for value in node.outputs]
        return self._memory(self._named(node))

    def _miss(self, node: Node, reason: str = "") -> None:
        shapes = [value.shape or () for value in node.inputs if value is not None]
        self.notes.unhandled.miss(node.name, node.operator, reason, least_macs(node.operator, shapes))

    def _product(self, node: Node, roles: set[Role]) -> Sequence[Value]:
        """Keep the operations of a product, and what a reader must know about them.

        Raises:
            Unread: when no operation can be made of it.
        """
        node = self._named(node)
        ops = [self._owned(op) for op in READERS[node.operator](node)]
        if "activation" not in roles and all(op.k == 1 for op in ops if isinstance(op, Gemm)):
            return node.outputs  # angles of positions, as in rotary embeddings
        self.ops += ops
        if ops:
            self.elements[_element(node)] += 1
            if node.operator in CONVOLUTIONS and len(node.output_shape()) > 4:
                self.notes.deep.append(node.name)
            elif node.operator in CONVOLUTIONS and node.operator != "ConvTranspose" and is_asymmetric(node):
                self.notes.asymmetric.append(node.name)
        read = {name for op in ops for name in op.inputs}
        last = tuple(op.name for op in ops if op.name not in read)
        laid_out = [interleaved(node, value) for value in node.outputs]
        return [replace(value, role="activation", sources=last) for value in laid_out]

    def _owned(self, op: Op) -> Op:
        """Return an operation with the one that reads the same parameter first in place of the parameter's name."""
        if isinstance(op, Memory) or not op.weight_of:
            return op
        owner = self._owners.setdefault(op.weight_of, op.name)
        return op.changed(weight_of="" if owner == op.name else owner)

    def _memory(self, node: Node) -> Sequence[Value]:
        step = memory_step(node)
        if step is None:
            if any(value.shape is None for value in node.outputs):
                self.notes.unsized.append(f"{node.name}: {node.operator}")
            return node.outputs
        self.ops.append(step)
        counted = any(value is not None and value.role == "activation" and value.is_integer for value in node.inputs)
        role: dict[bool, Role] = {True: "index", False: "activation"}
        return [replace(value, role=role[value.is_integer and not counted], sources=(step.name,)) for value in node.outputs]

    def _named(self, node: Node) -> Node:
        """Return the node under a name no other operation has."""
        self._names[node.name] += 1
        times = self._names[node.name]
        return node if times == 1 else replace(node, name=f"{node.name}#{times}")

    def _control(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> bool:
        """Walk the branch of an ``If`` whose condition is known; report other subgraphs that multiply."""
        bodies = {attribute.name: attribute.g for attribute in proto.attribute if attribute.HasField("g")}
        condition = inputs[0] if inputs else None
        if proto.op_type == "If" and condition is not None and condition.data is not None:
            branch = bodies["then_branch" if condition.data.item() else "else_branch"]
            self._nodes(branch)
            for name, result in zip(proto.output, branch.output, strict=True):
                self._values[name] = self._values.get(result.name, Value(None))
            return True
        products = sorted({name for body in bodies.values() for name in _products(body)})
        if products:
            self.notes.unhandled.miss(label(proto), f"{proto.op_type} of {', '.join(products)}")
        return False


def _may_multiply(node: Node) -> bool:
    """Whether a node without a reader may be a product: its name says so, or a foreign operator reads a matrix of weights."""
    domain, _, name = node.operator.rpartition(".")
    if multiplying(name) and node.operator != "Einsum":
        return True
    foreign = bool(domain) and domain != "com.microsoft"
    return foreign and any(value is not None and value.is_constant and len(value.shape or ()) > 1 for value in node.inputs)


def _products(graph: onnx.GraphProto) -> list[str]:
    """Return the operators in a subgraph that multiply, deeper ones included."""
    found = []
    for node in graph.node:
        if node.op_type in READERS or multiplying(node.op_type):
            found.append(node.op_type)
        found += [name for attribute in node.attribute if attribute.HasField("g") for name in _products(attribute.g)]
    return found


def _element(node: Node) -> str:
    """Return the element type a product runs in: that of its wider factor, so an 8-bit one only when both have it."""
    factors = [value for value in node.inputs if value is not None and len(value.shape or ()) > 1]
    found = [_timed_type(value.stored or value.element) for value in factors] or [dtype(USUAL)]
    return min(found, key=lambda row: (-row.bits, row.name)).name


def _timed_type(element: int) -> DType:
    """Return the type that a tensor core takes an ONNX type in; half precision for what it does not take."""
    try:
        return dtype(TensorProto.DataType.Name(element))
    except UnsupportedError:
        return dtype(USUAL)
