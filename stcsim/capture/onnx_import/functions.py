"""Operators that ONNX defines as functions of simpler ones: what has no reader is read as its definition says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from stcsim.capture.onnx_import.values import Value, label


def definition(node: onnx.NodeProto, inputs: Sequence[Value | None], versions: Mapping[str, int]) -> onnx.FunctionProto | None:
    """Return the function that ``node`` is by ONNX's definition, its attributes in place; ``None`` when it is none.

    Args:
        node: of an operator with a schema.
        inputs: of the node; some definitions depend on their types.
        versions: of the operators of each domain.
    """
    try:
        schema = onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
        if schema.has_context_dependent_function:
            types = [(value.proto() if value is not None else onnx.TypeProto()).SerializeToString() for value in inputs]
            made = schema.get_context_dependent_function(node.SerializeToString(), types)
            function = onnx.FunctionProto.FromString(made)
        elif schema.has_function:
            function = onnx.FunctionProto.FromString(schema.function_body.SerializeToString())
        else:
            return None
    except Exception:  # the library raises several of its own; what it cannot define has no definition
        return None
    given = {attribute.name: attribute for attribute in node.attribute}
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items() if attribute.default_value.name}
    for place, inner in enumerate(function.node):
        inner.name = f"{label(node)}.{inner.op_type.lower()}{place}"
        _put_in(inner, {**defaults, **given})
    return function


def body_of(function: onnx.FunctionProto, node: onnx.NodeProto) -> onnx.GraphProto:
    """Return the nodes of a function as a graph with the outputs that ``node`` has."""
    outputs = [onnx.ValueInfoProto(name=name) for name in function.output[: len(node.output)]]
    return onnx.GraphProto(node=function.node, output=outputs)


def _put_in(node: onnx.NodeProto, attributes: Mapping[str, onnx.AttributeProto]) -> None:
    """Replace references to attributes of the function by what is given; one that is not given is left out."""
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            found = attributes.get(attribute.ref_attr_name)
            if found is None:
                continue
            named = onnx.AttributeProto()
            named.CopyFrom(found)
            named.name = attribute.name
            kept.append(named)
        else:
            for inner in attribute.g.node:
                _put_in(inner, attributes)
            kept.append(attribute)
    del node.attribute[:]
    node.attribute.extend(kept)
