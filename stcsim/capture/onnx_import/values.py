"""What is known of each value in an ONNX graph: its shape, its element type and, where it is small, the value itself."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from onnx import NodeProto, TensorProto, TypeProto, helper, numpy_helper

Shape = tuple[int, ...]

Role = Literal["constant", "index", "activation"]

INTEGERS = (TensorProto.INT64, TensorProto.INT32, TensorProto.UINT64, TensorProto.UINT32, TensorProto.BOOL)

UINT8 = TensorProto.UINT8

MAX_EVALUATED = 1 << 16
"""Elements of the largest value that is computed: masks and position tables, not weights."""

MAX_SHAPE_LIKE = 256
"""Elements of the largest value that shape inference is shown: sizes, pads, axes."""

_SCOPES = "pkg.torch.onnx.name_scopes"

_PLAIN = (*INTEGERS, TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of one value of a graph.

    Attributes:
        shape: ``None`` when it depends on data.
        element: one of ``TensorProto``'s element types, 0 when unknown.
        stored: element type of what was dequantized to it, which is how it lies in memory; 0 where nothing was.
        data: the value itself, when it depends on no input and is small.
        role: what it depends on: the file alone, or ids and such, as masks and positions do, or numbers fed to the network.
        sources: names of the operations that computed it, views looked through; none for inputs and constants.
        strides: distance between neighbours along each axis, in elements; ``None`` when contiguous.
        parameter: name of the stored tensor that it is, whatever its axes are called now; empty when it is none.
        items: of a sequence whose length is known; ``None`` for tensors.
        turn: of a loop in which it was made of constants that differ from turn to turn; empty for all others.
    """

    shape: Shape | None
    element: int = 0
    stored: int = 0
    data: Any = None
    role: Role = "activation"
    sources: tuple[str, ...] = ()
    strides: Shape | None = None
    parameter: str = ""
    items: tuple[Value, ...] | None = None
    turn: str = ""

    @property
    def is_constant(self) -> bool:
        """Whether it depends on no input of the network."""
        return self.role == "constant"

    @property
    def elements(self) -> int:
        """Number of elements; 0 when unknown."""
        return 0 if self.shape is None else prod(self.shape)

    @property
    def distinct(self) -> int:
        """Number of elements that no expansion repeats; 0 when unknown."""
        if self.shape is None or self.strides is None:
            return self.elements
        return prod(size for size, stride in zip(self.shape, self.strides, strict=True) if stride)

    @property
    def is_integer(self) -> bool:
        """Whether it holds indices, sizes or truth values, as the wide integers do; 8-bit ones hold quantized numbers."""
        return self.element in INTEGERS

    def proto(self) -> TypeProto:
        """Return its type as ONNX writes it."""
        return helper.make_tensor_type_proto(self.element, self.shape)


def initializer_value(tensor: TensorProto) -> Value:
    """Return a tensor stored in the file; data in another file is not read."""
    shape = tuple(tensor.dims)
    inside = tensor.data_location != TensorProto.EXTERNAL
    data = numpy_helper.to_array(tensor) if inside and is_small(tensor) else None
    return Value(shape, tensor.data_type, data=data, role="constant", parameter=tensor.name)


def is_small(tensor: TensorProto) -> bool:
    """Whether a stored tensor may hold sizes, axes, positions or a mask, so that its values count."""
    most = MAX_EVALUATED if tensor.data_type in INTEGERS else MAX_SHAPE_LIKE
    return tensor.data_type in _PLAIN and prod(tensor.dims) <= most


def declared_value(proto: TypeProto, symbols: Mapping[str, int]) -> Value:
    """Return what a file declares of a value, with known symbols in place."""
    if not proto.HasField("tensor_type") or not proto.tensor_type.HasField("shape"):
        return Value(None, proto.tensor_type.elem_type)
    dims = proto.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else symbols.get(dim.dim_param) for dim in dims]
    sizes = [None if size is None or size < 0 else size for size in sizes]  # some exporters write -1 for what they do not know
    shape = None if None in sizes else tuple(size for size in sizes if size is not None)
    return Value(shape, proto.tensor_type.elem_type)


def label(node: NodeProto) -> str:
    """Return the name of a node, as a path with dots; its operator and first output where it has none.

    Newer exporters of PyTorch keep the path of the module beside the name.
    """
    outputs = [name for name in node.output if name]
    name = printable(node.name or " ".join([node.op_type, *outputs[:1]])).strip("/").replace("/", ".")
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
    try:
        path = literal_eval(scopes)[-2]
    except (ValueError, SyntaxError, IndexError, TypeError):
        return name
    return f"{printable(path)}.{name}" if path and isinstance(path, str) else name


def printable(text: str) -> str:
    """Return a text of the file with a mark in place of each character that cannot be printed, or turns the text around."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
