"""Are the models that come with the library onnx, of other exporters and old opsets, read as published?"""

from __future__ import annotations

from pathlib import Path

import pytest

from stcsim.capture import open_trace
from stcsim.errors import StcsimError
from stcsim.trace import Memory, load_trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data"

#: (weights that multiply: the published number of parameters without biases and norms; products; GMACs).
PUBLISHED = {
    "bvlc_alexnet": (60_965_224 - 10_568, 8, 0.655),
    "densenet121": (7_978_856 - 83_648 - 1_000, 121, 2.834),
    "resnet50": (25_557_032 - 53_120 - 1_000, 54, 4.089),
    "squeezenet": (1_235_496 - 3_944, 26, 0.349),
    "vgg19": (143_667_240 - 14_696, 19, 19.632),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_models_of_the_zoo(name: str) -> None:
    trace = open_trace(FOLDER / "light" / f"light_{name}.onnx")
    products = [op for op in trace.ops if not isinstance(op, Memory)]
    weights, count, gmacs = PUBLISHED[name]
    assert (sum(op.weight_elements for op in products), len(products)) == (weights, count)
    assert round(trace.macs / 1e9, 3) == gmacs and trace.source.unhandled == () and "left out" not in trace.source.notes
    if name == "resnet50":
        assert trace.macs == load_trace(name).macs


def test_every_model_is_a_trace_or_one_sentence() -> None:
    """Most are of one operator; what has a product must become a trace."""
    refused = []
    paths = sorted(path for path in FOLDER.rglob("*.onnx") if "node" not in path.parts)
    for path in paths:
        try:
            assert open_trace(path).macs
        except StcsimError as error:
            refused.append(path)
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    multiply = [path for path in refused if {node.op_type for node in onnx.load(path).graph.node} & {"Conv", "Gemm", "MatMul"}]
    assert len(paths) > 100 and multiply == []
