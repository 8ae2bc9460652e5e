"""ONNX files in, traces out: loads the graph without weights in other files, walks it at a batch and at twice that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx.inliner import inline_local_functions

from stcsim.capture.composites import put_together
from stcsim.capture.follow import alike, follow_batch
from stcsim.capture.fusing import decide_fusion
from stcsim.capture.onnx_import.graph import Walk
from stcsim.capture.onnx_import.inputs import InputAxes, Inputs
from stcsim.capture.onnx_import.norms import join_norms
from stcsim.capture.onnx_import.values import Value, declared_value
from stcsim.errors import TraceError
from stcsim.trace import Memory, Op, Source, Trace
from stcsim.trace.model import inside

_SHOWN = 3
"""Names a note lists before it only counts."""


def open_onnx(path: Path, batch: int | None = None, inputs: Sequence[str] = ()) -> Trace:
    """Return the trace of the network in an ONNX file; it asks for 8 bits where most products are quantized, else for 16.

    Args:
        path: the file; weights in other files are neither needed nor read.
        batch: samples in one pass, where the file leaves them open.
        inputs: whole shapes, batch included, of inputs with open axes: ``"x=1x3x224x224"``.

    Raises:
        TraceError: when the file is no ONNX model, an axis stays open, shapes do not fit, or nothing multiplies.
    """
    model, file = _load(path), str(path)
    with inside(file, joint=": "):
        axes = InputAxes(model.graph)
        fixed = axes.fixed(inputs, batch)
        once = _walk(model, fixed, {})
        if all(isinstance(op, Memory) for op in once.ops):
            missed = f"none (not handled: {', '.join(once.notes.unhandled)})" if once.notes.unhandled else "none"
            raise TraceError("operators", "at least one matrix product or convolution", missed)
    ops, problems = _followed(model, axes, fixed, once)
    if problems and batch not in (None, fixed.batch):
        expected = f"{fixed.batch} ({problems[0]}; export it with a dynamic batch axis)"
        raise TraceError(f"{file}: batch", expected, str(batch))
    with inside(file, joint=": "):
        return Trace(
            name=path.stem,
            title=f"{path.stem}, {_lengths(fixed)}",
            source=_source(model, once, problems),
            batch=fixed.batch or 1,
            input_shape=fixed.sample,
            dtype=once.elements.most_common(1)[0][0],
            rescalable=not problems,
            ops=decide_fusion(put_together(join_norms(ops))),
        )


def _load(path: Path) -> onnx.ModelProto:
    """Return the model in a file, its own functions inlined."""
    expected = "an ONNX model"
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise TraceError(str(path), "a file that can be read", error.strerror or str(error)) from None
    except Exception:  # protobuf raises an error of its own
        raise TraceError(str(path), expected, "a file that is none") from None
    if not model.ir_version or not model.graph.node:
        raise TraceError(str(path), expected, "a file without a graph" if path.stat().st_size else "an empty file")
    return inline_local_functions(model) if model.functions else model


def _walk(model: onnx.ModelProto, inputs: Inputs, baked: Mapping[str, Value]) -> Walk:
    """Walk the graph with these inputs; shapes that the file declares do not count where they are as ``baked``."""
    declared = _declared(model, inputs)
    declared = {name: value for name, value in declared.items() if baked.get(name) != value}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return Walk(opsets, declared).run(model.graph, inputs.values)


def _declared(model: onnx.ModelProto, inputs: Inputs) -> dict[str, Value]:
    """Return what the file says of values that are no inputs."""
    entries = [*model.graph.value_info, *model.graph.output]
    return {entry.name: declared_value(entry.type, inputs.symbols) for entry in entries}


def _followed(model: onnx.ModelProto, axes: InputAxes, inputs: Inputs, once: Walk) -> tuple[list[Op], list[str]]:
    """Return the operations of ``once`` with what grows with the batch, and why some do not follow it."""
    baked = _declared(model, inputs)
    twice, refusal = _larger(model, axes.times(inputs, 2), baked, once)
    fourfold: list[Op] = []
    if twice and not alike(once.ops, twice):
        fourfold, _ = _larger(model, axes.times(inputs, 4), baked, once)
    ops, problems = follow_batch(once.ops, twice, fourfold, refusal)
    if sum(op.macs * op.count for op in ops) != sum(op.macs * op.count for op in once.ops):  # some axis was no batch
        return list(once.ops), ["the products do not double with the batch"]
    return ops, problems


def _larger(model: onnx.ModelProto, inputs: Inputs | None, baked: Mapping[str, Value], once: Walk) -> tuple[list[Op], str]:
    """Return the operations at a larger batch; none, and why, where shapes written into the graph do not fit any more."""
    if inputs is None:
        return [], "its inputs have no open axis"
    try:
        walk = _walk(model, inputs, baked)
    except TraceError as error:
        return [], str(error)
    before, now = ([*each.notes.unhandled, *each.notes.unsized] for each in (once, walk))
    if before != now:
        return [], f"it cannot be read there: {', '.join(sorted({*now} ^ {*before})[:_SHOWN])}"
    return walk.ops, ""


def _lengths(inputs: Inputs) -> str:
    """Return the lengths of one sample, for people."""
    if isinstance(inputs.sample, tuple):
        return "x".join(map(str, inputs.sample))
    return ", ".join(f"{size} {name}" for name, size in inputs.sample.items())


def _source(model: onnx.ModelProto, walk: Walk, problems: list[str]) -> Source:
    """Return where the trace comes from, with everything a reader must know about it."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    notes = [
        f"ONNX file, opset {opset}",
        _listed(walk.notes.asymmetric, "padded on one side more than on the other, the extra counted as part of the image"),
        _listed(walk.notes.deep, "3-D, as the implicit GEMM whose input is read once for each tap"),
    ]
    return Source(
        model=model.graph.name or "graph",
        library=model.producer_name or "unknown",
        version=model.producer_version or "unknown",
        notes="; ".join(note for note in notes if note),
        unhandled=tuple(walk.notes.unhandled),
        unhandled_macs=walk.notes.unhandled.least_macs,
        unsized=tuple(walk.notes.unsized),
        fixed_batch=tuple(problems),
    )


def _listed(names: list[str], what: str) -> str:
    """Return a note about operations, the first few by name."""
    if not names:
        return ""
    shown = names[:_SHOWN] + ([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])
    return f"{', '.join(shown)} {what}".strip()
