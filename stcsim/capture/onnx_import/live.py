"""Which nodes of an ONNX graph its outputs need: every runtime drops the others when it loads the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx


def live_nodes(graph: onnx.GraphProto, wanted: Iterable[str] = ()) -> list[onnx.NodeProto]:
    """Return the nodes that an output of ``graph`` needs, in their order.

    Args:
        graph: a whole network, or the body of a node.
        wanted: values that are needed instead of the outputs.
    """
    needed = {*wanted} or {entry.name for entry in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(name for name in node.output if name):
            kept.append(node)
            needed.update(read_names(node))
    return kept[::-1]


def read_names(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names of the values that a node reads, those included that its bodies read from outside of them."""
    yield from node.input
    for attribute in node.attribute:
        for body in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            yield from (entry.name for entry in body.output)
            for inner in body.node:
                yield from read_names(inner)
