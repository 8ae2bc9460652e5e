"""ONNX files as checkpoints: initialisers and constants, external data memory-mapped, and which operator multiplies with each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from stcsim.checkpoint.element_types import BY_ONNX, StorageType
from stcsim.checkpoint.mapped import MappedFile
from stcsim.checkpoint.stored import PLAIN, Codes, StoredTensor, of_array
from stcsim.checkpoint.use import Order, Use
from stcsim.errors import StcsimError, quoted
from stcsim.words import whole_of

#: Which inputs of an operator may be weights, and how they lie. Gemm says so by its attributes.
_OPERANDS: dict[str, dict[int, Order]] = {
    "MatMul": {0: Order.MK, 1: Order.KM},
    "FusedMatMul": {0: Order.MK, 1: Order.KM},
    "MatMulInteger": {0: Order.MK, 1: Order.KM},
    "DynamicQuantizeMatMul": {1: Order.KM},
    "QLinearMatMul": {0: Order.MK, 3: Order.KM},
    "Gemm": {0: Order.MK, 1: Order.KM},
    "Attention": {1: Order.KM},
    "Conv": {1: Order.CONV},
    "FusedConv": {1: Order.CONV},
    "ConvInteger": {1: Order.CONV},
    "QLinearConv": {3: Order.CONV},
    "ConvTranspose": {1: Order.CONV_TRANSPOSED},
    "LSTM": {1: Order.MK, 2: Order.MK},
    "GRU": {1: Order.MK, 2: Order.MK},
    "RNN": {1: Order.MK, 2: Order.MK},
    "Gather": {0: Order.LOOK_UP},
    "MatMulNBits": {1: Order.PACKED},
}
_RECURRENT = {1: "input", 2: "recurrent"}
_SAME_VALUE = ("Identity", "Cast", "DequantizeLinear", "QuantizeLinear")
_SAME_ROWS = ("Unsqueeze", "Squeeze", "Slice", "Concat")
"""What exporters do to the weights of recurrent layers: gates change places, and every row stays whole."""
_TURNED = {Order.MK: Order.KM, Order.KM: Order.MK}


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the graph that is a tensor of the file, turned or not, with another zero or not."""

    name: str
    turned: bool = False
    zero_point: bool = False


class _Graph:
    """Walks a model and collects its tensors and their uses."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self.stack = path, stack
        self.tensors: dict[str, StoredTensor] = {}
        self.uses: dict[str, Use] = {}
        self.mapped: dict[Path, MappedFile] = {}

    def walk(self, graph: Any, outer: dict[str, _Value], place: str = "") -> None:
        """Collect from ``graph``, whose names ``place`` tells apart, and from the graphs inside its operators."""
        values = dict(outer)
        for tensor in graph.initializer:
            values[tensor.name] = self._add(tensor, tensor.name, place)
        for node in graph.node:
            for inner in _tensors_of(node):
                values[node.output[0]] = self._add(inner, node.output[0], place)
            for at, inner in enumerate(_graphs_of(node)):
                self.walk(inner, values, f"{place}{node.name or node.op_type}.{at}/")
            self._pass_on(node, values)
            self._use(node, values)

    def _add(self, tensor: Any, name: str, place: str) -> _Value:
        unique = name if name not in self.tensors else f"{place}{name}"
        stored = self._stored(tensor, unique)
        if stored is not None:
            self.tensors[unique] = stored
        return _Value(unique)

    def _pass_on(self, node: Any, values: dict[str, _Value]) -> None:
        """Give the outputs of operators that change no number the tensor that they hold."""
        held = [values.get(name) for name in (node.input if node.op_type == "Concat" else node.input[:1])]
        found = held[0] if held else None
        if found is None or not node.output or len(set(held)) > 1:
            return
        if node.op_type in _SAME_ROWS:
            values[node.output[0]] = found
        if node.op_type in _SAME_VALUE:
            zero = node.op_type == "DequantizeLinear" and len(node.input) > 2 and bool(node.input[2])
            values[node.output[0]] = replace(found, zero_point=found.zero_point or (zero and self._some(values, node.input[2])))
        if node.op_type == "Transpose":
            order = next((list(each.ints) for each in node.attribute if each.name == "perm"), [1, 0])
            if order == [*range(len(order) - 2), len(order) - 1, len(order) - 2]:
                values[node.output[0]] = replace(found, turned=not found.turned)

    def _some(self, values: dict[str, _Value], name: str) -> bool:
        """Whether a tensor of zero points has one that is not 0."""
        found = values.get(name)
        return found is None or found.name not in self.tensors or bool(np.any(self.tensors[found.name].codes()))

    def _use(self, node: Any, values: dict[str, _Value]) -> None:
        for at, order in _OPERANDS.get(node.op_type, {}).items():
            found = values.get(node.input[at]) if at < len(node.input) else None
            if found is None or found.name not in self.tensors:
                continue
            flag = {0: "transA", 1: "transB"}.get(at, "") if node.op_type in ("Gemm", "FusedMatMul") else ""
            turned = found.turned ^ bool(flag and _attribute(node, flag))
            use = Use(
                node.op_type,
                (f"{node.name}.{_RECURRENT[at]}" if node.op_type in ("LSTM", "GRU", "RNN") else node.name,),
                _TURNED.get(order, order) if turned else order,
                _attribute(node, "group", 1) if "conv" in node.op_type.lower() else 1,
                found.zero_point or self._integer_zero(node, at, values),
            )
            before = self.uses.get(found.name)
            if before is None or before.order is Order.LOOK_UP:
                self.uses[found.name] = use
            elif use.order is before.order:
                self.uses[found.name] = replace(before, nodes=before.nodes + use.nodes)

    def _integer_zero(self, node: Any, at: int, values: dict[str, _Value]) -> bool:
        """Whether an operator on integers is told a zero point of this input that is not 0."""
        beside = {"MatMulInteger": at + 2, "ConvInteger": at + 2, "QLinearMatMul": at + 2, "QLinearConv": at + 2}.get(
            node.op_type
        )
        return (
            beside is not None
            and len(node.input) > beside
            and bool(node.input[beside])
            and self._some(values, node.input[beside])
        )

    def _stored(self, tensor: Any, name: str) -> StoredTensor | None:
        """Return one tensor; none of texts and other things that are no numbers."""
        kind, shape = BY_ONNX.get(tensor.data_type), tuple(int(each) for each in tensor.dims)
        if kind is None:
            return None
        if min(shape, default=0) < 0:
            raise StcsimError(f"{self.path}: {name}", "a shape of sizes from 0 on", str(shape))
        nbytes = (prod(shape) * kind.bits + 7) // 8
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, name, kind, shape, nbytes)
        if not tensor.raw_data:
            numbers = self._numbers(tensor, name, shape)
            codes = (
                numbers if numbers.dtype.kind in "fiu" and numbers.dtype.isbuiltin == 1 else numbers.view(f"u{numbers.itemsize}")
            )
            return of_array(name, codes, kind.name, nbytes)
        if len(tensor.raw_data) != nbytes:
            raise StcsimError(f"{self.path}: {name}", f"{nbytes:,} bytes for shape {shape}", f"{len(tensor.raw_data):,}")
        return of_array(name, _unpacked(np.frombuffer(tensor.raw_data, "|u1"), kind, shape), kind.name, nbytes)

    def _numbers(self, tensor: Any, name: str, shape: tuple[int, ...]) -> Codes:
        """Return numbers that lie in a list, not as bytes."""
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except Exception:  # onnx leaves it to numpy, and to what it meets on the way
            raise StcsimError(f"{self.path}: {name}", f"as many numbers as shape {shape} has", "more or fewer") from None

    def _external(self, tensor: Any, name: str, kind: StorageType, shape: tuple[int, ...], nbytes: int) -> StoredTensor:
        """Return a tensor that lies in a file beside the model, mapped."""
        said = {entry.key: entry.value for entry in tensor.external_data}
        location, where = said.get("location", ""), f"{self.path}: {name}"
        path = self.path.parent / location
        if not location or ".." in Path(location).parts or Path(location).is_absolute():
            raise StcsimError(where, "external data in a file below the model's folder", quoted(location))
        if path not in self.mapped:
            self.mapped[path] = MappedFile(path, "the external data of an ONNX model")
            self.stack.callback(self.mapped[path].close)
        file = self.mapped[path]
        offset, length = (said.get(key, default) for key, default in (("offset", "0"), ("length", str(nbytes))))
        start = whole_of(offset)
        if start is None or whole_of(length) != nbytes:
            raise StcsimError(where, f"{nbytes:,} bytes for shape {shape}", f"offset {quoted(offset)}, length {quoted(length)}")
        if start + nbytes > len(file):
            raise StcsimError(where, f"bytes up to {start + nbytes:,} of {location}", f"a file of {len(file):,}")
        release = file.releaser(start, start + nbytes)

        def read(first: int, last: int) -> Codes:
            if kind.bits < 8:
                return _unpacked(file.array(start, "|u1", (nbytes,)), kind, shape)[first:last]
            return file.array(start, kind.array, shape or (1,))[first:last]

        return StoredTensor(name, shape, kind.name, nbytes, PLAIN, read, release)


def read_onnx(path: Path, stack: ExitStack) -> tuple[dict[str, StoredTensor], tuple[Path, ...], dict[str, Use]]:
    """Return the tensors of a model by name, the files beside it that hold some, and what operators use them for.

    Args:
        path: of the model.
        stack: closes what is mapped.

    Raises:
        StcsimError: when it is no ONNX model, or its external data are missing or too short.
    """
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise StcsimError(str(path), "a file that can be read", (error.strerror or str(error)).lower()) from None
    except Exception:  # protobuf raises an error of its own
        raise StcsimError(str(path), "an ONNX model", "a file that is none, or a truncated one") from None
    if not model.ir_version or not model.graph.node:
        raise StcsimError(str(path), "an ONNX model", "a file without a graph" if path.stat().st_size else "an empty file")
    graph = _Graph(path, stack)
    graph.walk(model.graph, {})
    return graph.tensors, tuple(graph.mapped), graph.uses


def _unpacked(octets: Codes, kind: StorageType, shape: tuple[int, ...]) -> Codes:
    """Return elements from their bytes."""
    if kind.bits >= 8:
        return octets.view(kind.array).reshape(shape)
    codes = np.stack([octets & 15, octets >> 4], axis=-1).ravel()[: prod(shape)].reshape(shape)
    return ((codes ^ 8).astype(np.int8) - 8) if kind.name == "int4" else codes


def _tensors_of(node: Any) -> Iterator[Any]:
    """Yield what a constant holds."""
    if node.op_type == "Constant":
        yield from (each.t for each in node.attribute if each.name == "value")


def _graphs_of(node: Any) -> Iterator[Any]:
    for each in node.attribute:
        if each.type == onnx.AttributeProto.GRAPH:
            yield each.g
        yield from each.graphs


def _attribute(node: Any, name: str, default: int = 0) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), default)
