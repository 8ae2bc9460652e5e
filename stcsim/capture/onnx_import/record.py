"""What a walk over an ONNX graph has found: operations, each under a name of its own, and what is missing from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from onnx import TensorProto

from stcsim.capture.onnx_import.contrib_attention import CONTRIB_ATTENTION
from stcsim.capture.onnx_import.contrib_products import CONTRIB_PRODUCTS
from stcsim.capture.onnx_import.convolutions import CONVOLUTIONS, is_asymmetric
from stcsim.capture.onnx_import.einsum import einsum, sums_nothing
from stcsim.capture.onnx_import.experts import EXPERTS
from stcsim.capture.onnx_import.layers import LAYERS, Op, interleaved
from stcsim.capture.onnx_import.memory import memory_step
from stcsim.capture.onnx_import.node import BROKEN, GUESSED, MISSHAPEN, Node, Unread
from stcsim.capture.onnx_import.products import PRODUCTS
from stcsim.capture.onnx_import.values import Role, Value
from stcsim.capture.onnx_import.views import scaled, views_of
from stcsim.capture.unhandled import Unhandled, least_macs, multiplying, stays_step
from stcsim.errors import UnsupportedError
from stcsim.isa import DType, dtype
from stcsim.trace import Gemm, Memory

READERS = {**PRODUCTS, **CONTRIB_PRODUCTS, **CONVOLUTIONS, **LAYERS, **CONTRIB_ATTENTION, **EXPERTS, "Einsum": einsum}

#: Convolutions whose padding is that of an image.
_PADDED = ("Conv", "ConvInteger", "QLinearConv")

#: Operators that quantize what they read on the way where their weight, the second input, is in 8 bits.
QUANTIZING = ("com.microsoft.DynamicQuantizeMatMul", "LSTM")

USUAL = "fp16"
"""The type of products whose factors tensor cores do not take as the file stores them."""


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


class Record:
    """The operations of a network, or of a part that may not run.

    Attributes:
        ops: operations in the order of the graph; ``scales_with_batch`` is still unknown.
        notes: what the operations do not tell a reader of the trace.
        elements: element types that products read.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.ops: list[Op] = []
        self.notes = Notes()
        self.elements: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._owners: dict[str, str] = {}

    def apart(self) -> Record:
        """Return an empty record that gives out no name which this one has given out."""
        other = Record()
        other._names, other._owners = Counter(self._names), dict(self._owners)
        return other

    def adopt(self, other: Record, ops: Sequence[Op]) -> None:
        """Take over a record that was made apart, with ``ops`` for its operations."""
        self.ops += ops
        self.elements += other.elements
        self._names, self._owners = other._names, other._owners
        self.notes.add(other.notes)

    def read(self, node: Node, only_multiplied: Callable[[], bool]) -> Sequence[Value]:
        """Record the operations of a node and return its outputs, with what computed them.

        Args:
            node: with what is known of its values.
            only_multiplied: whether nothing but products reads its outputs.
        """
        try:
            return self._read(node, only_multiplied)
        except BROKEN:
            self._miss(node, MISSHAPEN)
            return node.outputs

    def _read(self, node: Node, only_multiplied: Callable[[], bool]) -> Sequence[Value]:
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
        elif node.is_guess:
            self._miss(node, GUESSED)
        views = views_of(node) or (scaled(node) if only_multiplied() else None)
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
        element = _element(node) if ops else ""  # before anything is kept: what has no type is not half read
        self.ops += ops
        if ops:
            self.elements[element] += 1
            if node.operator in CONVOLUTIONS and len(node.output_shape()) > 4:
                self.notes.deep.append(node.name)
            elif node.operator in CONVOLUTIONS and node.operator in _PADDED and is_asymmetric(node):
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


def _may_multiply(node: Node) -> bool:
    """Whether a node without a reader may be a product: its name says so, or a foreign operator reads a matrix of weights."""
    domain, _, name = node.operator.rpartition(".")
    if multiplying(name) and node.operator != "Einsum":
        return True
    foreign = bool(domain) and domain != "com.microsoft"
    return foreign and any(value is not None and value.is_constant and len(value.shape or ()) > 1 for value in node.inputs)


def _element(node: Node) -> str:
    """Return the element type a product runs in: that of its wider factor, so an 8-bit one only when both have it."""
    factors = [value for value in node.inputs if value is not None and len(value.shape or ()) > 1 and not value.is_integer]
    if node.operator in QUANTIZING and factors[1:2] and factors[1].element in (TensorProto.INT8, TensorProto.UINT8):
        factors = factors[1:2]
    found = [_timed_type(value.stored or value.element) for value in factors] or [dtype(USUAL)]
    return min(found, key=lambda row: (-row.bits, row.name)).name


@cache
def _timed_type(element: int) -> DType:
    """Return the type that a tensor core takes an ONNX type in; half precision for what it does not take."""
    try:
        return dtype(TensorProto.DataType.Name(element))
    except UnsupportedError:
        return dtype(USUAL)
