"""MACs of an ONNX model as ONNX Runtime performs them: it runs on the CPU, and every kernel's shapes are read from its profile.

``python -m tests.unit.runtime_macs`` prints what stcsim and the runtime say of the models that come with the library onnx.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from stcsim.capture import open_trace
from stcsim.errors import StcsimError
from stcsim.trace import Trace

CPU = ["CPUExecutionProvider"]

Shapes = Sequence[Sequence[int]]
Attributes = Mapping[str, Any]

STORED = Path(onnx.__file__).parent / "backend" / "test" / "data"


def by_runtime(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> tuple[int, set[str]]:
    """Run ``model``; return its MACs, and the operators among its kernels that multiply in a way not counted here.

    Of the runtime's optimizations only those run that fold constants and keep to standard operators. It does run nodes that no
    output needs, which engines for GPUs drop, so they are taken out before.
    """
    model = _named(model)
    _drop_dead(model.graph)
    nodes = {node.name: node for node in _all_nodes(model.graph)}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_profiling, options.log_severity_level = True, 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")  # else the profile lacks weights
    macs, uncounted = 0, set()
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = _session(model, feeds, options)
        session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text())
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        operator, node = event["args"]["op_name"], nodes.get(event["name"].removesuffix("_kernel_time"))
        if operator in UNCOUNTED:
            uncounted.add(operator)
        elif operator in COUNTED:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute} if node else {}
            inputs, outputs = (_shapes(event["args"][f"{side}_type_shape"]) for side in ("input", "output"))
            macs += COUNTED[operator](attributes, _in_place(node, inputs), outputs)
    return macs, uncounted


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its functions inlined and a name of its own for every node, by which the profile calls it."""
    named = onnx.inliner.inline_local_functions(model) if model.functions else onnx.ModelProto()
    if not model.functions:
        named.CopyFrom(model)
    for place, node in enumerate(_all_nodes(named.graph)):
        node.name = f"n{place}"
    return named


def _drop_dead(graph: onnx.GraphProto) -> None:
    needed, kept = {entry.name for entry in graph.output}, []
    for node in reversed(graph.node):
        if needed & {*node.output} - {""}:
            kept.append(node)
            bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
            inner = [each for body in bodies for each in _all_nodes(body)]
            needed |= {name for each in (node, *inner) for name in each.input}
            needed |= {entry.name for body in bodies for entry in body.output}
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _session(model: onnx.ModelProto, feeds: Mapping[str, Any], options: Any) -> Any:
    """Return a session of the model with its open axes closed, if the runtime takes it so.

    A state of zeros times weights is a constant only where the number of its rows is known. Some branches fit open axes alone.
    """
    try:
        return onnxruntime.InferenceSession(_closed(model, feeds).SerializeToString(), options, providers=CPU)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=CPU)


def _closed(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> onnx.ModelProto:
    """Return the model with inputs of the shapes of what they are fed with."""
    closed = onnx.ModelProto()
    closed.CopyFrom(model)
    for entry in closed.graph.input:
        if entry.name in feeds and entry.type.HasField("tensor_type"):
            shape = helper.make_tensor_value_info(entry.name, 1, feeds[entry.name].shape).type.tensor_type.shape
            entry.type.tensor_type.shape.CopyFrom(shape)
    return closed


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = []
    for node in graph.node:
        found.append(node)
        found += [inner for attribute in node.attribute if attribute.HasField("g") for inner in _all_nodes(attribute.g)]
    return found


def _shapes(entries: Sequence[Mapping[str, list[int]]]) -> list[list[int]]:
    return [shape for entry in entries for shape in entry.values()]


def _in_place(node: onnx.NodeProto | None, inputs: list[list[int]]) -> list[list[int]]:
    """Return the shapes where the node has these inputs; the profile leaves out those it does not have."""
    if node is None or len(inputs) != sum(1 for name in node.input if name):
        return inputs
    given = iter(inputs)
    return [next(given) if name else [] for name in node.input]


def _convolution(filters: int) -> Callable[[Attributes, Shapes, Shapes], int]:
    return lambda _, inputs, outputs: prod(outputs[0]) * prod(inputs[filters][1:])


def _matrices(_: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    left = inputs[0]
    if len(left) == 1:
        return prod(outputs[0]) * left[0]
    rows = outputs[0][-2] if len(inputs[1]) > 1 and len(outputs[0]) > 1 else outputs[0][-1]
    return prod(outputs[0]) * (left[-1] * left[-2] // rows if rows else 0)  # either of the two is rows


def _linear(_: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * (prod(inputs[0]) // outputs[0][0] if outputs[0][0] else 0)


def _recurrent(attributes: Attributes, inputs: Shapes, _: Shapes) -> int:
    first, second, _inner = inputs[0]
    return first * second * (prod(inputs[1]) + prod(inputs[2]))


def _packed(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * int(attributes["K"])


def _attention(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Return both products of ONNX's Attention."""
    query, key, value, _mask, past = [*inputs, [], []][:5] if len(inputs) < 5 else inputs[:5]
    if len(query) == 4:
        (batch, heads, rows, size), tokens, depth = query, key[2], value[3]
    else:
        batch, rows, width = query
        heads, tokens = attributes["q_num_heads"], key[1]
        size, depth = width // heads, value[2] // attributes["kv_num_heads"]
    tokens += past[2] if past else 0
    return int(batch * heads * rows * tokens * (size + depth))


def _einsum(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Return the products of an Einsum as the runtime makes them: from left to right, each letter summed as soon as it can be."""
    terms, _, out = attributes["equation"].decode().replace(" ", "").partition("->")
    words = [_spelled(term, len(shape)) for term, shape in zip(terms.split(","), inputs, strict=True)]
    sizes: dict[str, int] = {}
    for word, shape in zip(words, inputs, strict=True):
        for letter, size in zip(word, shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    everything = "".join(words)
    kept = set(_spelled(out, len(outputs[0]))) if out else {each for each in everything if everything.count(each) == 1}
    macs, left = 0, set(words[0])
    for place, word in enumerate(words[1:], 1):
        later = kept.union(*words[place + 1 :])
        right = set(word)
        summed = (left & right) - later
        alive = {letter for letter in left | right if letter in later or letter in summed}
        macs += prod(sizes[letter] for letter in alive) if summed else 0
        left = alive - summed
    return macs


def _spelled(term: str, rank: int) -> str:
    """Return a term with digits for the axes that dots stand for, counted from the last."""
    missing = rank - len(term.replace("...", ""))
    return term.replace("...", "9876543210"[10 - missing :] if missing else "")


#: MACs of a kernel by its attributes and the shapes of what it read and wrote.
COUNTED: dict[str, Callable[[Attributes, Shapes, Shapes], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "FusedConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "DeformConv": _convolution(1),
    "ConvTranspose": lambda _, inputs, outputs: prod(inputs[0]) * prod(inputs[1][1:]),
    "MatMul": _matrices,
    "FusedMatMul": _matrices,
    "MatMulInteger": _matrices,
    "QLinearMatMul": lambda attributes, inputs, outputs: _matrices(attributes, [inputs[0], inputs[3]], outputs),
    "DynamicQuantizeMatMul": _matrices,
    "MatMulIntegerToFloat": _matrices,
    "MatMulNBits": _packed,
    "Gemm": _linear,
    "FusedGemm": _linear,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "DynamicQuantizeLSTM": _recurrent,
    "Attention": _attention,
    "Einsum": _einsum,
}

#: Kernels that multiply, but not as a product of matrices; or whose work shapes do not tell.
UNCOUNTED = (
    "STFT", "DFT", "LinearAttention", "CausalConvWithState", "SVMClassifier", "SVMRegressor", "LinearClassifier",
    "LinearRegressor", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "QMoE", "MoE", "FlexAttention",
)  # fmt: skip


def by_stcsim(path: Path, feeds: Mapping[str, Any]) -> Trace:
    """Open ``path`` for the shapes of ``feeds``; small integers and truth values are given as values."""
    shapes = [f"{name}={'x'.join(map(str, value.shape))}" for name, value in feeds.items() if value.ndim]
    small = {name: value for name, value in feeds.items() if value.dtype.kind in "iub" and 0 < value.size <= 64}
    values = [f"{name}={','.join(str(each) for each in value.ravel().tolist())}" for name, value in small.items()]
    return open_trace(path, inputs=shapes, values=values)


def compare(model: onnx.ModelProto, feeds: Mapping[str, Any], folder: Path) -> str:
    """Return one sentence: whether the MACs are equal, or what stands between."""
    try:
        macs, uncounted = by_runtime(model, feeds)
    except Exception as error:  # what the runtime cannot run cannot be compared
        return f"not run: {str(error).splitlines()[0][:90]}"
    path = folder / "net.onnx"
    onnx.save(model, path)
    try:
        trace = by_stcsim(path, feeds)
    except StcsimError as error:
        none = macs == 0 and "at least one matrix product" in str(error) and "not handled" not in str(error)
        return "equal 0" if none and not uncounted else f"refused (runtime {macs}, {sorted(uncounted)}): {error}"[:220]
    missing = ", ".join(trace.source.unhandled)
    if trace.macs == macs and not missing and not uncounted:
        return f"equal {macs}"
    kind = "partial" if missing else "uncounted" if uncounted else "DIFFERENT"
    return f"{kind}: stcsim {trace.macs}, runtime {macs} {sorted(uncounted)} {missing}"


def main() -> None:
    """Print a line for each model of the library onnx that multiplies, or of those that the command line names."""
    for name, model, feeds in library_models():
        if len(sys.argv) == 1 or any(word in name for word in sys.argv[1:]):
            with tempfile.TemporaryDirectory() as folder:
                print(name, compare(model, feeds, Path(folder)), flush=True)


def library_models() -> Iterator[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    """Yield the models of the library onnx in which something multiplies, or may, with inputs: (name, model, inputs)."""
    import onnx.backend.test.case.node as nodes

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        made = {case.name: (case.model, case.data_sets[0][0]) for case in nodes.collect_testcases(None)}
    for name, (model, arrays) in sorted(made.items()):
        if _multiplies(model) and all(isinstance(each, np.ndarray) for each in arrays):
            yield name, model, dict(zip(_fed(model), arrays, strict=False))
    for path in sorted(STORED.glob("*/*/model.onnx")):
        model = onnx.load(path)
        if _multiplies(model):
            files = [path.parent / "test_data_set_0" / f"input_{place}.pb" for place in range(len(_fed(model)))]
            tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
            yield path.parent.name, model, dict(zip(_fed(model), map(numpy_helper.to_array, tensors), strict=True))


def _fed(model: onnx.ModelProto) -> list[str]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [entry.name for entry in model.graph.input if entry.name not in stored]


def _multiplies(model: onnx.ModelProto) -> bool:
    nodes = [*_all_nodes(model.graph), *(node for function in model.functions for node in function.node)]
    return any(node.op_type in (*COUNTED, *UNCOUNTED) for node in nodes)


if __name__ == "__main__":
    main()
