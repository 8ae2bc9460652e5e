"""Walks an ONNX graph once, in order: shapes first, then an operation for every node that a GPU would run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Self

import onnx
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.contrib import as_standard
from stcsim.capture.onnx_import.control import CONTROL
from stcsim.capture.onnx_import.convolutions import CONVOLUTIONS, is_asymmetric
from stcsim.capture.onnx_import.einsum import einsum, sums_nothing
from stcsim.capture.onnx_import.functions import body_of, definition
from stcsim.capture.onnx_import.inference import Inference
from stcsim.capture.onnx_import.layers import LAYERS, Op, interleaved
from stcsim.capture.onnx_import.live import live_nodes
from stcsim.capture.onnx_import.memory import memory_step
from stcsim.capture.onnx_import.node import Node, Unread
from stcsim.capture.onnx_import.products import PRODUCTS
from stcsim.capture.onnx_import.sequences import SEQUENCES, joined
from stcsim.capture.onnx_import.uses import Uses
from stcsim.capture.onnx_import.values import Role, Value, initializer_value, label
from stcsim.capture.onnx_import.views import VIEWS, scaled, views_of
from stcsim.capture.unhandled import Unhandled, least_macs, multiplying, stays_step
from stcsim.errors import UnsupportedError
from stcsim.isa import DType, dtype
from stcsim.trace import Gemm, Memory

STANDARD = ("", "ai.onnx")

READERS = {**PRODUCTS, **CONVOLUTIONS, **LAYERS, "Einsum": einsum}

#: Convolutions whose padding is that of an image.
ONE_IMAGE = ("Conv", "ConvInteger", "QLinearConv")

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

    def add(self, other: Notes) -> None:
        """Take over the notes of a body."""
        self.unhandled.extend(other.unhandled)
        self.unhandled.least_macs += other.unhandled.least_macs
        for mine, more in ((self.unsized, other.unsized), (self.asymmetric, other.asymmetric), (self.deep, other.deep)):
            mine.extend(name for name in more if name not in mine)


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
        self.body(graph, inputs)
        return self

    def body(self, graph: onnx.GraphProto, inputs: Mapping[str, Value]) -> list[Value]:
        """Walk what a graph's outputs need, fed with ``inputs``, and return its outputs."""
        self._values.update(inputs)
        outside, self._uses = self._uses, Uses(graph)
        for tensor in graph.initializer:
            self._values[tensor.name] = initializer_value(tensor)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            self._values[name] = Value(tuple(sparse.dims), sparse.values.data_type, role="constant", parameter=name)
        for proto in live_nodes(graph):
            self._node(as_standard(proto))
        self._uses = outside
        return [self._values.get(entry.name, Value(None)) for entry in graph.output]

    def apart(self) -> Walk:
        """Return a walk that knows what this one does and has no operations yet, for a body that runs again, or perhaps not."""
        other = copy(self)
        other.ops, other.notes, other.elements = [], Notes(), Counter()
        other._values, other._names, other._owners = dict(self._values), Counter(self._names), dict(self._owners)
        return other

    def adopt(self, other: Walk, ops: Sequence[Op]) -> None:
        """Take over what a walk apart found, with ``ops`` for its operations."""
        self.ops += ops
        self.elements += other.elements
        self._names, self._owners = other._names, other._owners
        self.notes.add(other.notes)

    def reads_a_number(self, names: Sequence[str], values: Sequence[Value]) -> bool:
        """Whether something reads one of these values of which the numbers themselves are known."""
        return any(value.data is not None and self._uses.is_read(name) for name, value in zip(names, values, strict=False))

    def products_in(self, graph: onnx.GraphProto) -> Iterator[str]:
        """Yield the operators in a body that multiply, deeper ones included."""
        for node in graph.node:
            if node.op_type in READERS or multiplying(node.op_type):
                yield node.op_type
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from self.products_in(attribute.g)

    def _node(self, proto: onnx.NodeProto) -> None:
        inputs = [self._values.get(name, Value(None)) if name else None for name in proto.input]
        found = self._results(proto, inputs)
        turn = next((value.turn for value in inputs if value is not None and value.turn), "")
        for name, value in zip(proto.output, found, strict=True):
            self._values[name] = _called(name, value, turn)

    def _results(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> Sequence[Value]:
        """Record what a node does, and return its outputs."""
        if proto.domain in STANDARD and proto.op_type in CONTROL:
            declared = self._inference.declared(proto)
            found = CONTROL[proto.op_type](self, proto, inputs)
            return found if found is not None and len(found) == len(proto.output) else declared
        if proto.domain in STANDARD and proto.op_type in SEQUENCES:
            node = self._described(proto, inputs, [Value(None)] * len(proto.output))
            return [SEQUENCES[proto.op_type](node)]
        if proto.domain in STANDARD and proto.op_type == "ConcatFromSequence":
            node = joined(self._described(proto, inputs, [Value(None)]))
        else:
            proto, inputs = _cast(proto, inputs)
            function = self._definition(proto, inputs)
            if function is not None:
                return self._function(function, proto, inputs)
            node = self._described(proto, inputs, self._inference.outputs(proto, inputs))
        return self._read(node, proto.output)

    def _definition(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> onnx.FunctionProto | None:
        """Return how ONNX defines an operator that multiplies and has no reader."""
        operator = proto.op_type if proto.domain in STANDARD else f"{proto.domain}.{proto.op_type}"
        if operator in READERS or not multiplying(operator):
            return None
        return definition(proto, inputs, self._inference.versions)

    def _function(self, function: onnx.FunctionProto, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Walk the body of a function, in which only its own names mean anything."""
        apart = self.apart()
        apart._inference = Inference({entry.domain: entry.version for entry in function.opset_import}, {})
        feeds = {name: value for name, value in zip(function.input, inputs, strict=False) if value is not None}
        apart._values = {}
        found = apart.body(body_of(function, proto), feeds)
        self.adopt(apart, apart.ops)
        return found

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
            elif node.operator in CONVOLUTIONS and node.operator in ONE_IMAGE and is_asymmetric(node):
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
                self.notes.unsized.append(node.name)
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


def _cast(proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> tuple[onnx.NodeProto, Sequence[Value | None]]:
    """Return CastLike as the Cast that it is, which reads nothing of its second input, and what is read."""
    like = inputs[1] if proto.op_type == "CastLike" and proto.domain in STANDARD and len(inputs) > 1 else None
    if like is None or not like.element:
        return proto, inputs
    cast = helper.make_node("Cast", proto.input[:1], proto.output, proto.name, to=like.element)
    cast.metadata_props.extend(proto.metadata_props)
    return cast, inputs[:1]


def _called(name: str, value: Value, turn: str) -> Value:
    """Return a value with the name by which two products know that they share it, if it is made of parameters alone."""
    value = replace(value, turn=turn) if turn else value
    if not value.is_constant or value.is_integer or value.parameter or value.items is not None:
        return value
    return replace(value, parameter=f"{name}{turn}")


def _may_multiply(node: Node) -> bool:
    """Whether a node without a reader may be a product: its name says so, or a foreign operator reads a matrix of weights."""
    domain, _, name = node.operator.rpartition(".")
    if multiplying(name) and node.operator != "Einsum":
        return True
    foreign = bool(domain) and domain != "com.microsoft"
    return foreign and any(value is not None and value.is_constant and len(value.shape or ()) > 1 for value in node.inputs)


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
