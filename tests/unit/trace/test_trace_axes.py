"""A trace at another image size or length: the sizes a capture there has, or one sentence why not."""

from __future__ import annotations

import pytest

from stcsim.errors import TraceError
from stcsim.trace import Conv2d, Gemm, Memory, Op, Source, Trace, load_trace
from stcsim.trace.rescale.lengths import at_length
from stcsim.trace.rescale.resolution import at_resolution

SOURCE = Source(model="by hand", library="none", version="0")


def images(*ops: Op, size: int = 64, batch: int = 1) -> Trace:
    return Trace(name="net", title=f"Net, 3x{size}x{size}", source=SOURCE, batch=batch, input_shape=(3, size, size), ops=ops)


def conv(
    name: str, size: int, kernel: int = 3, stride: int = 1, padding: int = 1, inputs: tuple[str, ...] = (), batch: int = 1
) -> Conv2d:
    return Conv2d(
        name=name, batch=batch, c=16, h=size, w=size, k=16, r=kernel, s=kernel,
        stride=(stride, stride), padding=(padding, padding), inputs=inputs,
    )  # fmt: skip


def stages(trace: Trace) -> list[tuple[int, int, int, int]]:
    """Return (h, w, p, q) of every kind of convolution, each once, in order."""
    return list(dict.fromkeys((op.h, op.w, op.p, op.q) for op in trace.ops if isinstance(op, Conv2d)))


#: By hand: 7x7/2 with padding 3, pooling 3x3/2 with padding 1, then 3x3/2 with padding 1 and 1x1/2 at each later stage.
RESNET34 = {
    (800, 1280): [(800, 1280, 400, 640), (200, 320, 200, 320), (200, 320, 100, 160), (100, 160, 100, 160), (100, 160, 50, 80),
                  (50, 80, 50, 80), (50, 80, 25, 40), (25, 40, 25, 40)],
    (232, 264): [(232, 264, 116, 132), (58, 66, 58, 66), (58, 66, 29, 33), (29, 33, 29, 33), (29, 33, 15, 17), (15, 17, 15, 17),
                 (15, 17, 8, 9), (8, 9, 8, 9)],
    (223, 223): [(223, 223, 112, 112), (56, 56, 56, 56), (56, 56, 28, 28), (28, 28, 28, 28), (28, 28, 14, 14), (14, 14, 14, 14),
                 (14, 14, 7, 7), (7, 7, 7, 7)],
}  # fmt: skip


@pytest.mark.parametrize("size", RESNET34, ids=str)
def test_resnet34_has_the_sizes_worked_out_by_hand(size: tuple[int, int]) -> None:
    trace = load_trace("resnet34")
    resized = at_resolution(trace, *size)
    assert stages(resized) == RESNET34[size]
    assert resized.input_shape == (3, *size) and resized.title == f"ResNet-34, 3x{size[0]}x{size[1]}"
    assert [(op.name, op.weight_elements, op.origin) for op in resized.ops] == [
        (op.name, op.weight_elements, op.origin) for op in trace.ops
    ]
    assert [(op.m, op.n, op.k) for op in resized.ops if isinstance(op, Gemm)] == [(1000, 1, 512)]


def test_image_size_and_batch_are_independent() -> None:
    trace = load_trace("resnet50")
    assert at_resolution(trace.with_batch(8), 320, 256) == at_resolution(trace, 320, 256).with_batch(8)
    assert at_resolution(at_resolution(trace, 448, 320), 224, 224) == trace
    assert at_resolution(trace, 224, 224) is trace


@pytest.mark.parametrize("size", [(800, 1280), (1024, 2048), (2048, 4096)], ids=str)
def test_resnet34_is_what_was_captured_at_that_size(size: tuple[int, int]) -> None:
    there = load_trace(f"resnet34-{max(size)}x{min(size)}")
    assert at_resolution(load_trace("resnet34"), *size).with_batch(there.batch).ops == there.ops


@pytest.mark.parametrize("network", ["bert-base", "bert-large"])
def test_bert_is_what_was_captured_at_that_length(network: str) -> None:
    there = load_trace(f"{network}-384")
    ours = at_length(load_trace(network), "tokens", 384)
    assert ours.ops == there.ops and ours.title == there.title


@pytest.mark.parametrize(("network", "size"), [("vgg16", (256, 320)), ("retinanet-r50-fpn", (640, 768))])
def test_networks_of_images_are_what_a_capture_there_finds(network: str, size: tuple[int, int]) -> None:
    real = captured(network, 3, *size)
    assert at_resolution(load_trace(network).with_batch(real.batch), *size).ops == real.ops


def test_gpt2_is_what_a_capture_there_finds() -> None:
    assert at_length(load_trace("gpt2"), "tokens", 129) == captured("gpt2", 129)


def captured(network: str, *shape: int) -> Trace:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from stcsim.capture import capture

    return capture(network, None, shape or None, "fp16")


def test_pixels_of_a_layer_on_images_follow() -> None:
    per_pixel = Gemm(name="point", m=32, n=2 * 16 * 16, k=16, scales_with_batch="n")
    pooled = Gemm(name="fc", m=10, n=2, k=32, scales_with_batch="n")
    trace = images(conv("stem", 64, 4, 4, 0, batch=2), per_pixel, pooled, batch=2)
    _, resized, unchanged = at_resolution(trace, 128, 96).ops
    assert isinstance(resized, Gemm) and resized.n == 2 * 32 * 24 and unchanged == pooled


def test_global_pooling_stays_one_pixel_and_upsampling_follows() -> None:
    squeeze = conv("squeeze", 1, 1, padding=0, inputs=("down",))
    down, up = conv("down", 64, stride=2), conv("up", 64, inputs=("down",))
    resized = at_resolution(images(down, squeeze, up), 96, 96)
    assert [(op.h, op.p) for op in resized.ops if isinstance(op, Conv2d)] == [(96, 48), (1, 1), (96, 96)]


def moves(name: str, operator: str, elements: tuple[int, int], *inputs: str, constants: int = 0, origin: str = "") -> Memory:
    read, written = elements
    return Memory(
        name=name, operator=operator, elements_read=read, elements_written=written, inputs=inputs, constant_elements=constants,
        origin=origin,
    )  # fmt: skip


def test_memory_operations_follow_what_they_read() -> None:
    size = 16 * 64 * 64
    ops = (
        moves("copy", "copy", (3 * 64 * 64, 3 * 64 * 64)),
        conv("a", 64, inputs=("copy",)),
        moves("norm", "batch_norm", (size, size), "a", constants=64),
        moves("add", "add", (2 * size, size), "norm", "a"),
        moves("cat", "cat", (2 * size, 2 * size), "norm", "add"),
        moves("pool", "max_pool", (size, size // 16), "add"),
        moves("global", "avg_pool", (size // 16, 16), "pool"),
        moves("fixed", "avg_pool", (size // 16, size // 16), "pool", origin="AdaptiveAvgPool2d: aten.adaptive_avg_pool2d"),
    )
    resized = at_resolution(images(*ops), 96, 32).ops
    grown = 16 * 96 * 32
    assert [(op.elements_read, op.elements_written, op.constant_elements) for op in resized if isinstance(op, Memory)] == [
        (3 * 96 * 32, 3 * 96 * 32, 0), (grown, grown, 64), (2 * grown, grown, 0), (2 * grown, 2 * grown, 0),
        (grown, grown // 16, 0), (grown // 16, 16, 0), (grown // 16, size // 16, 0),
    ]  # fmt: skip


def test_a_skip_and_an_upsampling_that_no_longer_meet_are_refused() -> None:
    top, down = conv("top", 64), conv("down", 64, stride=2, inputs=("top",))
    join = conv("join", 64, inputs=("top", "down"))
    assert stages(at_resolution(images(top, down, join), 62, 62)) == [(62, 62, 62, 62), (62, 62, 31, 31)]
    with pytest.raises(TraceError, match="conv2d 'join': h: expected rows that follow .* found 64, which may become 63 or 64"):
        at_resolution(images(top, down, join), 63, 63)


CLASS_TOKEN = Gemm(name="t", m=8, n=65, k=8, scales_with_batch="n")
ATTENTION = Gemm(name="qk", m=8, n=8, k=8, weight_operand=None)
STEM, AREA = conv("a", 64, inputs=("copy",)), 64 * 64
COPY = moves("copy", "copy", (3 * AREA, 3 * AREA))
NO_SIZE = {
    "no edges": (
        images(conv("a", 64), moves("relu", "relu", (AREA, AREA))),
        (96, 96),
        "'relu': inputs: expected the names of what",
    ),
    "flattened": (
        images(COPY, STEM, Gemm(name="fc", m=8, n=1, k=16 * AREA, inputs=("a",))),
        (96, 96),
        f"gemm 'fc': k: expected an input that keeps {16 * AREA} features, found one that would have {16 * 96 * 96}",
    ),
    "table": (
        images(COPY, STEM, moves("add", "add", (16 * AREA, 16 * AREA), "a", constants=16 * AREA)),
        (96, 96),
        "memory 'add': constant_elements: expected fewer than one for each element",
    ),
    "padding": (
        images(COPY, STEM, moves("pad", "pad", (16 * AREA, 16 * 65 * 65), "a")),
        (96, 96),
        "memory 'pad': elements_written: expected as many as an input has",
    ),
    "regions": (images(conv("a", 64), conv("roi", 64, batch=100)), (96, 96), "'roi': batch: expected 1, one image for each"),
    "odd pooling": (load_trace("resnet34"), (225, 224), "h: expected rows before it that divide by 2, as 112 did, found 113"),
    "tokens": (
        load_trace("bert-base"),
        (224, 224),
        "expected a trace whose input_shape is channels, height and width, found {'tokens': 128}",
    ),
    "no whole factor": (
        images(conv("a", 64), conv("odd", 27)),
        (96, 96),
        "'odd': h: expected rows that follow from the images before, found 27, and 64 before",
    ),
    "too large a factor": (images(conv("a", 64), conv("fixed", 8)), (96, 96), "conv2d 'fixed': h: expected rows that follow"),
    "too small": (images(conv("a", 64, 7, padding=0)), (6, 96), "conv2d 'a': expected an image at least as large as the filter"),
    "class token": (
        images(conv("a", 64), CLASS_TOKEN),
        (96, 96),
        "gemm 't': n: expected the pixels of an image between convolutions, found 65",
    ),
    "attention": (images(conv("a", 64), ATTENTION), (96, 96), "gemm 'qk': expected sizes that follow the image"),
}


@pytest.mark.parametrize(("trace", "size", "sentence"), NO_SIZE.values(), ids=NO_SIZE)
def test_an_image_size_that_cannot_be_exact_is_refused(trace: Trace, size: tuple[int, int], sentence: str) -> None:
    with pytest.raises(TraceError) as found:
        at_resolution(trace, *size)
    assert str(found.value).startswith(f"{trace.name}: resolution {size[0]}x{size[1]}") and sentence in str(found.value)


def test_tokens_of_bert_by_hand() -> None:
    trace = at_length(load_trace("bert-base").with_batch(4), "tokens", 384)
    sizes = {(op.m, op.n, op.k, op.batch) for op in trace.ops if isinstance(op, Gemm)}
    assert sizes == {
        (768, 4 * 384, 768, 1), (3072, 4 * 384, 768, 1), (768, 4 * 384, 3072, 1),
        (384, 384, 64, 48), (384, 64, 384, 48), (768, 4, 768, 1),
    }  # fmt: skip
    assert trace.input_shape == {"tokens": 384} and trace.title == "BERT-base encoder with pooler, 384 tokens"


def test_tables_grow_with_the_tokens_and_vectors_do_not() -> None:
    ops = (
        moves("embed", "embedding", (2 * 64 * 8, 2 * 64 * 8)),
        moves("position", "add", (1024, 1024), "embed", constants=64 * 8),
        moves("bias", "add", (1024, 1024), "position", constants=8),
        moves("norm", "layer_norm", (1024, 1024), "bias", constants=64),
        moves("rope", "rope", (1024, 1024), "norm", constants=2 * 4 * 64),
    )
    longer = at_length(tokens(*ops), "tokens", 96).ops
    assert [op.constant_elements for op in longer if isinstance(op, Memory)] == [0, 96 * 8, 8, 64, 2 * 4 * 96]
    assert {op.output_elements for op in longer} == {2 * 96 * 8}
    with pytest.raises(TraceError, match="memory 'table': constant_elements: expected one for each element, or one for each"):
        at_length(tokens(*ops[:1], moves("table", "add", (1024, 1024), "embed", constants=128)), "tokens", 96)


def test_cached_tokens_of_a_decoder_by_hand() -> None:
    trace = at_length(load_trace("llama-3-8b-decode"), "cached", 4096)
    products = {(op.m, op.n, op.k, op.batch) for op in trace.ops if isinstance(op, Gemm) and op.weight_operand is None}
    assert products == {(4, 4097, 128, 64), (4, 128, 4097, 64)}
    assert {op.n for op in trace.ops if isinstance(op, Gemm) and op.weight_operand} == {8}
    assert trace.input_shape == {"tokens": 1, "cached": 4096} and trace.title == "Llama-3-8B decode, 1 new after 4096 cached"


def tokens(*ops: Op, **lengths: int) -> Trace:
    return Trace(name="net", title="Net", source=SOURCE, batch=2, input_shape=lengths or {"tokens": 64}, ops=ops)


def product(m: int, n: int, k: int) -> Gemm:
    return Gemm(name="qk", m=m, n=n, k=k, batch=8, weight_operand=None, scales_with_batch="batch")


ODD_LAYER = Gemm(name="fc", m=8, n=2 * 65, k=8, scales_with_batch="n")
NO_LENGTH = {
    "images": (load_trace("resnet34"), "tokens", "expected a trace whose input_shape has tokens alone, found (3, 224, 224)"),
    "none cached": (
        load_trace("bert-base"),
        "cached",
        "expected a trace whose input_shape has tokens and cached, found {'tokens': 128}",
    ),
    "one token": (load_trace("llama-3-8b-decode"), "tokens", "expected a trace of several tokens, found one"),
    "head of 64": (tokens(product(64, 64, 64)), "tokens", "with 2 of its 3 sizes equal to 64, found 3, which may be something"),
    "windows": (tokens(product(7, 7, 64)), "tokens", "a product with 2 of its 3 sizes equal to 64, found 1"),
    "class token": (tokens(ODD_LAYER), "tokens", "'fc': n: expected 64 or 1 for each sample, found 130 at batch 2"),
    "other lengths": (tokens(product(64, 64, 32), tokens=64, patches=9), "tokens", "has tokens alone, found {'"),
    "long head": (tokens(product(4, 32, 32), tokens=4, cached=28), "cached", "1 of its 3 sizes equal to 32, found 2, which may"),
}


@pytest.mark.parametrize(("trace", "name", "sentence"), NO_LENGTH.values(), ids=NO_LENGTH)
def test_a_length_that_leaves_a_doubt_is_refused(trace: Trace, name: str, sentence: str) -> None:
    with pytest.raises(TraceError) as found:
        at_length(trace, name, 96)
    assert str(found.value).startswith(f"{trace.name}: {name} = 96") and sentence in str(found.value)
