"""Networks in, traces out: runs real model code on tensors without data. PyTorch is imported only when a capture runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.trace import Trace, TraceOrName

__all__ = ["capture", "network_names", "open_trace"]

#: Endings of files that are networks but not traces.
ONNX, CSV = ".onnx", ".csv"


def capture(
    name: str,
    batch: int | None = None,
    input_shape: Sequence[int] | None = None,
    dtype: str = "fp16",
    *,
    arguments: Mapping[str, object] | None = None,
    inputs: Sequence[str] | None = None,
) -> Trace:
    """Return the trace of a known network, of ``module:factory``, or of ``transformers:model``.

    Args:
        name: one of ``network_names()``; ``"module:factory"``, a callable that returns a ``torch.nn.Module``; or
            ``"transformers:"`` and a model type (``gpt2``), a class (``BertForMaskedLM``) or the path of a configuration.
        batch: samples in one pass; the network's own choice, else 1.
        input_shape: of one sample, without the batch; ``module:factory`` needs it or ``inputs``.
        dtype: element type the trace asks for; shapes do not depend on it.
        arguments: of the factory, or of the configuration, e.g. ``{"num_hidden_layers": 2}``.
        inputs: every tensor the network is fed with, ``[NAME=]SIZES[:TYPE]`` each, e.g. ``"ids=1x128:int64"``. The first size is
            the batch, or the one written ``B``.

    Raises:
        TraceError: when the network is unknown, cannot be built, or cannot be run on shapes alone.
    """
    from stcsim.capture.run import capture as run

    return run(name, batch, input_shape, dtype, arguments, inputs)


def open_trace(
    trace: TraceOrName,
    batch: int | None = None,
    inputs: Sequence[str] | None = None,
    dtype: str | None = None,
    values: Sequence[str] | None = None,
) -> Trace:
    """Return the network in a file: a trace (JSON, or the name of one that ships), an ONNX model, or a table of GEMMs (CSV).

    Args:
        trace: a path, of which ``.onnx`` and ``.csv`` say what it is, the name of a trace that ships, or a trace itself.
        batch: samples in one pass; the file's own by default.
        inputs: shapes of inputs of an ONNX model whose axes are open, batch included: ``"x=1x3x224x224"``.
        dtype: element type the trace asks for; the file's own by default.
        values: what inputs of an ONNX model hold on which its branches and loops depend: ``"sr=16000"``, ``"sizes=1,3"``.

    Raises:
        TraceError: when the file cannot be used, an axis stays open, or the batch cannot be had.
    """
    from stcsim.errors import TraceError, quoted
    from stcsim.trace import load_trace

    path = Path(trace) if isinstance(trace, str | os.PathLike) else Path()
    kind = path.suffix.lower()
    if inputs is not None and not isinstance(inputs, str | list | tuple):
        raise TraceError("inputs", "texts such as 'x=1x3x224x224'", quoted(inputs))
    if inputs and kind != ONNX:
        raise TraceError("inputs", "an ONNX model, of which they fix axes", f"'{path}'")
    if values and kind != ONNX:
        raise TraceError("values", "an ONNX model, of whose inputs they are", f"'{path}'")
    if kind == ONNX:
        opened = _open_onnx(path, batch, inputs, values)
    elif kind == CSV:
        from stcsim.capture.csv_file import open_csv

        opened = open_csv(path)
    else:
        opened = load_trace(trace)
    opened = opened if dtype is None else opened.changed(dtype=dtype)
    return opened if batch is None else opened.with_batch(batch)


def _open_onnx(path: Path, batch: int | None, inputs: Sequence[str] | None, values: Sequence[str] | None) -> Trace:
    from importlib.util import find_spec

    from stcsim.errors import TraceError

    if find_spec("onnx") is None:
        raise TraceError(str(path), "onnx to read it (install stcsim[onnx])", "none")
    from stcsim.capture.onnx_import.file import open_onnx

    return open_onnx(path, batch, inputs or (), values or ())


def network_names() -> list[str]:
    """Return the names of the networks that can be captured without writing code."""
    from stcsim.capture.networks import NETWORKS

    return list(NETWORKS)


class _Room(ModuleType):
    """The package, which may be called as its function of the same name: ``stcsim.capture("resnet34")``."""

    def __call__(self, *arguments: Any, **options: Any) -> Trace:
        return capture(*arguments, **options)


sys.modules[__name__].__class__ = _Room
