"""Case studies of networks in TensorRT: NVIDIA's, Tencent's, and one of a user whose network did not gain."""

from __future__ import annotations

from typing import Any

from stcsim.study.axis import Value, parse_axis
from stcsim.study.reproduce.model import Case, Execution, Point, Published, Study, about, almost, exactly, up_to

KERNELS = "kernels and their choice are those of the catalogue; TensorRT's own are not public"
FUSED = "batch norm, activation and residual addition run in the convolution's kernel, pooling in its own"
GAPS = "gaps between kernels are those of a CUDA graph; copies between host and GPU are not counted"
CONVOLUTIONS = (
    "8-bit convolutions choose among tiles that public TensorRT logs and profiles name, no split-K; patches other than"
    " 64 channels by 8 x 8 pixels and two tiles of three stages are assumed (stcsim/timing/catalogue/menu.py)"
)
STEM = "every layer is INT8, the classifier too; the first convolution (k = 147) has no 2:4 form and stays dense"

_BATCHES = parse_axis("batch=1..2048").values
_INT8_BLOG = "Gwena Cunha Sergio et al., 'Sparsity in INT8' (NVIDIA technical blog, 16 May 2023), TensorRT 8.6 on A40"
_AMPERE_BLOG = "'Accelerating Inference with Sparsity Using the NVIDIA Ampere Architecture' (NVIDIA technical blog, 20 July 2021)"
_TENCENT = (
    "'Structured Sparsity in the NVIDIA Ampere Architecture and Applications in Search Engines' (NVIDIA technical blog, 2023)"
)


def _network(trace: str, gpu: str, dtype: str, batch: Value, **options: Any) -> Case:
    assert isinstance(batch, int)
    return Case(Execution(trace, gpu, dtype, batch=batch, **options))


def _a40(name: str, title: str, claim: str, axis: str, points: tuple[Point, ...]) -> Study:
    assumed = (
        "post-training quantisation and quantisation-aware training run the same kernels; both published figures are the range",
        STEM, KERNELS, CONVOLUTIONS, FUSED, GAPS,
        "convolution kernels were looked for, and four leaves that GEMM times leave open set, after these ratios had been seen",
        "energy of a MAC on the A40 is fitted to dense cuBLAS times, most other parameters are the A100's (`stcsim arch a40`)",
    )  # fmt: skip
    return Study(name, title, "A40", claim, _INT8_BLOG, points, assumed, axis)


_AT_BATCH = {1: Published(1.20, 1.21), 2048: Published(1.40, 1.42)}
_AT_SIZE: tuple[tuple[str, Value, Published], ...] = (
    ("resnet34", (224, 224), Published(1.25, 1.26)),
    ("resnet34-1280x800", (800, 1280), about(1.4)),
    ("resnet34-2048x1024", (1024, 2048), about(1.6)),
    ("resnet34-4096x2048", (2048, 4096), Published(1.65, 1.66)),
)

RESNET34_BATCH = _a40(
    "resnet34-batch",
    "ResNet-34 in INT8 at 224x224 over the batch",
    "2:4 is 1.21 times as fast at batch 1, 1.40 at 2048",
    "batch",
    tuple(
        Point("speedup", (_network("resnet34", "a40", "int8", batch),), _AT_BATCH.get(batch), batch)
        for batch in _BATCHES
        if isinstance(batch, int)
    ),
)

RESNET34_RESOLUTION = _a40(
    "resnet34-resolution",
    "ResNet-34 in INT8 at batch 8 over the image size",
    "2:4 is 1.26 times as fast at 224x224, 1.66 at 4096x2048",
    "image size (pixels)",
    tuple(Point("speedup", (_network(trace, "a40", "int8", 8),), figure, size) for trace, size, figure in _AT_SIZE),
)

_LOW_CLOCK = ("clock.sustained_mhz=1095",)
_RESNEXT = {
    batch: (
        _network("resnext101-32x8d", "a100", "int8", batch),
        _network("resnext101-32x8d", "a100", "int8", batch, settings=_LOW_CLOCK),
    )
    for batch in parse_axis("batch=1..256").values
}
_FULL, _LOW = "1410 MHz", "1095 MHz"
_FASTEST, _LEAST_ENERGY = "largest speedup", "largest work per joule"

RESNEXT101_BATCH = Study(
    "resnext101-batch",
    "ResNeXt-101 32x8d in INT8 at 224x224 over the batch, at boost and at base clock",
    "A100",
    "2:4 is up to 20 % faster, rising with the batch, and does up to 36 % more work per joule",
    f"{_AMPERE_BLOG}, TensorRT 8.0",
    (
        *(Point("speedup", (full,), value=batch, series=_FULL) for batch, (full, _) in _RESNEXT.items()),
        Point("speedup", tuple(full for full, _ in _RESNEXT.values()), up_to(1.20), label=_FASTEST, series=_FULL),
        *(Point("per-watt", (full,), value=batch, series=_FULL) for batch, (full, _) in _RESNEXT.items()),
        *(Point("per-watt", (low,), value=batch, series=_LOW) for batch, (_, low) in _RESNEXT.items()),
        Point("per-watt", tuple(full for full, _ in _RESNEXT.values()), up_to(1.36), label=_LEAST_ENERGY, series=_FULL),
        Point("per-watt", tuple(low for _, low in _RESNEXT.values()), up_to(1.36), label=_LEAST_ENERGY, series=_LOW),
    ),
    (
        "the clock of the power measurements is not given: boost, and base clock as an example of a low one",
        "idle power counts, so a shorter run saves energy even where the work costs the same",
        STEM, KERNELS, CONVOLUTIONS, FUSED, GAPS,
    ),
    "batch",
)  # fmt: skip

_A6000 = ("clock.boost_mhz=1800", "clock.peak_mhz=1800", "clock.sustained_mhz=1800", "dram.bandwidth_gb_per_s=768")
_INCEPTION_MS = {32: (10.4, 9.97), 64: (19.83, 19.08), 128: (37.94, 36.69), 256: (74.73, 91.86)}
_INCEPTION = {batch: _network("inception-v3", "a40", "fp16", batch, settings=_A6000) for batch in _INCEPTION_MS}

INCEPTION_A6000 = Study(
    "inception-a6000",
    "Inception v3 in FP16 at 299x299 over the batch, a network that hardly gains",
    "RTX A6000",
    "2:4 is 1.04 times as fast at batch 32, 0.81 at 256; 'usually about 15 % or less' for CNNs (a maintainer)",
    "NVIDIA/TensorRT issue 2310 (trtexec --fp16 --sparsity=enable)",
    (
        *(
            Point("speedup", (_INCEPTION[batch],), exactly(round(dense / sparse, 3)), batch)
            for batch, (dense, sparse) in _INCEPTION_MS.items()
        ),
        *(
            Point("time", (Case(_INCEPTION[batch].base),), exactly(1000 * dense), batch, series="dense")
            for batch, (dense, _) in _INCEPTION_MS.items()
        ),
    ),
    (
        "the A6000 is the A40 with its own clock and memory (1800 MHz, 768 GB/s, datasheet)",
        "whether the published latencies hold the copy of the images to the GPU is not stated; it is not simulated",
        "TensorRT may not have found the fastest kernels: it should never be slower with 2:4, as it was at batch 256",
        KERNELS, FUSED, GAPS,
    ),
    "batch",
)  # fmt: skip

_DETECTNET_BATCHES = (1, 4, 16)

DETECTNET_T4 = Study(
    "detectnet-t4",
    "a ResNet-34 detector like DetectNet_v2 at 960x544, INT8 against FP16, both dense",
    "T4",
    "INT8 is almost twice as fast as FP16 (two releases print 460 and 912 images/s)",
    "NVIDIA TAO toolkit: model zoo of PeopleNet, and the technical blog on quantisation-aware training",
    tuple(
        Point(
            "speedup",
            (
                Case(
                    Execution("detectnet-v2-resnet34", "t4", "int8", "dense", batch),
                    Execution("detectnet-v2-resnet34", "t4", "fp16", "dense", batch),
                ),
            ),
            almost(2.0) if batch == _DETECTNET_BATCHES[-1] else None,
            batch,
        )
        for batch in _DETECTNET_BATCHES
    ),
    (
        "the batch is not stated: the comparison is with the largest shown",
        "the network is not pruned and rebuilt after NVIDIA's code; NVIDIA's figures are of a pruned one",
        "no GEMM times of a T4 (Turing, without Sparse Tensor Cores) were at hand: `stcsim arch t4` says what is assumed",
        KERNELS, FUSED, GAPS,
    ),
    "batch",
)  # fmt: skip

_BERT_BATCHES = (1, 8, 32, 128)
_BERT_BATCH = 32
_UNSTATED = (
    f"GPU, batch and length are not in the text that was read: A100, batch {_BERT_BATCH} and 128 tokens are taken, "
    "other batches show what that decides"
)

BERT_INT8 = Study(
    "bert-int8",
    "BERT with 12 layers in INT8 at 128 tokens over the batch",
    "A100",
    "2:4 is 1.4 times as fast in two INT8 services of Tencent, 1.3 to 1.8 with quantisation in all",
    _TENCENT,
    tuple(
        Point("speedup", (_network("bert-base", "a100", "int8", batch),), about(1.4) if batch == _BERT_BATCH else None, batch)
        for batch in _BERT_BATCHES
    ),
    (
        _UNSTATED,
        "products of two activations are INT8 too, softmax runs in the first of them as in a fused attention kernel",
        KERNELS, GAPS,
    ),
    "batch",
)  # fmt: skip

FP16_VS_FP32 = Study(
    "fp16-vs-fp32",
    "BERT with 12 layers, 2:4 in FP16 against dense in FP32, at 128 tokens over the batch",
    "A100",
    "4 times as fast",
    _TENCENT,
    tuple(
        Point(
            "speedup",
            (Case(Execution("bert-base", "a100", "fp16", batch=batch), Execution("bert-base", "a100", "tf32", "dense", batch)),),
            exactly(4.0) if batch == _BERT_BATCH else None,
            batch,
        )
        for batch in _BERT_BATCHES
    ),
    (
        "dense FP32 is taken as TF32 on tensor cores, as libraries run it on Ampere; on CUDA cores, which are not simulated, "
        "its peak would be an eighth (19.5 of 156 TFLOPS) and the ratio far above 4",
        _UNSTATED,
        "network: BERT-base, as in the INT8 services",
        KERNELS, GAPS,
    ),
    "batch",
)  # fmt: skip

DENSE_INT8 = Study(
    "dense-int8",
    "dense INT8 networks under TensorRT, in absolute figures",
    "A100, H100",
    "ResNet-50: 0.46 ms at batch 1 on A100, 39,814 images/s on A100 PCIe, 81,292 on H100 SXM; ResNet-101: 0.84 ms",
    "MLPerf Inference v2.1 (one GPU, offline and single stream); NVIDIA's quantisation toolkit for TensorFlow, TensorRT 8.4",
    (
        Point("time", (Case(Execution("resnet50", "a100", "int8", "dense")),), exactly(460.0), label="ResNet-50, A100"),
        Point("time", (Case(Execution("resnet50", "a100-pcie", "int8", "dense")),), exactly(472.0), label="ResNet-50, A100 PCIe"),
        Point("time", (Case(Execution("resnet101", "a100", "int8", "dense")),), exactly(840.0), label="ResNet-101, A100"),
        Point(
            "throughput",
            (Case(Execution("resnet50", "a100-pcie", "int8", "dense", 2048)),),
            exactly(39_814.0),
            label="ResNet-50, A100 PCIe, offline",
        ),
        Point(
            "throughput",
            (Case(Execution("resnet50", "h100", "int8", "dense", 2048)),),
            exactly(81_292.0),
            label="ResNet-50, H100 SXM, offline",
        ),
    ),
    (
        "times are at batch 1; the batch of the offline runs is not stated, 2048 is taken",
        "TensorRT 8.4's ResNets are version 1 (6 % fewer MACs than the version 1.5 of the trace)",
        "single stream counts the host's share of a query too, which is not simulated",
        KERNELS, FUSED, GAPS,
    ),
)  # fmt: skip

TENSORRT = (
    RESNET34_BATCH, RESNET34_RESOLUTION, RESNEXT101_BATCH, BERT_INT8, FP16_VS_FP32, INCEPTION_A6000, DETECTNET_T4, DENSE_INT8
)  # fmt: skip
