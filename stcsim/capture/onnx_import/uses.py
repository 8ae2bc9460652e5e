"""Who reads a value of an ONNX graph, as far as it matters: whether nothing but products does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import onnx

from stcsim.capture.onnx_import.live import read_names
from stcsim.capture.onnx_import.products import PRODUCTS

#: What a value may pass through on its way into a product.
THROUGH = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")


class Uses:
    """The nodes that read each value of a graph; what leaves it, or enters a subgraph, is read by others."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Index the graph."""
        self._nodes: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self._leaves = {entry.name for entry in graph.output}
        for node in graph.node:
            for name in node.input:
                self._nodes[name].append(node)
            if node.attribute:
                self._leaves.update(name for name in read_names(node) if name not in node.input)

    def is_read(self, name: str) -> bool:
        """Whether anything reads this value."""
        return name in self._nodes or name in self._leaves

    def only_multiplied(self, names: Iterable[str]) -> bool:
        """Whether each of these values is read by matrix products alone, whose kernels multiply by one number for nothing."""
        left, seen = [*names], set[str]()
        while left:
            name = left.pop()
            if name in self._leaves or name not in self._nodes:
                return False
            others = [node for node in self._nodes[name] if node.op_type not in (*PRODUCTS, "Einsum")]
            if any(node.op_type not in THROUGH for node in others):
                return False
            seen.add(name)
            left += [behind for node in others for behind in node.output if behind not in seen]
        return True
