"""Do ONNX Runtime, which runs a network and profiles its kernels, and the importer, which only looks at it, count the same MACs?

``python -m tests.unit.runtime_macs`` prints each comparison with the models of the library onnx.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install stcsim[runtime])")

import numpy as np  # noqa: E402

from tests.unit.runtime_macs import by_runtime, by_stcsim, compare, library_models  # noqa: E402


class Network(NamedTuple):
    """A network that a package on PyPI carries.

    Attributes:
        package: by its name in Python.
        path: inside of it.
        shapes: of the inputs, in the order of the file.
        values: of inputs that are no images, tokens or waves.
        partial: operators in it that multiply and are no products of matrices, which the trace names as missing.
    """

    package: str
    path: str
    shapes: tuple[tuple[int, ...], ...]
    values: dict[str, int] = {}
    partial: tuple[str, ...] = ()


WAVE = {"waveforms_lens": 16000}
WAVES = ((1, 16000), (1,))
VAD = {"sr": 16000}
TEXT = ((1, 40),)

NETWORKS = (
    Network("basic_pitch", "saved_models/icassp_2022/nmp.onnx", ((1, 43844, 1),)),
    Network("ddddocr", "common.onnx", ((1, 1, 64, 64),)),
    Network("ddddocr", "common_det.onnx", ((1, 3, 416, 416),)),
    Network("ddddocr", "common_old.onnx", ((1, 1, 64, 64),)),
    Network("magika", "models/standard_v3_3/model.onnx", ((1, 2048),)),
    Network("nudenet", "320n.onnx", ((1, 3, 320, 320),)),
    *(Network("onnx_asr", f"preprocessors/data/{name}.onnx", WAVES, WAVE) for name in (
        "gigaam_v2_conv", "gigaam_v3_conv", "kaldi_conv", "nemo128_conv", "nemo80_conv", "whisper128_conv", "whisper80_conv",
        "resample_11_16", "resample_11_8", "resample_16_8", "resample_22_16", "resample_22_8", "resample_24_16", "resample_24_8",
        "resample_32_16", "resample_32_8", "resample_44_16", "resample_44_8", "resample_48_16", "resample_48_8", "resample_8_16",
    )),
    *(Network("onnx_asr", f"preprocessors/data/{name}.onnx", WAVES, WAVE, ("STFT",)) for name in (
        "gigaam_v2", "gigaam_v3", "kaldi", "nemo128", "nemo80", "whisper128", "whisper80",
    )),
    Network("onnx_asr", "preprocessors/data/wespeaker.onnx", WAVES, WAVE, ("DFT",)),
    Network("piper", "hebrew/nakdimon.onnx", TEXT),
    Network("piper", "tashkeel/model.onnx", ((1, 40), (1, 40), (1,)), {"input_lengths": 40}),
    Network("rapidocr", "models/PP-OCRv6_det_small.onnx", ((1, 3, 64, 64),)),
    Network("rapidocr", "models/PP-OCRv6_rec_small.onnx", ((1, 3, 48, 64),)),
    Network("rapidocr", "models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", ((1, 3, 48, 192),)),
    Network("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", ((1, 3, 64, 64),)),
    Network("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", ((1, 3, 48, 64),)),
    Network("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", ((1, 3, 48, 192),)),
    Network("silero_vad", "data/silero_vad.onnx", ((1, 576), (2, 1, 128), ()), VAD),
    Network("silero_vad", "data/silero_vad_16k_op15.onnx", ((1, 576), (2, 1, 128), ()), VAD),
    Network("silero_vad", "data/silero_vad_16k_sequence.onnx", ((1, 576), (1, 1, 128), (1, 1, 128))),
    Network("silero_vad", "data/silero_vad_half.onnx", ((1, 576), (2, 1, 128))),
    Network("silero_vad", "data/silero_vad_op18_ifless.onnx", ((1, 576), (), (2, 1, 128)), VAD),
    Network("silero_vad", "data/silero_vad_openvino_16k.onnx", ((1, 576), (2, 1, 128))),
    *(Network("text2tashkeel", f"models/{name}.int8.onnx", TEXT) for name in (
        "bilstm", "rawi", "rawi_ensemble", "rawi_v2", "rawi_v3",
    )),
)  # fmt: skip


def stored(network: Network) -> Path:
    """Return where the file lies; skip where its package is not installed."""
    found = find_spec(network.package)  # not imported: only the files beside it are wanted
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders or not Path(folders[0], network.path).is_file():
        pytest.skip(f"{network.package} with {network.path} is not installed")
    return Path(folders[0], network.path)


def fed(model: Any, network: Network) -> dict[str, Any]:
    """Return inputs of the shapes that the network is compared at."""
    numbers = np.random.default_rng(0)
    kept = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for entry, shape in zip((each for each in model.graph.input if each.name not in kept), network.shapes, strict=True):
        kind = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        drawn = numbers.random(shape) if kind.kind == "f" else np.full(shape, network.values.get(entry.name, 1))
        feeds[entry.name] = np.asarray(drawn, kind)
    return feeds


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.package}-{Path(network.path).stem}")
def test_a_network_of_a_package_has_the_macs_that_the_runtime_performs(network: Network) -> None:
    path = stored(network)
    model = onnx.load(path)
    feeds = fed(model, network)
    macs, uncounted = by_runtime(model, feeds)
    trace = by_stcsim(path, feeds)
    assert trace.macs == macs > 0 and uncounted == {*network.partial}
    assert tuple(line.rsplit(": ")[-1].split()[0] for line in trace.source.unhandled) == network.partial


def test_models_of_the_library_have_the_macs_that_the_runtime_performs(tmp_path: Path) -> None:
    """What the runtime cannot run is not compared: bfloat16, batch-first recurrent layers, Gemm of opset 6, previews.

    A Fourier transform is no product of matrices: both name it, neither counts it.
    """
    found = {name: compare(model, feeds, tmp_path) for name, model, feeds in library_models()}
    other = {name: words for name, words in found.items() if words.split()[0] not in ("equal", "not")}
    assert {name: words for name, words in other.items() if "dft" not in name and "stft" not in name} == {}
    assert all("at least one matrix product" in words and "runtime 0" in words for words in other.values())
    assert Counter(words.split()[0] for words in found.values())["equal"] > 300


LOOP = "loop_body (int64 i, bool go, float[n, 8] h) => (bool on, float[m, 8] next) { on = Identity (go) "

WRITTEN = {
    "a loop": f"y = Loop (seven, true, x) <body = {LOOP}next = MatMul (h, w) }}>",
    "a loop that grows": f"y = Loop (seven, true, x) <body = {LOOP}a = MatMul (h, w) next = Concat <axis = 0> (a, x) }}>",
    "a Scan": "s, y = Scan <num_scan_inputs = 1, body = b (float[8] s, float[8] r) => (float[8] t, float[8] u) "
    "{ a = MatMul (s, w) t = Add (a, r) u = MatMul (r, w) }> (zeros, x)",
    "an Einsum of four": 'y = Einsum <equation = "bi,ij,jk,bk->bk"> (x, w, w, x)',
    "a map": "q = SplitToSequence <axis = 0> (x) "
    "r = SequenceMap <body = b (float[1, 8] s) => (float[1, 8] t) { t = MatMul (s, w) }> (q) "
    "y = ConcatFromSequence <axis = 0> (r)",
    "a branch": "n = Size (x) big = Greater (n, seven) "
    "y = If (big) <then_branch = t () => (float[5, 8] p) { p = MatMul (x, w) }, "
    "else_branch = e () => (float[5, 8] p) { p = Identity (x) }>",
    "a low rank": "v = MatMul (w, w) y = MatMul (x, v)",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_what_the_file_decides_has_the_macs_that_the_runtime_performs(text: str, tmp_path: Path) -> None:
    head = '<ir_version: 10, opset_import: ["": 20]> g (float[5, 8] x) => (float[a, 8] y) <int64 seven = {7}, bool true = {1}>'
    model = onnx.parser.parse_model(f"{head} {{ {text} }}")
    for name, shape in (("w", (8, 8)), ("zeros", (8,))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name))
    words = compare(model, {"x": np.ones((5, 8), np.float32)}, tmp_path)
    assert words.startswith("equal") and words != "equal 0"
