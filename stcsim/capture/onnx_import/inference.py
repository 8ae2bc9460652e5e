"""Shapes of ONNX values, node by node.

Axes are numbers here, never symbols, so every shape that a graph computes from shapes can be computed, by ONNX's own
reference evaluator, and the rest inferred node by node with what came out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from stcsim.capture.onnx_import.contrib import contrib_shapes
from stcsim.capture.onnx_import.values import MAX_EVALUATED, MAX_SHAPE_LIKE, Role, Value, declared_value, label
from stcsim.errors import TraceError

#: Operators whose result is known once the shape of what they read is.
SHAPES = ("Shape", "Size")

#: Look-ups of rows by an index.
TABLES = ("Gather", "GatherElements", "GatherND", "EmbedLayerNormalization")

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


class Inference:
    """Says what the outputs of a node are.

    Attributes:
        versions: of the operators of each domain.

    Args:
        opsets: version of each domain the file uses.
        declared: what the file itself says of values, used where nothing can be inferred.
    """

    def __init__(self, opsets: Mapping[str, int], declared: Mapping[str, Value]) -> None:
        """Keep what the file says."""
        self._opsets = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        self.versions = {"": 1, **opsets}
        self.versions[""] = max(self.versions[""], self.versions.get("ai.onnx", 1))
        self._declared = declared

    def outputs(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Return the outputs of ``node``, without a source.

        Raises:
            TraceError: when the shapes of its inputs do not fit each other.
        """
        given = [value for value in inputs if value is not None]
        role = _role(node, given)
        found = [self._at_least_declared(name, value) for name, value in zip(node.output, self._infer(node, inputs), strict=True)]
        known = given and node.op_type not in RANDOM and all(value.data is not None for value in given)
        if (role == "constant" or known) and all(value.elements <= MAX_EVALUATED for value in found):
            data = self._evaluate(node, inputs)
            if data is not None:
                pairs = zip(data, found, strict=True)
                return [Value(one.shape, value.element, data=one, role=role) for one, value in pairs]
        return [Value(value.shape, value.element, role=role) for value in found]

    def declared(self, node: onnx.NodeProto) -> list[Value]:
        """Return what the file itself says of the outputs of ``node``."""
        return [self._declared.get(name, Value(None)) for name in node.output]

    def _at_least_declared(self, name: str, value: Value) -> Value:
        return value if value.shape is not None else self._declared.get(name, value)

    def _infer(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Return types by the operator's schema; unknown ones where there is none, or an input is unknown."""
        unknown = self.declared(node)
        try:
            schema = onnx.defs.get_schema(node.op_type, self.versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            return self._contrib(node, inputs, unknown)
        named = {name: value for name, value in zip(node.input, inputs, strict=True) if value is not None}
        types = {name: value.proto() for name, value in named.items()}
        data = {
            name: numpy_helper.from_array(value.data)
            for name, value in named.items()
            if value.data is not None and value.data.size <= MAX_SHAPE_LIKE
        }
        try:
            found = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=self._opsets)
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
            active = any(value.role == "activation" for value in named.values())  # others only lead to sizes unknown
            if active and all(value.shape is not None and value.element for value in named.values()):
                raise _misfit(node, str(error)) from None
            return unknown
        values = [declared_value(found[name], {}) if name in found else Value(None) for name in node.output]
        _check(node, inputs, values)
        return values

    def _contrib(self, node: onnx.NodeProto, inputs: Sequence[Value | None], unknown: list[Value]) -> list[Value]:
        """Return the outputs of an operator that has no schema, numbers of the type of its first input."""
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        shapes = contrib_shapes(node.op_type, attributes, inputs)
        element = inputs[0].element if inputs and inputs[0] is not None else 0
        return [Value(shape, element) for shape in shapes[: len(unknown)]] + unknown[len(shapes) :]

    def _evaluate(self, node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Any] | None:
        """Return the outputs themselves, or ``None`` when an input is unknown or the evaluator does not know the operator."""
        feeds = {}
        for name, value in zip(node.input, inputs, strict=True):
            if value is None:
                continue
            if node.op_type in SHAPES and value.shape is not None:
                feeds[name] = np.broadcast_to(np.int8(0), value.shape)
            elif value.data is not None:
                feeds[name] = value.data
            else:
                return None
        outputs = [name for name in node.output if name]
        function = helper.make_function("stcsim", "node", list(feeds), outputs, [node], self._opsets)
        try:
            with np.errstate(all="ignore"):
                found = ReferenceEvaluator(function).run(None, feeds, attributes={})
        except Exception:  # it raises whatever numpy raises; shapes are inferred without it then
            return None
        named = dict(zip(outputs, map(np.asarray, found), strict=True))
        return [named.get(name, np.zeros(0)) for name in node.output]


def _role(node: onnx.NodeProto, given: Sequence[Value]) -> Role:
    """Return what the outputs of a node depend on; what a look-up takes from a table of numbers is an activation."""
    if node.op_type in SHAPES or (all(value.is_constant for value in given) and node.op_type not in RANDOM):
        return "constant"
    if node.op_type in RANDOM or any(value.role == "activation" for value in given):
        return "activation"
    return "activation" if node.op_type in TABLES and not given[0].is_integer else "index"


def _check(node: onnx.NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> None:
    """Refuse what ONNX infers without a look: empty axes, and a reshape to another number of elements."""
    for value in outputs:
        if value.shape is not None and min(value.shape, default=0) < 0:
            raise _misfit(node, f"an output of {'x'.join(map(str, value.shape))}")
    first = inputs[0] if inputs else None
    if node.op_type == "Reshape" and first is not None and first.shape is not None and outputs[0].shape is not None:
        if first.elements != outputs[0].elements:
            raise _misfit(node, f"{'x'.join(map(str, first.shape))} to be reshaped to {'x'.join(map(str, outputs[0].shape))}")


def _misfit(node: onnx.NodeProto, found: str) -> TraceError:
    lines = found.replace("[ShapeInferenceError]", "").strip().splitlines() or ["no reason"]
    return TraceError(label(node), "inputs whose shapes and types fit each other", lines[0].strip()[:200])
