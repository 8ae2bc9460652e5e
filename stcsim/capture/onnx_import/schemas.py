"""Which version of an operator a node is written in: that of the file's opset, if it fits, else the nearest one that does.

Exporters and optimizers write operators that are newer than the opset they declare, or in the form of an older one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import onnx
from onnx import defs

MAX_OPSET = 2**31 - 1
"""The largest version that ONNX's library takes."""


class Choice(NamedTuple):
    """A version of an operator, and the attributes of the node that it knows."""

    version: int
    attributes: frozenset[str]


def chosen(node: onnx.NodeProto, version: int) -> Choice | None:
    """Return the version of the operator of ``node`` to infer by, or ``None`` where ONNX has no inference for any.

    Args:
        node: of any domain.
        version: what the file declares for the domain.
    """
    names = frozenset(attribute.name for attribute in node.attribute)
    return _chosen(node.op_type, node.domain, version, names, len(node.input))


@cache
def _chosen(operator: str, domain: str, version: int, attributes: frozenset[str], inputs: int) -> Choice | None:
    first = None
    for schema in _candidates(operator, domain, version):
        if first is None:
            first = schema
        if attributes <= set(schema.attributes) and schema.min_input <= inputs <= schema.max_input:
            return Choice(schema.since_version, attributes)
    return None if first is None else Choice(first.since_version, attributes & set(first.attributes))


def _candidates(operator: str, domain: str, version: int) -> Iterator[defs.OpSchema]:
    """Yield the schemas that infer: that of the version, newer ones, then older ones."""
    seen: set[int] = set()
    newest = _newest(domain)
    now = min(max(version, 1), newest)
    for each in (now, *range(now + 1, newest + 1), *range(now - 1, 0, -1)):
        schema = _schema(operator, each, domain)
        if schema is None or schema.since_version in seen:
            continue
        seen.add(schema.since_version)
        if schema.has_type_and_shape_inference_function and not schema.deprecated:
            yield schema


@cache
def _schema(operator: str, version: int, domain: str) -> defs.OpSchema | None:
    try:
        return defs.get_schema(operator, version, domain)
    except (defs.SchemaError, RuntimeError, TypeError):
        return None


def _newest(domain: str) -> int:
    """Return the newest version of a domain that the library knows; 1 for one it does not know."""
    known = {"": defs.onnx_opset_version(), "ai.onnx.ml": defs.onnx_ml_opset_version()}
    return int(known.get(domain, 1))
