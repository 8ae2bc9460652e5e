"""Do a network's ONNX file and its own model code give the same operations? Two importers that share no reading code."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stcsim.capture import capture, open_trace
from stcsim.trace import Conv2d, Gemm, Memory, Trace

pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")
nn, functional = torch.nn, torch.nn.functional

from tests.unit.modules import Runs  # noqa: E402

#: What both must agree in; names and origins differ, and edges carry names.
FREE = {"name", "origin", "inputs", "weight_of", "fuses_into"}


def products(trace: Trace) -> Counter[str]:
    """Return the GEMMs and convolutions, without their names."""
    return Counter(str(op.model_dump(exclude=FREE)) for op in trace.ops if isinstance(op, Gemm | Conv2d))


def steps(trace: Trace) -> Counter[tuple[object, ...]]:
    """Return the steps that move data, and whether another kernel does them."""
    moves = [op for op in trace.ops if isinstance(op, Memory)]
    return Counter(
        (op.operator, op.elements_read, op.elements_written, op.constant_elements, bool(op.fuses_into)) for op in moves
    )


def export(module: Any, fed: Any, path: Path, **options: Any) -> Path:
    """Write the ONNX file of a module; the exporter has much to say about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (fed,), path, dynamo=False, input_names=["x"], **options)
    return path


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Trace, Trace]]:
    """Return a function that gives the traces of a module from its code and from its ONNX file, at batch 2."""

    def run(module: Any, *shape: int) -> tuple[Trace, Trace]:
        monkeypatch.setattr(sys.modules[__name__], "made_here", lambda: module, raising=False)
        from_code = capture(f"{__name__}:made_here", 2, shape)
        path = export(
            module.to_empty(device="cpu"), torch.zeros(2, *shape), tmp_path / "net.onnx", dynamic_axes={"x": {0: "batch"}}
        )
        return from_code, open_trace(path, 2)

    return run


def first(layer: Any) -> Any:
    return Runs(lambda self, x: self.layer(x)[0], layer=layer)


def attention() -> Any:
    layer = nn.MultiheadAttention(16, 4, batch_first=True)
    return Runs(lambda self, x: self.layer(x, x, x, need_weights=False)[0], layer=layer)


def experts() -> Any:
    return Runs(lambda self, x: x[:, None] @ self.experts, experts=nn.Parameter(torch.zeros(3, 8, 24)))


def mixed() -> Any:
    return Runs(lambda self, x: torch.einsum("oi,bin->bon", self.mix, x), mix=nn.Parameter(torch.zeros(20, 8)))


def images() -> Any:
    begin = nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.SiLU()
    return nn.Sequential(*begin, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


#: Modules whose exporter writes the same steps as aten runs.
ALIKE: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(8, 16), (8,)),
    "two activations": (lambda: Runs(lambda _, x: torch.bmm(x, x.transpose(1, 2))), (5, 8)),
    "experts": (experts, (5, 8)),
    "conv1d": (lambda: nn.Conv1d(8, 16, 3, stride=2, padding=1), (8, 10)),
    "conv2d": (lambda: nn.Conv2d(16, 32, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=4), (16, 10, 20)),
    "depthwise": (lambda: nn.Conv2d(16, 16, 3, padding="same", groups=16), (16, 10, 20)),
    "conv3d": (lambda: nn.Conv3d(4, 6, 3, padding=1, groups=2), (4, 6, 8, 10)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (8, 7, 9)),
    "transposed 1-D": (lambda: nn.ConvTranspose1d(8, 6, 4, stride=2, padding=1), (8, 7)),
    "transposed 3-D": (lambda: nn.ConvTranspose3d(8, 6, 4, stride=2, padding=1), (8, 7, 3, 3)),
    "lstm": (lambda: first(nn.LSTM(6, 8, batch_first=True, num_layers=2, bidirectional=True)), (3, 6)),
    "gru": (lambda: first(nn.GRU(6, 8, batch_first=True)), (3, 6)),
    "rnn": (lambda: first(nn.RNN(6, 8, batch_first=True)), (3, 6)),
    "attention": (lambda: Runs(lambda _, x: functional.scaled_dot_product_attention(x, x, x)), (2, 6, 16)),
}

#: Modules that the exporter takes apart in another way.
SAME_PRODUCTS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "einsum": (mixed, (8, 10)),
    "one-sided padding": (lambda: nn.Conv2d(16, 16, 4, padding="same"), (16, 10, 20)),
    "multi-head attention": (attention, (6, 16)),
    "linear layers": (lambda: nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.LayerNorm(8), nn.Linear(8, 4, bias=False)), (5, 8)),
    "images": (images, (4, 8, 8)),
}


@pytest.mark.parametrize(("build", "shape"), ALIKE.values(), ids=ALIKE)
def test_the_same_operations(both: Callable[..., tuple[Trace, Trace]], build: Callable[[], Any], shape: tuple[int, ...]) -> None:
    code, file = both(build(), *shape)
    assert products(file) == products(code) and steps(file) == steps(code)
    assert (file.macs, file.rescalable, file.source.unhandled) == (code.macs, True, ())


@pytest.mark.parametrize(("build", "shape"), SAME_PRODUCTS.values(), ids=SAME_PRODUCTS)
def test_the_same_products(both: Callable[..., tuple[Trace, Trace]], build: Callable[[], Any], shape: tuple[int, ...]) -> None:
    code, file = both(build(), *shape)
    assert products(file) == products(code) and (file.macs, file.source.unhandled) == (code.macs, ())


# --- whole networks


def test_resnet34(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic", "num_labels": 1000}
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig(**sizes))
    path = export(model, torch.zeros(1, 3, 224, 224), tmp_path / "resnet34.onnx", dynamic_axes={"x": {0: "batch"}})
    file = open_trace(path, 4)
    path.unlink()
    code = capture("resnet34", 4)
    assert products(file) == products(code) and file.macs == code.macs == 4 * 3_663_761_408
    kept = Counter({step: count for step, count in steps(code).items() if step[0] != "batch_norm"})  # which the exporter folds
    assert steps(file) == kept and file.input_shape == code.input_shape


class Bert(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Two layers of BERT-base with few words."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.bert = BertModel(BertConfig(num_hidden_layers=2, vocab_size=100))

    def forward(self, x: Any) -> Any:
        return self.bert(input_ids=x).pooler_output


def test_bert_of_two_layers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    axes = {"x": {0: "batch", 1: "tokens"}}
    path = export(Bert(), torch.zeros(2, 16, dtype=torch.long), tmp_path / "bert.onnx", dynamic_axes=axes)
    file = open_trace(path, 3, ["x=1x128"])
    path.unlink()
    code = capture(f"{__name__}:Bert", 3, (128,))
    assert products(file) == products(code) and file.macs == code.macs == 3 * 1_862_860_800
    assert sum(products(file).values()) == 17 and file.input_shape == {"tokens": 128}
