"""Case studies in PyTorch, where every pruned layer runs 2:4, whether that is faster or not."""

from __future__ import annotations

from collections.abc import Iterator

from stcsim.study.reproduce.model import Case, Execution, Point, Published, Study, exactly

_ALL = "every pruned layer runs 2:4, none is timed first: all-2:4 is what is compared"
_CUTLASS = "2:4 kernels are those of PyTorch's CUTLASS backend, one tile; dense ones of the catalogue, the fastest of them taken"
_LIBRARY = "kernels are those of the catalogue, the fastest of them taken; cuSPARSELt and CUTLASS pick their own"

_SAM_BATCH = 32
_NO_CONVOLUTIONS = ("*patch_embed*", "*neck*")
_SAM_MLP = Execution("sam-vit-h", "a100", "bf16", "2:4", _SAM_BATCH, keep_dense=(*_NO_CONVOLUTIONS, "*.attn.*"))
_SAM_BOTH = Execution("sam-vit-h", "a100", "bf16", "2:4", _SAM_BATCH, keep_dense=_NO_CONVOLUTIONS)

SAM = Study(
    "sam-vit-h",
    "Segment Anything, ViT-H, in BF16 at 1024x1024, batch 32",
    "A100",
    "22.75 images/s dense; 24.81 (1.10 times) with the MLPs 2:4, 24.30 (1.07) with attention's linear layers too",
    "pytorch/ao, torchao/sparsity/README.md (A100 80 GB, torch.compile with max-autotune)",
    (
        Point("speedup", (Case(_SAM_MLP),), Published(1.09, 1.10), label="MLPs 2:4"),
        Point("speedup", (Case(_SAM_BOTH),), exactly(1.07), label="MLPs and attention 2:4"),
        Point("throughput", (Case(_SAM_MLP.dense),), exactly(22.75), label="dense"),
        Point("throughput", (Case(_SAM_MLP),), exactly(24.81), label="MLPs 2:4"),
        Point("throughput", (Case(_SAM_BOTH),), exactly(24.30), label="MLPs and attention 2:4"),
    ),
    (
        "only the image encoder is simulated; the published rate is of the whole model with prompts and masks",
        "bias, activation and residual run in the GEMM's kernel on both sides; PyTorch cannot fuse into its 2:4 kernels "
        "('we cannot fuse into our semi-structured sparse matmul'), so the prediction favours 2:4",
        "1.10 is printed, 24.81 over 22.75 is 1.09: both count",
        _ALL, _LIBRARY,
        "kernels follow each other as in a CUDA graph, which max-autotune uses",
    ),
)  # fmt: skip

_MODES = {"eager": "none", "compiled": "epilogue"}
_SQUAD_MS = {
    "eager": {4: (11.10, 15.54), 16: (19.35, 15.74), 64: (72.71, 59.41), 256: (286.65, 247.63)},
    "compiled": {4: (7.59, 7.46), 16: (11.47, 9.68), 64: (41.57, 36.92), 256: (159.22, 142.23)},
}
_SQUAD_SPEEDUPS = {
    "eager": {4: exactly(0.71), 16: exactly(1.23), 64: exactly(1.22), 256: Published(1.14, 1.16)},
    "compiled": {4: exactly(1.02), 16: exactly(1.18), 64: exactly(1.13), 256: exactly(1.12)},
}


def _squad() -> Iterator[Point]:
    """Yield speedups of both modes, then their times, dense and 2:4."""
    runs = {
        (mode, batch): Execution(
            "bert-base-384",
            "a100",
            "fp16",
            "2:4",
            batch,
            keep_dense=("pooler*",),
            fusion=_MODES[mode],
            launch="stream",
            library="torch",
        )
        for mode, times in _SQUAD_MS.items()
        for batch in times
    }
    for (mode, batch), run in runs.items():
        yield Point("speedup", (Case(run),), _SQUAD_SPEEDUPS[mode][batch], batch, series=mode)
    for (mode, batch), run in runs.items():
        dense, sparse = _SQUAD_MS[mode][batch]
        yield Point("time", (Case(run.dense),), exactly(1000 * dense), batch, series=f"{mode}, dense")
        yield Point("time", (Case(run),), exactly(1000 * sparse), batch, series=f"{mode}, 2:4")


BERT_SQUAD = Study(
    "bert-squad",
    "BERT-base on SQuAD in FP16 at 384 tokens over the batch, eager and compiled",
    "A100",
    "2:4 is 0.71, 1.23, 1.22 and 1.14 times as fast at batch 4, 16, 64 and 256 (compiled: 1.02, 1.18, 1.13, 1.12)",
    "Jesse Cai, 'Accelerating BERT with semi-structured (2:4) sparsity' (PyTorch tutorial; A100 80 GB, CUTLASS kernels)",
    tuple(_squad()),
    (
        "the CPU that launches kernels is not simulated: small eager batches wait for it",
        "the published dense side ran under autocast, which converts weights on the way; the simulated one is plain FP16",
        "eager: every step is a kernel; compiled: element-wise steps and softmax run in a product's kernel, on both sides",
        "the attention of the trace has no masking and no scaling step of its own, the tutorial's had both",
        "at batch 256, 1.14 is printed where the times give 1.16: both count",
        "the trace ends in a pooler where the tutorial has a head for questions; both are small and stay dense",
        _ALL, _CUTLASS,
    ),
    "batch",
)  # fmt: skip

_VIT = Execution(((4096, 13_008, 1024),), "a100", "fp16", "2:4", launch="stream", warm=True)
_LINEAR = Execution(((3072, 3072, 10_240),), "a100", "fp16", "2:4", launch="stream", warm=True, library="torch")
_VIT_NAME, _LINEAR_NAME = "ViT-L MLP", "3072x3072x10240"

PYTORCH_GEMM = Study(
    "pytorch-gemm",
    "single linear layers in FP16",
    "A100",
    "ViT-L's first MLP layer (4096x13008x1024): 538 to 387 µs; 3072x3072x10240: 870 to 630 µs",
    "'Accelerating Neural Network Training with Semi-Structured (2:4) Sparsity' (PyTorch blog, 2024; cuSPARSELt); "
    "the PyTorch tutorial on BERT (CUTLASS); both on A100 80 GB",
    (
        Point("speedup", (Case(_VIT),), exactly(1.39), label=_VIT_NAME),
        Point("speedup", (Case(_LINEAR),), exactly(1.38), label=_LINEAR_NAME),
        Point("time", (Case(_VIT.dense),), exactly(538.0), label=_VIT_NAME, series="dense"),
        Point("time", (Case(_VIT),), exactly(387.0), label=_VIT_NAME, series="2:4"),
        Point("time", (Case(_LINEAR.dense),), exactly(870.0), label=_LINEAR_NAME, series="dense"),
        Point("time", (Case(_LINEAR),), exactly(630.0), label=_LINEAR_NAME, series="2:4"),
    ),
    (
        "m x n x k as everywhere here: m are the weight's rows",
        "weights are in L2 if they fit: the layer ran over and over",
        "3072x3072x10240, which the tutorial on BERT has, ran PyTorch's CUTLASS backend, of one 2:4 tile",
        _LIBRARY,
    ),
)

_FFN_US = {64: (103.008, 74.304), 128: (99.936, 75.456), 256: (114.08, 82.432), 512: (144.096, 114.56), 4096: (901.0, 779.0)}
_FFN = {
    tokens: Execution(((8192, tokens, 8192),) * 2, "h100", "fp8", "2:4", launch="stream", library="torchao") for tokens in _FFN_US
}

FP8_FFN = Study(
    "fp8-ffn",
    "a feed-forward block of two 8192x8192 layers in FP8 over the tokens",
    "H100",
    "103 to 74 µs at 64 tokens, 901 to 779 µs at 4096",
    "pytorch/ao pull request 2012 (torch.compile, CUTLASS 2:4 kernels)",
    (
        *(
            Point("speedup", (Case(_FFN[tokens]),), exactly(round(dense / sparse, 3)), tokens)
            for tokens, (dense, sparse) in _FFN_US.items()
        ),
        *(
            Point("time", (Case(_FFN[tokens].dense),), exactly(dense), tokens, series="dense")
            for tokens, (dense, _) in _FFN_US.items()
        ),
        *(
            Point("time", (Case(_FFN[tokens]),), exactly(sparse), tokens, series="2:4")
            for tokens, (_, sparse) in _FFN_US.items()
        ),
    ),
    (
        "the published times hold the conversion of activations to FP8 and the activation function, which are not simulated: "
        "predicted times are those of the two GEMMs alone",
        "the kind of H100 is not stated: SXM is taken",
        _ALL,
        "2:4 kernels are torchao's, three tiles by tokens; the dense side, which ran torch's row-wise scaled kernel, is "
        "simulated as cuBLAS's",
    ),
    "tokens",
)  # fmt: skip

PYTORCH = (SAM, BERT_SQUAD, PYTORCH_GEMM, FP8_FFN)
