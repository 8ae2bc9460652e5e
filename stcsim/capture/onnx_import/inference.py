"""Shapes of ONNX values, node by node.

Axes are numbers here, never symbols, so every shape that a graph computes from shapes can be computed, by ONNX's own
reference evaluator, and the rest inferred node by node with what came out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stcsim.capture.onnx_import.contrib import CONTRIB
from stcsim.capture.onnx_import.evaluation import evaluated
from stcsim.capture.onnx_import.known import Known, NotKnown, Rule
from stcsim.capture.onnx_import.native import Native, NodeDeath, NodeFault
from stcsim.capture.onnx_import.node import BROKEN
from stcsim.capture.onnx_import.own_shapes import MISSING, WRONG
from stcsim.capture.onnx_import.plain_shapes import PLAIN
from stcsim.capture.onnx_import.schemas import Choice, chosen
from stcsim.capture.onnx_import.values import MAX_SHAPE_LIKE, Role, Shape, Value, declared_value, label, printable
from stcsim.errors import TraceError

#: Operators whose result is known once the shape of what they read is.
SHAPES = ("Shape", "Size")

#: Look-ups of rows by an index, and which input is the table.
TABLES = {
    "EmbedLayerNormalization": 2,
    "Gather": 0,
    "GatherBlockQuantized": 2,
    "GatherElements": 0,
    "GatherND": 0,
    "QEmbedLayerNormalization": 8,
    "TorchEmbedding": 0,
}

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")

STANDARD = ("", "ai.onnx")

#: Types of numbers that a network computes in.
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)

MAX_AXIS = 2**31 - 1
"""The longest axis of a value that is taken for what a file means."""


class Inference:
    """Says what the outputs of a node are.

    Attributes:
        versions: of the operators of each domain.

    Args:
        opsets: version of each domain the file uses.
        declared: what the file itself says of values, used where nothing can be inferred.
        native: ONNX's own inference.
    """

    def __init__(self, opsets: Mapping[str, int], declared: Mapping[str, Value], native: Native) -> None:
        """Keep what the file says."""
        self.versions = {"": 1, **opsets}
        self.versions[""] = max(self.versions[""], self.versions.pop("ai.onnx", 1))
        self._declared, self._native = declared, native
        self._guessed: set[str] = set()

    def outputs(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Return the outputs of ``node``, without a source.

        Raises:
            TraceError: when the shapes of its inputs do not fit each other.
        """
        given = [value for value in inputs if value is not None]
        role = _role(node, inputs)
        choice = chosen(node, self.versions.get(_domain(node), 1))
        found = self._inferred(node, inputs, choice)
        if role == "constant" or _is_known(node, given):
            data = evaluated(node, inputs, found, self._opsets(node, choice))
            if data is not None:
                pairs = zip(data, found, strict=True)
                return [Value(one.shape, value.element or _element(one), data=one, role=role) for one, value in pairs]
        return [Value(value.shape, value.element, role=role) for value in found]

    def within(self, opsets: Mapping[str, int]) -> Inference:
        """Return the inference inside of a function, of which the file says nothing."""
        return Inference(opsets, {}, self._native)

    def declared(self, node: onnx.NodeProto) -> list[Value]:
        """Return what the file itself says of the outputs of ``node``."""
        return [self._declared.get(name, Value(None)) for name in node.output]

    def is_guess(self, node: onnx.NodeProto) -> bool:
        """Whether ``node`` is of an operator nobody knows, whose output is taken to be as large as its input."""
        return self._knows_nothing(node) and any(name in self._guessed for name in node.output)

    def _inferred(self, node: onnx.NodeProto, inputs: Sequence[Value | None], choice: Choice | None) -> list[Value]:
        """Return the outputs without their role, those of the file where they do not follow from the inputs."""
        guessed = any(name in self._guessed for name in node.input)
        try:
            found = self._infer(node, inputs, choice)
            _check(node, inputs, found)
        except NodeFault as error:
            if not guessed and not isinstance(error, NodeDeath) and _is_certain(inputs):
                raise _misfit(node, str(error)) from None
            found = [Value(None)] * len(node.output)
        if guessed:
            self._guessed.update(name for name in node.output if name)
        return [
            value if value.shape is not None else self._told(name, value) for name, value in zip(node.output, found, strict=True)
        ]

    def _told(self, name: str, value: Value) -> Value:
        """Return what the file says of an output whose shape does not follow."""
        told = self._declared.get(name)
        return value if told is None or (told.shape is None and value.element) else told

    def _infer(self, node: onnx.NodeProto, inputs: Sequence[Value | None], choice: Choice | None) -> list[Value]:
        """Return types by a rule, by the operator's schema, or by a guess where there is neither.

        Raises:
            NodeFault: when the inputs do not fit the operator.
        """
        operator = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
        rule = WRONG.get(operator) or CONTRIB.get(operator) or (MISSING.get(operator) if choice is None else None)
        if rule is not None:
            return _by_rule(rule, node, inputs)
        if operator in PLAIN and len(node.output) == 1 and choice is not None:
            (found,) = _by_rule(PLAIN[operator], node, inputs)
            if found.shape is not None and found.element:
                return [found]
        return self._by_schema(node, inputs, choice) if choice is not None else self._guess(node, inputs)

    def _by_schema(self, node: onnx.NodeProto, inputs: Sequence[Value | None], choice: Choice) -> list[Value]:
        named = {name: value for name, value in zip(node.input, inputs, strict=True) if value is not None}
        usual = next((value.element for value in named.values() if value.element in FLOATS), TensorProto.FLOAT)
        types = {name: helper.make_tensor_type_proto(value.element or usual, value.shape) for name, value in named.items()}
        numbers = [name for name, value in named.items() if not value.is_integer]
        data = {
            name: numpy_helper.from_array(value.data)
            for name, value in named.items()
            if value.data is not None and value.data.size <= MAX_SHAPE_LIKE and value.data.dtype.kind in "biuf"
        }
        if len(choice.attributes) < len(node.attribute):
            node = _with_attributes(node, choice.attributes)
        versions = {**self.versions, _domain(node): choice.version}
        try:
            found = self._native.infer(node, choice.version, types, data, versions)
        except NodeDeath:
            raise
        except NodeFault:  # quantized and mixed types do not keep shapes from being inferred
            types.update((name, helper.make_tensor_type_proto(TensorProto.FLOAT, named[name].shape)) for name in numbers)
            found = self._native.infer(node, choice.version, types, data, versions)
            usual = named[numbers[0]].element or usual if numbers else usual
            for one in found.values():
                if one.tensor_type.elem_type == TensorProto.FLOAT:
                    one.tensor_type.elem_type = usual
        return [declared_value(found[name], {}) if name in found else Value(None) for name in node.output]

    def _guess(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Return an output as large as the first input, for an operator that nobody knows and whose outputs nobody tells."""
        found = [Value(None)] * len(node.output)
        first = next((value for value in inputs if value is not None), None)
        told = self._declared.get(node.output[0]) if node.output else None
        if (
            first is None
            or first.shape is None
            or not found
            or not self._knows_nothing(node)
            or (told and told.shape is not None)
        ):
            return found
        self._guessed.update(name for name in node.output if name)
        return [Value(first.shape, first.element), *found[1:]]

    def _knows_nothing(self, node: onnx.NodeProto) -> bool:
        operator = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
        known = operator in CONTRIB or operator in MISSING or operator in WRONG or node.domain.startswith("ai.onnx.")
        return not known and chosen(node, self.versions.get(_domain(node), 1)) is None

    def _opsets(self, node: onnx.NodeProto, choice: Choice | None) -> list[onnx.OperatorSetIdProto]:
        """Return the versions to evaluate ``node`` with: the file's, unless its operator is newer."""
        versions = dict(self.versions)
        if choice is not None:
            versions[_domain(node)] = max(versions.get(_domain(node), 1), choice.version)
        return [helper.make_opsetid(domain, version) for domain, version in versions.items()]


def _by_rule(rule: Rule, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
    """Return the outputs by a rule; unknown ones where it asks for something that is not there."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    shapes: list[Shape | None] = []
    try:
        shapes = [shape and tuple(map(int, shape)) for shape in rule.shapes(Known(attributes, inputs))]
    except (NotKnown, *BROKEN):
        pass  # broken attributes and shapes that do not fit: the readers say so where it costs an operation
    elements = [
        _element_by(rule.elements[min(place, len(rule.elements) - 1)], attributes, inputs) for place in range(len(node.output))
    ]
    padded = [*shapes[: len(elements)], *[None] * (len(elements) - len(shapes))]
    return [Value(shape, element) for shape, element in zip(padded, elements, strict=True)]


def _element_by(source: int | str, attributes: Mapping[str, Any], inputs: Sequence[Value | None]) -> int:
    if isinstance(source, str) and source.startswith("@"):
        told = attributes.get(source[1:])
        return told if isinstance(told, int) else getattr(told, "data_type", 0)
    if isinstance(source, str):
        return int(TensorProto.DataType.Value(source))
    for index in (source, 0):
        value = inputs[index] if index < len(inputs) else None
        if value is not None:
            return value.element
    return 0


def _with_attributes(node: onnx.NodeProto, names: frozenset[str]) -> onnx.NodeProto:
    """Return ``node`` with these attributes alone."""
    plain = onnx.NodeProto()
    plain.CopyFrom(node)
    del plain.attribute[:]
    plain.attribute.extend(attribute for attribute in node.attribute if attribute.name in names)
    return plain


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain in STANDARD else node.domain


def _element(array: np.ndarray[Any, Any]) -> int:
    """Return the element type of a value that was computed; 0 for one ONNX has no name for."""
    try:
        return int(helper.np_dtype_to_tensor_dtype(array.dtype))
    except (KeyError, ValueError, TypeError):
        return 0


def _role(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Role:
    """Return what the outputs of a node depend on; what a look-up takes from a table of numbers is an activation."""
    given = [value for value in inputs if value is not None]
    if node.op_type in SHAPES or (all(value.is_constant for value in given) and node.op_type not in RANDOM):
        return "constant"
    if node.op_type in RANDOM or any(value.role == "activation" for value in given):
        return "activation"
    place = TABLES.get(node.op_type, len(inputs))
    table = inputs[place] if place < len(inputs) else None
    return "activation" if table is not None and not table.is_integer else "index"


def _is_known(node: onnx.NodeProto, given: Sequence[Value]) -> bool:
    """Whether a node that is no constant can be computed, since it reads values that were given or that a turn of a loop has."""
    return bool(given) and node.op_type not in RANDOM and all(value.data is not None for value in given)


def _is_certain(inputs: Sequence[Value | None]) -> bool:
    """Whether a node that is refused is wrong for sure: it reads numbers of the network, and all is known of them."""
    given = [value for value in inputs if value is not None]
    return any(value.role == "activation" for value in given) and all(
        value.shape is not None and value.element for value in given
    )


def _check(node: onnx.NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> None:
    """Refuse what ONNX infers without a look: axes of no length, and a reshape to another number of elements."""
    for value in outputs:
        if value.shape is not None and not all(0 <= size <= MAX_AXIS for size in value.shape):
            raise NodeFault(f"an output of {'x'.join(map(str, value.shape))}")
    first = inputs[0] if inputs else None
    if node.op_type == "Reshape" and first is not None and first.shape is not None and outputs[0].shape is not None:
        if first.elements != outputs[0].elements:
            raise NodeFault(f"{'x'.join(map(str, first.shape))} to be reshaped to {'x'.join(map(str, outputs[0].shape))}")


def _misfit(node: onnx.NodeProto, found: str) -> TraceError:
    lines = found.replace("[ShapeInferenceError]", "").strip().splitlines() or ["no reason"]
    return TraceError(label(node), "inputs whose shapes and types fit each other", printable(lines[0].strip()[:200]))
