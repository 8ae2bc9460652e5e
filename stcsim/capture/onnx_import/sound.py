"""What an ONNX file must keep to before anything is inferred of it: names, types, order, and as many values as axes ask for.

ONNX's library takes much of this for granted, some of it in C++ that ends the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from stcsim.capture.onnx_import.schemas import MAX_OPSET
from stcsim.capture.onnx_import.tensors import refuse_wrong_size
from stcsim.capture.onnx_import.values import label
from stcsim.errors import TraceError, quoted

#: Fields of an attribute that hold its value, and the type each is of.
_FIELDS = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
    "tensors": AttributeProto.TENSORS,
    "graphs": AttributeProto.GRAPHS,
}


def refuse_unsound(model: ModelProto) -> None:
    """Refuse a model that breaks ONNX's own rules, and put nodes into an order in which each reads what came before.

    Raises:
        TraceError: when a name is no text, a version is none, functions call each other in a circle, values are missing or
            computed twice, nodes read each other in a circle, or a tensor holds too few or too many values.
    """
    for entry in model.opset_import:
        if not 1 <= entry.version <= MAX_OPSET:
            raise TraceError(f"opset of {quoted(entry.domain or 'ONNX')}", f"a version from 1 to {MAX_OPSET}", str(entry.version))
    _texts("the model", [model.producer_name, model.producer_version, model.graph.name, *_domains(model)])
    _refuse_recursion(model)
    for function in model.functions:
        for node in function.node:
            _node(node)
    _graph(model.graph, frozenset())


def _domains(model: ModelProto) -> Iterator[str]:
    for entry in model.opset_import:
        yield entry.domain
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)


def _graph(graph: GraphProto, outer: frozenset[str]) -> None:
    """Check a graph whose nodes may also read what ``outer`` names."""
    stored = [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]
    entries = [*graph.input, *graph.output, *graph.value_info]
    _texts("a value", [tensor.name for tensor in stored] + [entry.name for entry in entries])
    for entry in graph.input:
        _texts(f"input {quoted(entry.name)}", [dim.dim_param for dim in entry.type.tensor_type.shape.dim])
        if not entry.name.isprintable():
            raise TraceError(f"input {quoted(entry.name)}", "a name of characters that can be printed", "others")
    for tensor in graph.initializer:
        refuse_wrong_size(tensor)
    for node in graph.node:
        _node(node)
    given = outer | {entry.name for entry in graph.input} | {tensor.name for tensor in stored}
    made = _made_by(graph.node)
    for name in made.keys() & ({entry.name for entry in graph.input} | {tensor.name for tensor in stored}):
        raise TraceError(f"value {quoted(name)}", "one node that computes it, or an input or a tensor of that name", "both")
    _put_in_order(graph, given, made)
    inside = given | made.keys()
    for node in graph.node:
        for inner in _subgraphs(node):
            _graph(inner, inside)


def _node(node: NodeProto) -> None:
    """Check names, and the types and tensors of attributes; an attribute without a type is given that of what it holds."""
    if not isinstance(node.name, str) or not isinstance(node.op_type, str):
        raise TraceError("a node", "a name in UTF-8", quoted(node.name))
    if not f"{node.op_type}{node.domain}".isprintable():
        raise TraceError(label(node), "an operator of characters that can be printed", quoted(node.op_type))
    _texts("a node", [node.domain, *node.input, *node.output, *(attribute.name for attribute in node.attribute)])
    _texts("a node", (text for entry in node.metadata_props for text in (entry.key, entry.value)))
    for attribute in node.attribute:
        if not attribute.type:
            attribute.type = next((kind for name, kind in _FIELDS.items() if _holds(attribute, name)), AttributeProto.INTS)
        held = [attribute.t] if attribute.type == AttributeProto.TENSOR else attribute.tensors
        for tensor in held:
            refuse_wrong_size(tensor, label(node))


def _holds(attribute: AttributeProto, field: str) -> bool:
    return len(getattr(attribute, field)) > 0 if field.endswith("s") and field != "s" else bool(attribute.HasField(field))


def _made_by(nodes: Iterable[NodeProto]) -> dict[str, int]:
    """Return which node computes each value, by its place.

    Raises:
        TraceError: when two do.
    """
    made: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in node.output:
            if name and made.setdefault(name, place) != place:
                raise TraceError(f"value {quoted(name)}", "one node that computes it", "two")
    return made


def _put_in_order(graph: GraphProto, given: frozenset[str], made: dict[str, int]) -> None:
    """Sort the nodes, unless each reads only what came before.

    Raises:
        TraceError: when there is no such order, or a node reads what nobody computes.
    """
    reads = [{made.get(name, -1) for name in _read(node) if _computed(node, name, given, made)} for node in graph.node]
    if all(place > before for place, befores in enumerate(reads) for before in befores):
        return
    try:
        order = [*TopologicalSorter(dict(enumerate(reads))).static_order()]
    except CycleError as error:
        names = dict.fromkeys(label(graph.node[place]) for place in error.args[1])
        raise TraceError("graph", "nodes that do not read each other in a circle", quoted(", ".join(names))) from None
    nodes = [onnx.NodeProto.FromString(graph.node[place].SerializeToString()) for place in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _computed(node: NodeProto, name: str, given: frozenset[str], made: dict[str, int]) -> bool:
    """Whether a node of the graph computes a value; one that is nobody's is refused."""
    if name not in made and name not in given:
        raise TraceError(label(node), "inputs that the file holds or computes", quoted(name))
    return name in made


def _read(node: NodeProto) -> Iterator[str]:
    """Yield what a node and its subgraphs read that they do not compute themselves."""
    yield from (name for name in node.input if name)
    for inner in _subgraphs(node):
        own = {entry.name for entry in inner.input} | {tensor.name for tensor in inner.initializer}
        own |= {sparse.values.name for sparse in inner.sparse_initializer}
        own.update(name for each in inner.node for name in each.output)
        yield from (name for each in inner.node for name in _read(each) if name not in own)
        yield from (entry.name for entry in inner.output if entry.name and entry.name not in own)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _refuse_recursion(model: ModelProto) -> None:
    """Refuse functions that call themselves, which cannot be put in their callers' place.

    Raises:
        TraceError: when one does, be it through others.
    """
    own = {(function.domain, function.name) for function in model.functions}
    calls = {
        (function.domain, function.name): {each for node in function.node for each in _called(node)} & own
        for function in model.functions
    }
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise TraceError(
            f"function {quoted(error.args[1][0][1])}", "a function that does not call itself", "one that does"
        ) from None


def _called(node: NodeProto) -> Iterator[tuple[str, str]]:
    yield node.domain, node.op_type
    for inner in _subgraphs(node):
        for each in inner.node:
            yield from _called(each)


def _texts(where: str, names: Iterable[str | bytes]) -> None:
    """Refuse a name that is no text: what is not UTF-8 comes as bytes."""
    for name in names:
        if not isinstance(name, str):
            raise TraceError(where, "names in UTF-8", quoted(name))
