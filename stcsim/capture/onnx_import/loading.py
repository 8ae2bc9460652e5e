"""Loads an ONNX file: its graph, checked, with its own functions put in their callers' place, and small tensors beside it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.inliner import inline_local_functions

from stcsim.capture.onnx_import.sound import refuse_unsound
from stcsim.capture.onnx_import.tensors import read_beside
from stcsim.errors import TraceError
from stcsim.trace.model import inside


def load(path: Path) -> onnx.ModelProto:
    """Return the model in a file; weights in other files are measured where they are there, and not read.

    Raises:
        TraceError: when the file is no ONNX model, or breaks the rules of ONNX.
    """
    expected = "an ONNX model"
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise TraceError(str(path), "a file that can be read", error.strerror or str(error)) from None
    except Exception:  # protobuf raises an error of its own
        raise TraceError(str(path), expected, "a file that is none") from None
    if not model.ir_version or not model.graph.node:
        raise TraceError(str(path), expected, "a file without a graph" if path.stat().st_size else "an empty file")
    with inside(str(path), joint=": "):
        refuse_unsound(model)
        if model.functions:
            model = _inlined(model)
        read_beside(model, path.parent)
    return model


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without functions of its own.

    Raises:
        TraceError: when ONNX cannot put one in its callers' place, or what comes out is not sound.
    """
    try:
        inlined = inline_local_functions(model)
    except Exception as error:  # pybind raises what C++ raises
        reason = " ".join(str(error).split())[:200]
        raise TraceError("functions", "ones that ONNX can put in their callers' place", reason or "others") from None
    refuse_unsound(inlined)
    return inlined
