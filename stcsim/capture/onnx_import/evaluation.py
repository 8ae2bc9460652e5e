"""Values that depend on no input of the network, computed by ONNX's own reference evaluator: sizes, axes, positions, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from stcsim.capture.onnx_import.values import MAX_EVALUATED, Value

#: Operators that can make much of little, so that they are computed only when the size of what they return is known.
GROWING = frozenset(
    "AffineGrid BlackmanWindow CenterCropPad Col2Im ConstantOfShape ConvTranspose DFT Expand EyeLike HammingWindow HannWindow If "
    "Loop MaxUnpool MelWeightMatrix OneHot Pad Range Resize STFT Scan SequenceMap Tile Upsample".split()
)


def evaluated(
    node: onnx.NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value], opsets: Sequence[onnx.OperatorSetIdProto]
) -> list[Any] | None:
    """Return the outputs themselves, or ``None`` when an input is unknown, they are large, or the evaluator cannot compute them.

    Args:
        node: one whose inputs depend on no input of the network, or of which only the shape counts.
        inputs, outputs: what is known of them.
        opsets: versions of the domains.
    """
    unbounded = node.op_type in GROWING and not _is_short_range(node, inputs)
    if any(value.elements > MAX_EVALUATED or (value.shape is None and unbounded) for value in outputs):
        return None
    if node.op_type in ("Shape", "Size"):
        return _of_shape(node, inputs)
    feeds = {name: value.data for name, value in zip(node.input, inputs, strict=True) if value is not None}
    if any(data is None for data in feeds.values()):
        return None
    named = [name for name in node.output if name]
    try:
        function = helper.make_function("stcsim", "node", list(feeds), named, [node], opsets)
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(function).run(None, feeds, attributes={})
        results = dict(zip(named, map(np.asarray, found), strict=True))
    except Exception:  # it raises whatever numpy raises; shapes are inferred without it then
        return None
    return [results.get(name, np.zeros(0)) for name in node.output]


def _is_short_range(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> bool:
    """Whether ``node`` is a Range of few numbers, whose ends are lists of one number, which inference does not take."""
    numbers = [value.data.item() for value in inputs if value is not None and value.data is not None and value.elements == 1]
    return node.op_type == "Range" and len(numbers) == 3 and abs(numbers[1] - numbers[0]) <= MAX_EVALUATED * abs(numbers[2])


def _of_shape(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> list[Any] | None:
    """Return what ``Shape`` or ``Size`` says of its input."""
    value = inputs[0] if inputs else None
    if value is None or value.shape is None or len(node.output) != 1:
        return None
    if node.op_type == "Size":
        return [np.array(value.elements, dtype=np.int64)] if value.elements < 2**63 else None
    ends = {attribute.name: attribute.i for attribute in node.attribute}
    return [np.array(value.shape[ends.get("start", 0) : ends.get("end", len(value.shape))], dtype=np.int64)]
