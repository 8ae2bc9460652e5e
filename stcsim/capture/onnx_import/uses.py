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
        return all(self._only_multiplied(name) for name in names)

    def _only_multiplied(self, name: str) -> bool:
        if name in self._leaves or name not in self._nodes:
            return False
        return all(
            node.op_type in (*PRODUCTS, "Einsum") or (node.op_type in THROUGH and self.only_multiplied(node.output))
            for node in self._nodes[name]
        )
