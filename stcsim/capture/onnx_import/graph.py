"""Walks an ONNX graph once, in order: shapes first, then an operation for every node that a GPU would run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Self

import onnx
from onnx import helper

from stcsim.capture.onnx_import.control import CONTROL
from stcsim.capture.onnx_import.functions import body_of, definition
from stcsim.capture.onnx_import.inference import STANDARD, Inference
from stcsim.capture.onnx_import.layers import Op
from stcsim.capture.onnx_import.live import live_nodes
from stcsim.capture.onnx_import.native import Native
from stcsim.capture.onnx_import.node import BROKEN, MISSHAPEN, Node, Unread
from stcsim.capture.onnx_import.record import READERS, Notes, Record
from stcsim.capture.onnx_import.rewriting import rewritten
from stcsim.capture.onnx_import.sequences import SEQUENCES, joined
from stcsim.capture.onnx_import.uses import Uses
from stcsim.capture.onnx_import.values import Value, initializer_value, label
from stcsim.capture.onnx_import.views import VIEWS
from stcsim.capture.unhandled import multiplying

NOTHING = Value((0,), role="constant")

MAX_BODIES = 6_000
"""Bodies that are walked in one file, those of every turn that is looked at."""


class Walk:
    """One pass over a graph, or over a body in it."""

    def __init__(self, opsets: Mapping[str, int], declared: Mapping[str, Value], native: Native) -> None:
        """Start with nothing seen."""
        self._record = Record()
        self._values: dict[str, Value] = {}
        self._inference = Inference(opsets, declared, native)
        self._uses = Uses(onnx.GraphProto())
        self._bodies_left = [MAX_BODIES]

    @property
    def ops(self) -> list[Op]:
        """Operations in the order of the graph; ``scales_with_batch`` is still unknown."""
        return self._record.ops

    @property
    def notes(self) -> Notes:
        """What the operations do not tell a reader of the trace."""
        return self._record.notes

    @property
    def elements(self) -> Counter[str]:
        """Element types that products read."""
        return self._record.elements

    def run(self, graph: onnx.GraphProto, inputs: Mapping[str, Value]) -> Self:
        """Walk ``graph``, fed with ``inputs``.

        Raises:
            TraceError: when shapes do not fit each other.
        """
        self.body(graph, inputs)
        return self

    def body(self, graph: onnx.GraphProto, inputs: Mapping[str, Value]) -> list[Value]:
        """Walk what a graph's outputs need, fed with ``inputs``, and return its outputs.

        Raises:
            Unread: after so many bodies that the file is not meant to be read so.
        """
        self._bodies_left[0] -= 1
        if self._bodies_left[0] < 0:
            raise Unread(f"more than {MAX_BODIES:,} turns to look at")
        self._values.update(inputs)
        outside, self._uses = self._uses, Uses(graph)
        for tensor in graph.initializer:
            self._values[tensor.name] = initializer_value(tensor)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            self._values[name] = Value(tuple(sparse.dims), sparse.values.data_type, role="constant", parameter=name)
        try:
            for proto in live_nodes(graph):
                for each in rewritten(proto, self._inputs(proto)):
                    self._node(each)
        finally:
            self._uses = outside
        return [self._values.get(entry.name, Value(None)) for entry in graph.output]

    def apart(self) -> Walk:
        """Return a walk that knows what this one does and has no operations yet, for a body that runs again, or perhaps not."""
        other = copy(self)
        other._record, other._values = self._record.apart(), dict(self._values)
        return other

    def adopt(self, other: Walk, ops: Sequence[Op]) -> None:
        """Take over what a walk apart found, with ``ops`` for its operations."""
        self._record.adopt(other._record, ops)

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

    def _inputs(self, proto: onnx.NodeProto) -> list[Value | None]:
        return [self._values.get(name, Value(None)) if name else None for name in proto.input]

    def _node(self, proto: onnx.NodeProto) -> None:
        inputs = self._inputs(proto)
        try:
            found = [*zip(proto.output, self._results(proto, inputs), strict=True)]
        except (Unread, *BROKEN) as error:  # a body or a function that is not there, or has other outputs
            self.notes.unhandled.miss(label(proto), proto.op_type, str(error) if isinstance(error, Unread) else MISSHAPEN)
            found = [*zip(proto.output, self._inference.declared(proto), strict=True)]
        turn = next((value.turn for value in inputs if value is not None and value.turn), "")
        for name, value in found:
            self._values[name] = _called(name, value, turn)

    def _results(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> Sequence[Value]:
        """Record what a node does, and return its outputs."""
        if proto.domain not in STANDARD or proto.op_type not in (*CONTROL, *SEQUENCES, "ConcatFromSequence"):
            return self._usual(*_cast(proto, inputs))
        unknown = [Value(None)] * len(proto.output)
        if proto.op_type in CONTROL:
            found = CONTROL[proto.op_type](self, proto, inputs)
            return found if found is not None and len(found) == len(unknown) else self._inference.declared(proto)
        node = self._described(proto, inputs, unknown)
        return [SEQUENCES[node.operator](node)] if node.operator in SEQUENCES else self._read(joined(node), proto)

    def _usual(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> Sequence[Value]:
        """Record a node that has no body and no sequence, and return its outputs."""
        outputs = self._inference.outputs(proto, inputs)
        known = all(value.shape is not None for name, value in zip(proto.output, outputs, strict=True) if name)
        function = self._definition(proto, inputs) if known else None
        if function is not None:
            return self._function(function, proto, inputs)
        return self._read(self._described(proto, inputs, outputs), proto)

    def _read(self, node: Node, proto: onnx.NodeProto) -> Sequence[Value]:
        return self._record.read(node, lambda: self._uses.only_multiplied(proto.output))

    def _definition(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> onnx.FunctionProto | None:
        """Return how ONNX defines an operator that multiplies and has no reader."""
        operator = proto.op_type if proto.domain in STANDARD else f"{proto.domain}.{proto.op_type}"
        if operator in READERS or not multiplying(operator):
            return None
        return definition(proto, inputs, self._inference.versions)

    def _function(self, function: onnx.FunctionProto, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Walk the body of a function, in which only its own names mean anything."""
        apart = self.apart()
        apart._inference = self._inference.within({entry.domain: entry.version for entry in function.opset_import})
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
        guessed = self._inference.is_guess(proto)
        return Node(operator, label(proto), f"onnx.{proto.op_type}", tuple(inputs), tuple(asked), attributes, guessed)


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
